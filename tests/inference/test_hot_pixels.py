"""Hot pixels stay out of the restoration; peaks of noise that neighbouring pixels share are none."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from restore.images.noise_model import NoiseLevel
from restore.inference import excluded_regions


def test_peaks_of_blurred_noise_are_no_hot_pixels(smooth: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    blurred = cv2.GaussianBlur(rng.standard_normal((400, 400)).astype(np.float32), (0, 0), 0.7)
    pixels = smooth(400, 400) + 0.1 * (blurred / blurred.std())[:, :, None]
    measured = NoiseLevel.gaussian(8)  # of 25: what the finest detail has
    assert excluded_regions.find(pixels, measured) is None
    pixels[200, 100] += 1.5
    hot = excluded_regions.find(pixels, measured)
    assert hot is not None and hot[200, 100] and np.count_nonzero(hot) == 1


def test_a_hot_pixel_of_a_smooth_picture_is_found(smooth: Callable[..., np.ndarray]) -> None:
    pixels = smooth(60, 60).copy()
    pixels[10, 10] += 0.8
    hot = excluded_regions.find(pixels, NoiseLevel.gaussian(20))
    assert hot is not None and hot[10, 10]


@pytest.mark.parametrize("dark", [0.0, 0.1, 0.3])
def test_dark_parts_change_neither(dark: float) -> None:
    rng = np.random.default_rng(1)
    clean = np.full((512, 512, 1), 0.9, np.float32)
    clean[:, : int(512 * dark)] = 0.02
    level = NoiseLevel(0.01, 1e-4)
    sigma = np.sqrt(level.variance(clean)).astype(np.float32)
    shared = cv2.GaussianBlur(rng.standard_normal(clean.shape[:2]).astype(np.float32), (0, 0), 0.5)[:, :, None]
    found = excluded_regions.find(clean + 4 * sigma * shared / shared.std(), level)
    assert found is None or np.count_nonzero(found) < 40  # of 262,144; two thousand by the measured level alone
    noisy = clean + sigma * rng.standard_normal(clean.shape).astype(np.float32)
    noisy[100:400:50, 20] += 12 * sigma[100:400:50, 20]
    found = excluded_regions.find(noisy, level)
    assert found is not None and found[100:400:50, 20].sum() >= 5 and np.count_nonzero(found) < 12
