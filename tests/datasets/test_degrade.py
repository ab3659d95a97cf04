"""Synthetic damage: seeded, and with the statistics it claims."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from restore.datasets import degrade
from restore.datasets.degrade import NoiseConfig
from restore.images.noise_model import NoiseLevel

Smooth = Callable[..., np.ndarray]
FLAT = np.ones((256, 256, 1), np.float32)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("brightness", [0.05, 0.3, 0.9])
def test_poisson_gaussian_variance_is_a_x_plus_b(brightness: float) -> None:
    noisy, level = degrade.poisson_gaussian(brightness * FLAT, 80.0, 5 / 255, _rng())
    assert (level.slope, level.constant) == pytest.approx((1 / 80, (5 / 255) ** 2))
    assert noisy.dtype == np.float32
    assert noisy.mean() == pytest.approx(brightness, rel=0.02)
    assert noisy.var() == pytest.approx(level.slope * brightness + level.constant, rel=0.03)


def test_gaussian_has_its_sigma_and_is_not_clipped() -> None:
    noisy, level = degrade.gaussian(FLAT, 25 / 255, _rng())
    assert level.sigma() == pytest.approx(25)
    assert noisy.std() == pytest.approx(25 / 255, rel=0.02)
    assert noisy.max() > 1


@pytest.mark.parametrize("channels", [1, 3])
def test_correlated_noise_has_its_sigma_and_neighbours_alike(channels: int) -> None:
    noisy, level = degrade.correlated(np.repeat(0.5 * FLAT, channels, 2), 20 / 255, _rng(3))
    noise = noisy - 0.5
    assert noise.std() == pytest.approx(20 / 255, rel=0.01)
    white = degrade.gaussian(0.5 * FLAT, 20 / 255, _rng(3))[0] - 0.5
    alike = [np.corrcoef(values[:, 1:, 0].ravel(), values[:, :-1, 0].ravel())[0, 1] for values in (noise, white)]
    assert alike[0] > alike[1] + 0.1
    assert 0 < level.sigma() < 18  # its fine detail only, as a blind estimate would read it


def test_eight_bits() -> None:
    rounded = degrade.to_8_bits(np.array([-0.5, 0.1234, 0.5, 2.0], np.float32))
    np.testing.assert_allclose(rounded, np.array([0, 31, 128, 255], np.float32) / 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_what_a_file_would_hold(smooth: Smooth, channels: int) -> None:
    picture = smooth(48, 64, channels)
    stored = np.rint(picture * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(stored[:, :, 0] if channels == 1 else stored).save(file, "JPEG", quality=40)
    expected = np.asarray(Image.open(file)).reshape(picture.shape) / np.float32(255)
    assert np.abs(degrade.jpeg(picture, 40) - expected).max() <= 2 / 255


EVERYTHING = NoiseConfig(
    poisson_fraction=0.4, correlated_fraction=0.4, round_fraction=0.5, jpeg_fraction=0.4, map_error=0.2
)  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_seed_gives_the_same_damage(smooth: Smooth, channels: int) -> None:
    picture = smooth(32, 40, channels)
    results = [[degrade.add_noise(picture, _rng(seed), EVERYTHING) for seed in range(12)] for _ in range(2)]
    for first, second in zip(*results, strict=True):
        assert np.array_equal(first[0], second[0])
        assert np.array_equal(first[1], second[1])
    assert len({float(noisy.sum()) for noisy, _ in results[0]}) == 12
    for noisy, level in results[0]:
        assert noisy.shape == picture.shape
        assert level.shape == (32, 40, 1)
        assert noisy.dtype == level.dtype == np.float32
        assert np.isfinite(noisy).all()
        assert level.min() >= 0


def test_the_fractions_are_probabilities(smooth: Smooth) -> None:
    always = NoiseConfig(sigma=(10.0, 10.0), poisson_fraction=1.0, counts=(50.0, 50.0), readout=(0.0, 0.0))
    _, level = degrade.add_noise(np.full((32, 32, 1), 0.5, np.float32), _rng(), always)
    assert level.mean() == pytest.approx((0.5 / 50) ** 0.5, rel=0.1)
    never = NoiseConfig(sigma=(10.0, 10.0), round_fraction=1.0)
    noisy, level = degrade.add_noise(smooth(32, 32), _rng(), never)
    assert level.mean() == pytest.approx(10 / 255)
    np.testing.assert_array_equal(noisy, degrade.to_8_bits(noisy))


def test_after_jpeg_the_level_told_is_what_is_left_to_see(smooth: Smooth) -> None:
    config = NoiseConfig(sigma=(8.0, 8.0), jpeg_fraction=1.0, jpeg_quality=(50, 50))
    picture = smooth(64, 64)
    noisy, level = degrade.add_noise(picture, _rng(), config)
    assert level.mean() == pytest.approx(NoiseLevel.of(noisy - picture).sigma() / 255)
    assert level.mean() < 4 / 255


def test_the_map_errs_as_told(smooth: Smooth) -> None:
    config = NoiseConfig(sigma=(20.0, 20.0), map_error=0.1)
    levels = [float(degrade.add_noise(smooth(8, 8), _rng(seed), config)[1].mean()) * 255 for seed in range(300)]
    assert np.std(np.log(levels)) == pytest.approx(0.1, rel=0.15)
    assert np.exp(np.mean(np.log(levels))) == pytest.approx(20, rel=0.03)
