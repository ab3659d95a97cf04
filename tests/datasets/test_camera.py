"""Noise that a simulated camera makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from restore.datasets import camera
from restore.datasets.camera import Camera
from restore.datasets.degrade import NoiseConfig

Photograph = Callable[..., np.ndarray]
QUIET = Camera(shot=0.0, read=0.0)


def taken(picture: np.ndarray, settings: Camera, seed: int = 0) -> np.ndarray:
    """The noise: what the camera stores minus what it would store in bright light."""
    noisy, clean = camera.photograph(picture, settings, np.random.default_rng(seed))
    return noisy - clean


def test_the_same_seed_gives_the_same_picture_and_settings(photograph: Photograph) -> None:
    first, second = (np.random.default_rng(5) for _ in range(2))
    assert camera.draw(first) == camera.draw(second)
    settings = camera.draw(first)
    assert camera.draw(second) == settings
    assert np.array_equal(taken(photograph(64, 48, 3), settings), taken(photograph(64, 48, 3), settings))


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("colour", [(0.9, 0.2, 0.1), (0.1, 0.8, 0.3), (0.2, 0.3, 0.7)])
def test_an_even_colour_comes_back_as_it_was(colour: tuple[float, float, float], curved: bool, fine: bool) -> None:
    picture = np.tile(np.array(colour, np.float32), (16, 16, 1))
    stored, clean = camera.photograph(picture, replace(QUIET, curved=curved, fine=fine, crosstalk=0.3), np.random.default_rng(0))
    assert np.array_equal(stored, clean)
    assert np.abs(stored - picture).max() < 1.5 / 255


def test_read_noise_is_stronger_in_the_dark_and_shot_noise_grows_with_less_light() -> None:
    ramp = np.repeat(np.linspace(0.1, 0.9, 256, dtype=np.float32)[:, None, None], 64, axis=1).repeat(3, axis=2)
    read = taken(ramp, replace(QUIET, read=1e-4))
    assert read[32:96].std() > 1.5 * read[160:224].std() > 0
    assert taken(ramp, replace(QUIET, shot=8e-3)).std() == pytest.approx(2 * taken(ramp, replace(QUIET, shot=2e-3)).std(), rel=0.1)


def test_noise_is_alike_in_neighbouring_pixels() -> None:
    noise = taken(np.full((128, 128, 3), 0.5, np.float32), replace(QUIET, shot=2e-3, read=1e-5))[:, :, 0]
    assert np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1] > 0.3


def test_reduced_noise_is_weaker_and_the_scale_is_kept() -> None:
    gray = np.full((96, 80, 3), 0.5, np.float32)
    loud = replace(QUIET, shot=4e-3, read=1e-5)
    assert taken(gray, replace(loud, chroma=2.0, smoothing=0.9)).std() < 0.7 * taken(gray, loud).std()
    stored, clean = camera.photograph(gray, replace(loud, scale=0.5), np.random.default_rng(0))
    assert stored.shape == clean.shape == (48, 40, 3)


def test_jpeg_is_of_the_stored_picture_alone(photograph: Photograph) -> None:
    picture = photograph(64, 64, 3)
    stored, clean = camera.photograph(picture, replace(QUIET, quality=30), np.random.default_rng(0))
    assert np.abs(stored - clean).max() > 2 / 255
    assert np.array_equal(clean, camera.photograph(picture, QUIET, np.random.default_rng(0))[1])


@pytest.mark.parametrize("scale", [0.4, 0.77, 1.0, 1.5])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [32, 33])
def test_a_crop_gets_the_noise_and_stays_where_it_is(photograph: Photograph, scale: float, channels: int, side: int) -> None:
    picture = photograph(side, side, channels)
    stored, level = camera.noisy(picture, replace(QUIET, shot=4e-3, read=1e-5, scale=scale), np.random.default_rng(0))
    assert stored.shape == picture.shape
    assert stored.dtype == np.float32
    assert level.sigma() == pytest.approx(255 * float((stored - picture).std()), rel=0.2)
    same, none = camera.noisy(picture, replace(QUIET, lens=1.5, sharpening=1.0, scale=scale), np.random.default_rng(0))
    np.testing.assert_allclose(same, picture, atol=0.51 / 255)  # what else a camera changes is left out
    assert none.sigma() == 0


def test_the_map_of_a_crop_is_its_noise_in_the_mean_times_an_error(photograph: Photograph) -> None:
    picture, config = photograph(64, 64, 3), NoiseConfig(camera_fraction=1.0)
    stored, exact = camera.add_noise(picture, np.random.default_rng(3), config)
    again, wrong = camera.add_noise(picture, np.random.default_rng(3), replace(config, map_error=0.3))
    assert np.array_equal(stored, again)
    assert exact.shape == (64, 64, 1)
    assert np.ptp(exact) == np.ptp(wrong) == 0
    assert 0.3 < wrong.mean() / exact.mean() < 3
    assert wrong.mean() != exact.mean()


def test_the_other_crops_get_other_noise(photograph: Photograph) -> None:
    picture, config = photograph(64, 64, 3), NoiseConfig(sigma=(50.0, 50.0), camera_fraction=0.5)
    levels = [camera.add_noise(picture, np.random.default_rng(seed), config)[1].mean() for seed in range(40)]
    white = sum(level == pytest.approx(50 / 255) for level in levels)
    assert 10 < white < 30


def test_half_of_the_soft_crops_are_enlarged_and_half_blurred(photograph: Photograph) -> None:
    picture = photograph(64, 64, 3)
    assert camera.soften(picture, np.random.default_rng(0), NoiseConfig()) is picture
    soft = [camera.soften(picture, np.random.default_rng(seed), NoiseConfig(soft_fraction=1.0)) for seed in range(20)]
    assert all(one.shape == picture.shape and one.dtype == np.float32 and one.min() >= 0 and one.max() <= 1 for one in soft)
    blurred = sum(abs(float(one.mean() - picture.mean())) < 1e-3 for one in soft)
    assert 4 <= blurred <= 16
    assert np.median([np.abs(np.diff(one, axis=0)).mean() for one in soft]) < 0.8 * np.abs(np.diff(picture, axis=0)).mean()
