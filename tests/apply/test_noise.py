"""Blind noise estimation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.fft import dctn

from restore.apply.noise import confidence, estimate
from restore.datasets.degrade import gaussian, poisson_gaussian
from restore.images.noise import NoiseLevel, dct

Smooth = Callable[..., np.ndarray]


@pytest.mark.parametrize("sigma", [10, 25, 50])
@pytest.mark.parametrize("channels", [1, 3])
def test_gaussian_noise_within_a_tenth(smooth: Smooth, sigma: float, channels: int) -> None:
    noisy, _ = gaussian(smooth(192, 192, channels), sigma / 255, np.random.default_rng(0))
    assert estimate(noisy).sigma() == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize(("counts", "readout"), [(50.0, 12.0), (200.0, 8.0)])
def test_quantum_noise_within_fifteen_hundredths(counts: float, readout: float) -> None:
    ramp = np.linspace(0.05, 0.95, 384, dtype=np.float32)
    picture = np.broadcast_to(ramp, (384, 384))[:, :, None]
    noisy, truth = poisson_gaussian(picture, counts, readout / 255, np.random.default_rng(1))
    found = estimate(noisy, signal_dependent=True)
    assert found.slope == pytest.approx(truth.slope, rel=0.15)
    assert found.constant == pytest.approx(truth.constant, rel=0.15)


def test_no_noise_is_found_where_none_is(smooth: Smooth) -> None:
    assert estimate(smooth(128, 128)).sigma() < 0.5
    assert estimate(np.full((64, 64, 1), 0.5, np.float32), signal_dependent=True).sigma() < 0.1


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 200, 1), (9, 9, 3)])
def test_too_small_a_picture_has_none(shape: tuple[int, int, int]) -> None:
    assert estimate(np.random.default_rng(0).random(shape, np.float32)) == NoiseLevel()


def test_clipped_borders_do_not_hide_the_noise(smooth: Smooth) -> None:
    noisy, _ = gaussian(smooth(256, 256), 20 / 255, np.random.default_rng(2))
    noisy[:, :90] = 0  # a collimator's black
    assert estimate(noisy).sigma() == pytest.approx(20, rel=0.1)


def test_a_blind_estimate_of_little_noise_is_trusted_less() -> None:
    shares = [confidence(NoiseLevel.gaussian(sigma)) for sigma in (0.0, 3.0, 5.0, 8.0, 50.0)]
    assert shares == sorted(shares)
    assert shares[0] == shares[1] == 0.6
    assert shares[3] == shares[4] == 1


@pytest.mark.parametrize("count", [0, 1, 64, 100])
def test_the_coefficients_are_those_of_the_orthonormal_dct(count: int) -> None:
    blocks = np.random.default_rng(0).random((count, 8, 8), np.float32)
    expected = dctn(blocks, axes=(1, 2), norm="ortho") if count else blocks
    np.testing.assert_allclose(dct(blocks), expected, atol=2e-6)
