"""Hot pixels stay out of the restoration; peaks of noise that neighbouring pixels share are none."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

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
