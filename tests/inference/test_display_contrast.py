"""The contrast law for display: bits and order kept, noise not raised, mats and padding untouched, the window filled."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from restore.images.noise_model import NoiseLevel
from restore.inference import display_contrast
from restore.inference.display_contrast import Noise
from restore.inference.strengths import Strengths

Smooth = Callable[..., np.ndarray]
QUIET = Noise(NoiseLevel.gaussian(0.1))
ONLY = {name: Strengths(**{**dict.fromkeys(vars(Strengths()), 0.0), name: 1.0}) for name in vars(Strengths())}


def chest(smooth: Smooth, seed: int = 0) -> np.ndarray:
    """(240, 300, 1) smooth shades with weak, fine ribs, in 16 bits."""
    x = np.arange(300, dtype=np.float32)
    ribs = 0.01 * np.sin(x / 3)[None] * (np.arange(240)[:, None] > 120)
    picture = 0.1 + 0.75 * smooth(240, 300, seed=seed)[:, :, 0] + ribs
    return (np.rint(picture * 65535) / 65535).astype(np.float32)[:, :, None]


def test_weak_structure_is_raised_and_the_window_filled(smooth: Smooth) -> None:
    picture = chest(smooth)
    result, done = display_contrast.enhance(picture, QUIET, Strengths())
    assert done is not None and result.min() >= -0.01 and result.max() <= 1.01
    assert np.percentile(result, 99.9) - np.percentile(result, 0.1) > 0.9
    ribs = [one[200:, :, 0] - cv2.blur(one[200:, :, 0], (41, 1)) for one in (picture, result)]
    assert ribs[1].std() > 1.5 * ribs[0].std()
    assert len(np.unique(np.rint(result * 65535))) > 0.9 * len(np.unique(np.rint(picture * 65535)))


@pytest.mark.parametrize("part", ["exposure", "contrast"])
def test_the_whole_curve_is_monotone(smooth: Smooth, part: str) -> None:
    picture = chest(smooth)
    result, _ = display_contrast.enhance(picture, QUIET, ONLY[part])
    order = np.argsort(picture.ravel(), kind="stable")
    assert (np.diff(result.ravel()[order]) >= -1e-6).all()


@pytest.mark.parametrize("part", ["local_contrast", "sharpness"])
def test_noise_is_hardly_raised(part: str) -> None:
    noise = np.random.default_rng(0).normal(0, 8 / 255, (256, 256, 1)).astype(np.float32)
    picture = 0.5 + noise + 0.2 * np.sin(np.arange(256, dtype=np.float32) / 40)[:, None, None]
    result, _ = display_contrast.enhance(picture, Noise(NoiseLevel.gaussian(8.0)), ONLY[part])
    fine = [one[:, :, 0] - cv2.GaussianBlur(one[:, :, 0], (0, 0), 1.5) for one in (picture, result)]
    assert fine[1].std() < 1.2 * fine[0].std()


def test_what_a_denoiser_left_is_hardly_raised() -> None:
    """Smooth remainders of noise look like structure; how much there was before tells them apart."""
    noise = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    left = cv2.GaussianBlur(noise, (0, 0), 3) - cv2.GaussianBlur(noise, (0, 0), 12)
    waves = 0.5 + 0.2 * np.sin(np.arange(256, dtype=np.float32) / 40)[:, None]
    picture = (waves + 20 / 255 * left)[:, :, None].astype(np.float32)
    gains = []
    for removed in (None, NoiseLevel.gaussian(20.0)):
        result, _ = display_contrast.enhance(picture, Noise(NoiseLevel(), removed), ONLY["local_contrast"])
        fine = [one[:, :, 0] - cv2.GaussianBlur(one[:, :, 0], (0, 0), 12) for one in (picture, result)]
        gains.append(fine[1].std() / fine[0].std())
    assert gains[1] < 1.15 < gains[0]


def test_correlated_noise_is_measured_in_its_own_band() -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32), (0, 0), 1.0)
    picture = (0.5 + 0.02 * noise / noise.std() + 0.2 * np.sin(np.arange(256, dtype=np.float32) / 40)[:, None])[:, :, None]
    result, _ = display_contrast.enhance(picture, Noise(NoiseLevel.gaussian(0.5)), ONLY["local_contrast"])
    fine = [one[:, :, 0] - cv2.GaussianBlur(one[:, :, 0], (0, 0), 3) for one in (picture, result)]
    assert fine[1].std() < 1.45 * fine[0].std()


def test_mats_labels_and_padding_stay(smooth: Smooth) -> None:
    picture = chest(smooth)
    picture[:20] = picture[-15:] = 0.0
    picture[:, :25] = 1.0
    picture[100:130, 200:260] = 0.9
    valid = np.ones(picture.shape[:2], bool)
    valid[150:170, 60:90] = False
    result, _ = display_contrast.enhance(picture, QUIET, Strengths(), valid)
    same = result == picture
    assert same[:20].all() and same[-15:].all() and same[:, :25].all() and same[101:129, 201:259].all() and same[150:170, 60:90].all()
    assert not same[50:90, 60:180].any()


def test_a_mat_does_not_change_the_picture(smooth: Smooth) -> None:
    picture = chest(smooth)
    framed = np.zeros((320, 400, 1), np.float32)
    framed[40:280, 50:350] = picture
    alone, _ = display_contrast.enhance(picture, QUIET, Strengths())
    inside = display_contrast.enhance(framed, QUIET, Strengths())[0][40:280, 50:350]
    assert np.abs(alone - inside)[60:-60, 60:-60].max() < 0.03


def test_values_outside_the_window_come_into_it(smooth: Smooth) -> None:
    slice_ = 6 * chest(smooth) - 2
    result, done = display_contrast.enhance(slice_, QUIET, Strengths())
    assert done is not None and done.range[0] < 0 and done.range[1] > 1
    assert np.mean((result >= 0) & (result <= 1)) > 0.99


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 33), (35, 9), (64, 50)])
def test_any_size(smooth: Smooth, size: tuple[int, int]) -> None:
    picture = smooth(*size)
    result, _ = display_contrast.enhance(picture, QUIET, Strengths())
    assert result.shape == picture.shape and np.isfinite(result).all()


def test_one_value_stays() -> None:
    picture = np.full((40, 50, 1), 0.3, np.float32)
    result, done = display_contrast.enhance(picture, QUIET, Strengths())
    assert done is None and np.array_equal(result, picture)
