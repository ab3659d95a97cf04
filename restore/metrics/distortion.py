"""Full-reference distortion: PSNR and SSIM of arrays (H, W[, C]) in nominal [0, 1]."""

from __future__ import annotations

import cv2
import numpy as np


def psnr(result: np.ndarray, reference: np.ndarray, *, border: int = 0) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels, peak 1; infinite for equal pictures.

    Args:
        result, reference: (H, W) or (H, W, C), the same shape.
        border: pixels left out on every side.

    Raises:
        ValueError: the shapes differ, or the border leaves nothing.
    """
    first, second = _pair(result, reference, border)
    error = float(np.mean(np.square(first - second)))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(result: np.ndarray, reference: np.ndarray, *, border: int = 0) -> float:
    """Structural similarity (Wang et al. 2004): 11 x 11 Gaussian window of sigma 1.5, K1 0.01, K2 0.03, mean over channels.

    Only windows that lie wholly inside the picture count, as in the authors' code.

    Args:
        result, reference: (H, W) or (H, W, C), the same shape, at least 11 x 11 within the border.
        border: pixels left out on every side.

    Raises:
        ValueError: the shapes differ or are too small.
    """
    first, second = _pair(result, reference, border)
    if min(first.shape[:2]) < 11:
        raise ValueError(f"SSIM needs at least 11 x 11 pixels, not {first.shape[0]} x {first.shape[1]}")

    def smooth(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (11, 11), 1.5)[5:-5, 5:-5]

    mean1, mean2 = smooth(first), smooth(second)
    spread1, spread2 = smooth(first * first) - mean1**2, smooth(second * second) - mean2**2
    together = smooth(first * second) - mean1 * mean2
    c1, c2 = 0.01**2, 0.03**2
    index = (2 * mean1 * mean2 + c1) * (2 * together + c2) / ((mean1**2 + mean2**2 + c1) * (spread1 + spread2 + c2))
    return float(index.mean())


def _pair(result: np.ndarray, reference: np.ndarray, border: int) -> tuple[np.ndarray, np.ndarray]:
    if result.shape != reference.shape:
        raise ValueError(f"the pictures differ in shape: {result.shape} against {reference.shape}")
    if min(result.shape[:2]) <= 2 * border:
        raise ValueError(f"nothing is left of {result.shape[0]} x {result.shape[1]} pixels without a border of {border}")
    inner = (slice(border, -border or None),) * 2
    return result[inner].astype(np.float64), reference[inner].astype(np.float64)
