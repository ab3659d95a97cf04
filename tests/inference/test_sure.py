"""Monte-Carlo SURE against the true PSNR, and where it gives no number."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from restore.datasets.degrade import gaussian, poisson_gaussian, to_8_bits
from restore.images.noise_model import NoiseLevel
from restore.inference import sure
from restore.inference.sure import expected_psnr

Smooth = Callable[..., np.ndarray]


def _median(pixels: np.ndarray) -> np.ndarray:
    """A non-linear denoiser whose divergence is not known in closed form."""
    return np.asarray(0.5 * cv2.medianBlur(pixels, 3) + 0.5 * cv2.GaussianBlur(pixels, (0, 0), 1.5)).reshape(pixels.shape)


def _psnr(result: np.ndarray, clean: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(result - clean).mean()))


@pytest.mark.parametrize("sigma", [5, 25, 60])
@pytest.mark.parametrize("side", [256, 700])
def test_white_noise(smooth: Smooth, sigma: float, side: int) -> None:
    clean = smooth(side, side)
    noisy, level = gaussian(clean, sigma / 255, np.random.default_rng(1))
    quality = expected_psnr(noisy, _median(noisy), level, _median, correlated=False)
    assert quality.psnr == pytest.approx(_psnr(_median(noisy), clean), abs=0.3)


@pytest.mark.parametrize("counts", [20, 200])
def test_quantum_noise(smooth: Smooth, counts: float) -> None:
    clean = smooth(300, 300)
    noisy, level = poisson_gaussian(clean, counts, 2 / 255, np.random.default_rng(2))
    quality = expected_psnr(noisy, _median(noisy), level, _median, correlated=False)
    assert quality.psnr == pytest.approx(_psnr(_median(noisy), clean), abs=0.4)


def test_the_divergence_counts(smooth: Smooth) -> None:
    """A denoiser that does nothing has the noise's own PSNR: without the divergence the estimate would be infinite."""
    clean = smooth(256, 256)
    noisy, level = gaussian(clean, 20 / 255, np.random.default_rng(3))

    def shift(pixels: np.ndarray) -> np.ndarray:
        return pixels + np.float32(1e-4)

    quality = expected_psnr(noisy, shift(noisy), level, shift, correlated=False)
    assert quality.psnr == pytest.approx(_psnr(noisy, clean), abs=0.2)


def test_correlated_noise_has_no_number(smooth: Smooth) -> None:
    noisy = smooth(64, 64)
    quality = expected_psnr(noisy, _median(noisy), NoiseLevel.gaussian(10), _median, correlated=True)
    assert quality.psnr is None
    assert "correlated" in quality.doubt


def test_clipped_noise_has_no_number(smooth: Smooth) -> None:
    noisy, level = gaussian(smooth(128, 128) * 0.3, 40 / 255, np.random.default_rng(4))
    stored = to_8_bits(noisy)
    quality = expected_psnr(stored, _median(stored), level, _median, correlated=False)
    assert quality.psnr is None
    assert "clipped" in quality.doubt


def test_a_level_far_too_high_has_no_number(smooth: Smooth) -> None:
    clean = smooth(128, 128)
    noisy, _ = gaussian(clean, 3 / 255, np.random.default_rng(5))
    quality = expected_psnr(noisy, _median(noisy), NoiseLevel.gaussian(40), _median, correlated=False)
    assert quality.psnr is None
    assert "too high" in quality.doubt


def test_pixels_that_stay_are_not_counted(smooth: Smooth) -> None:
    clean = smooth(256, 256)
    noisy, level = gaussian(clean, 20 / 255, np.random.default_rng(6))

    def framed(pixels: np.ndarray) -> np.ndarray:
        result = _median(pixels)
        result[:, :100] = pixels[:, :100]
        return result

    quality = expected_psnr(noisy, framed(noisy), level, framed, correlated=False)
    assert quality.psnr == pytest.approx(_psnr(_median(noisy)[:, 100:], clean[:, 100:]), abs=0.4)


def test_large_pictures_cost_no_more_than_a_small_one() -> None:
    for height, width in ((5000, 7000), (100, 9000), (sure.REGIONS * sure.SIDE + 1, 600)):
        parts = list(sure.regions(height, width))
        pixels = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in parts)
        assert pixels <= (sure.REGIONS * sure.SIDE) ** 2
        assert max(rows.stop for rows, _ in parts) == height
        assert max(columns.stop for _, columns in parts) == width


def test_the_probe_is_small_enough() -> None:
    assert sure.STEP <= 0.03
