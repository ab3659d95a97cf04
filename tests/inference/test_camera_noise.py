"""Telling the noise of cameras from texture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from restore.datasets import camera
from restore.datasets.camera import Camera
from restore.images import read
from restore.images.luma import luma
from restore.images.noise_model import NoiseLevel
from restore.inference import camera_noise
from restore.inference.noise_estimate import CameraNoise, Estimate
from restore.inference.noise_estimation import estimate, measured

ROOT = Path(__file__).resolve().parents[2]
SMOOTHING = Camera(shot=4e-3, read=3e-5, lens=0.8, chroma=1.5, smoothing=0.5, sharpening=0.4, quality=95)
"""A camera whose noise is coarse: the estimate measures a small part of it."""


def photographs() -> list[np.ndarray]:
    """Real ones: the texture of drawn ones has no direction, as noise."""
    files = sorted((ROOT / "data" / "photo2paint" / "source").glob("*.*"))
    assert files
    return [read(path).frame(0).normalized() for path in files]


def taken(picture: np.ndarray, settings: Camera) -> np.ndarray:
    return camera.photograph(picture, settings, np.random.default_rng(3))[0]


def test_noise_is_detected_and_the_same_picture_in_bright_light_has_none() -> None:
    for picture in photographs()[::3]:
        noisy, bright = taken(picture, SMOOTHING), taken(picture, camera.without_noise(SMOOTHING))
        sigma = 255 * float(np.sqrt(np.mean((noisy - bright) ** 2)))
        result = estimate(noisy)
        assert result.level.sigma() < 0.5 * sigma
        assert result.camera.sigma == pytest.approx(sigma, rel=0.5)
        assert result.coarse > 0.9
        assert result.confidence() > 0.95
        assert 1.5 * result.level.sigma() < result.for_network.sigma() < sigma
        assert estimate(bright).coarse < 0.2


def test_most_photographs_have_none() -> None:
    assert sum(estimate(picture).coarse > 0.1 for picture in photographs()) <= 1


def test_gray_pictures_count_too() -> None:
    noisy = np.ascontiguousarray(luma(taken(photographs()[0], SMOOTHING))[:, :, None])
    assert estimate(noisy).coarse > 0.9


@pytest.mark.parametrize("shape", [(7, 300, 1), (8, 8, 3), (40, 40, 1)])
def test_too_small_a_picture_has_none(shape: tuple[int, int, int]) -> None:
    picture = np.random.default_rng(0).random(shape, np.float32)
    assert camera_noise.detect(picture, Estimate()) == CameraNoise()


def test_an_even_picture_has_finite_features() -> None:
    values = camera_noise.features(np.full((200, 200, 3), 0.4, np.float32), Estimate())
    assert values is not None
    assert np.isfinite(values).all()


def test_the_range_does_not_matter() -> None:
    noisy = taken(photographs()[0], SMOOTHING)
    noisy = (noisy - noisy.min()) / np.ptp(noisy)
    here, there = measured(noisy), measured(np.float32(1000) * noisy)
    first, second = camera_noise.detect(noisy, here), camera_noise.detect(np.float32(1000) * noisy, there)
    assert second.probability == pytest.approx(first.probability, abs=0.02)
    assert second.sigma == pytest.approx(1000 * first.sigma, rel=0.05)


def test_white_noise_keeps_its_level() -> None:
    picture = photographs()[0]
    result = measured(picture + np.float32(6 / 255) * np.random.default_rng(1).standard_normal(picture.shape, np.float32))
    assert replace(result, camera=CameraNoise(1.0, 20.0)).for_network == result.level


def test_strong_noise_asks_for_more_certainty() -> None:
    weak, strong = (replace(Estimate(colour=10.0), camera=CameraNoise(0.85, sigma)) for sigma in (2.0, 10.0))
    assert weak.coarse == 1
    assert strong.coarse == 0


def test_a_mat_and_padding_do_not_hide_the_noise() -> None:
    noisy = taken(photographs()[0], SMOOTHING)
    alone = estimate(noisy)
    matted = np.pad(noisy, ((60, 60), (80, 80), (0, 0)))
    valid = np.pad(np.ones(noisy.shape[:2], bool), ((60, 60), (80, 80)))
    for result in (estimate(matted), estimate(matted, valid)):
        assert result.coarse == pytest.approx(alone.coarse, abs=0.1)
        assert result.camera.sigma == pytest.approx(alone.camera.sigma, rel=0.2)


@pytest.mark.parametrize(("estimate", "camera", "expected"), [
    (Estimate(NoiseLevel.gaussian(1.0), colour=10.0, spread=3.0), CameraNoise(1.0, 4.0), True),
    (Estimate(NoiseLevel.gaussian(1.0), colour=10.0, spread=3.0), CameraNoise(0.3, 4.0), True),  # possible, and weak
    (Estimate(NoiseLevel.gaussian(1.0), colour=10.0, spread=3.0), CameraNoise(0.05, 4.0), False),
    (Estimate(NoiseLevel.gaussian(9.0), colour=2.6), CameraNoise(0.6, 9.6), False),  # strong, and not sure
    (Estimate(NoiseLevel.gaussian(10.0), colour=1.0), CameraNoise(1.0, 10.0), False),  # white
    (Estimate(NoiseLevel.gaussian(1.0), colour=100.0, spread=1.1), CameraNoise(1.0, 9.0), False),  # a film's
])  # fmt: skip
def test_which_noise_is_that_of_a_camera(estimate: Estimate, camera: CameraNoise, expected: bool) -> None:
    assert replace(estimate, camera=camera).of_camera is expected


def test_weights_for_cameras_are_given_the_whole_noise() -> None:
    sure, unsure = (Estimate(NoiseLevel.gaussian(0.5), colour=6.0, camera=CameraNoise(share, 4.0)) for share in (1.0, 0.2))
    assert sure.for_camera_network.sigma() == pytest.approx(4.8)
    assert sure.for_network.sigma() == pytest.approx(2.8)
    assert unsure.for_camera_network == unsure.for_network == unsure.level
