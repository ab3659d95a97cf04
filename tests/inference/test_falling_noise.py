"""Noise of cameras, which falls with brightness."""

from __future__ import annotations

import numpy as np
import pytest

from restore.images.noise_model import NoiseLevel
from restore.inference.noise_estimation import estimate


def _ramp(channels: int = 1) -> np.ndarray:
    """(256, 384, C) with every brightness from 0.1 to 0.9."""
    ramp = np.linspace(0.1, 0.9, 384, dtype=np.float32)
    return np.repeat(np.repeat(ramp[None, :, None], 256, 0), channels, 2)


def _sigma(brightness: np.ndarray) -> np.ndarray:
    """20 of 255 in the dark, 8 in the light."""
    return np.asarray((8 + 12 * (1 - brightness) ** 3) / 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_that_falls_with_brightness_is_measured(channels: int) -> None:
    clean = _ramp(channels)
    noisy = clean + (np.random.default_rng(3).standard_normal(clean.shape) * _sigma(clean)).astype(np.float32)
    found = estimate(noisy)
    for brightness in (0.15, 0.3, 0.5, 0.8):
        assert found.level.sigma(brightness) == pytest.approx(255 * float(_sigma(np.float64(brightness))), rel=0.12)
    assert found.confidence() > 0.95
    assert not found.correlated


def test_even_noise_has_no_curve() -> None:
    clean = _ramp()
    for sigma in (3, 10, 25):
        noisy = clean + np.random.default_rng(sigma).standard_normal(clean.shape).astype(np.float32) * np.float32(sigma / 255)
        assert not estimate(noisy).level.curve


def test_texture_in_the_dark_is_no_noise() -> None:
    rng = np.random.default_rng(4)
    clean = _ramp()
    rough = rng.standard_normal((128, 192, 1)).astype(np.float32).repeat(2, 0).repeat(2, 1)
    noisy = clean + 0.05 * rough * (1 - clean) ** 3 + rng.standard_normal(clean.shape).astype(np.float32) * np.float32(3 / 255)
    assert not estimate(noisy).level.curve


def test_a_curve_is_interpolated_scaled_and_moved() -> None:
    level = NoiseLevel(constant=0.04, curve=((0.2, 0.04), (0.6, 0.01)))
    np.testing.assert_allclose(level.variance(np.array([0.0, 0.2, 0.4, 0.6, 1.0])), [0.04, 0.04, 0.025, 0.01, 0.01])
    np.testing.assert_allclose(level.scaled(2.0).variance(np.array([0.2, 0.6])), [0.16, 0.04])
    np.testing.assert_allclose(level.within(0.1, 2.0).variance(np.array([0.05, 0.25])), [0.01, 0.0025])
    assert not level.even
    assert str(level) == "sigma 51.0 in the dark to 25.5 in the light, of 255"
    noise_map = level.map(np.full((6, 6, 3), 0.4, np.float32))
    np.testing.assert_allclose(noise_map, np.full((6, 6, 1), np.sqrt(0.025)), rtol=1e-5)
    assert noise_map.dtype == np.float32


def test_of_many_pixels_a_table_is_read() -> None:
    level = NoiseLevel(constant=0.04, curve=((0.2, 0.04), (0.6, 0.01)))
    many = np.linspace(0, 1, 20_000, dtype=np.float32)
    np.testing.assert_allclose(level.variance(many), np.interp(many, (0.2, 0.6), (0.04, 0.01)), atol=1e-5)
    assert level.variance(many).dtype == np.float32
