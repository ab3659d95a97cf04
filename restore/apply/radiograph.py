"""Is this gray picture a radiograph? For files whose format does not say, so that they get the X-ray weights.

A logistic regression on a thumbnail's spectrum and brightness: radiographs are smooth, of middle contrast, and lack the hard
edges and fine texture of photographs. The thumbnail averages the noise away. Refitted by `python benchmarks/radiograph.py`.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.fft import dctn

SIDE = 64
BANDS = ((1, 2), (2, 4), (4, 6), (6, 9), (9, 13), (13, 19), (19, 27), (27, 38), (38, 54))
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
GRADIENTS = (50, 90, 99)

# fitted on the training folders of X-rays against photographs and paintings, see benchmarks/radiograph.py
CENTRE = (
    1.719, 0.985, -0.373, -1.245, -2.295, -3.208, -4.141, -5.176, -6.258, 0.1258, 0.1831, 0.3388, 0.4697, 0.602, 0.7581,
    0.8281, -3.27, -2.14, -1.494, 0.2979,
)  # fmt: skip
SCALE = (
    1.365, 0.9527, 0.8054, 0.8209, 0.8011, 0.778, 0.8022, 0.9173, 1.045, 0.1044, 0.1246, 0.1364, 0.1423, 0.142, 0.1353,
    0.1212, 0.4451, 0.3947, 0.3643, 0.3295,
)  # fmt: skip
COEFFICIENTS = (
    0.2123, 1.752, 0.9347, 0.8827, -0.3138, 1.243, 2.067, -0.9019, -5.636, 0.06657, -0.5067, 1.248, 0.2224, -0.2779,
    -0.1404, -0.3668, 2.164, -0.6821, -2.404, 0.3398,
)  # fmt: skip
INTERCEPT = -2.236
CERTAIN = 0.5  # 19 of 20 unseen X-rays and no one of 249 unseen photographs lie above


def probability(picture: np.ndarray) -> float:
    """The probability that a picture is a radiograph.

    Args:
        picture: (H, W, 1|3) float32, nominal [0, 1].

    Returns:
        0..1; 0 for a colour picture (whose channels differ) and for one smaller than the thumbnail.
    """
    if min(picture.shape[:2]) < SIDE or not is_gray(picture):
        return 0.0
    values = (features(picture[:, :, 0]) - np.array(CENTRE)) / np.array(SCALE)
    return float(1 / (1 + np.exp(-(values @ np.array(COEFFICIENTS) + INTERCEPT))))


def is_gray(picture: np.ndarray) -> bool:
    """Whether all channels of (H, W, C) are the same, as in gray scans stored as RGB."""
    return all(np.array_equal(picture[:, :, 0], picture[:, :, channel]) for channel in range(1, picture.shape[2]))


def features(gray: np.ndarray) -> np.ndarray:
    """(F,) features of a gray picture (H, W) in nominal [0, 1]."""
    thumbnail = cv2.resize(np.clip(gray, 0, 1), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    energy = np.square(dctn(thumbnail, norm="ortho"))
    radius = np.hypot(*np.mgrid[:SIDE, :SIDE])
    spectrum = [np.log(energy[(radius >= low) & (radius < high)].mean() + 1e-6) for low, high in BANDS]
    slopes = np.hypot(*np.gradient(thumbnail))
    brightness = np.percentile(thumbnail, PERCENTILES)
    mirrored = np.corrcoef(thumbnail.ravel(), thumbnail[:, ::-1].ravel())[0, 1] if thumbnail.std() > 1e-4 else 1.0
    return np.array([*spectrum, *brightness, *np.log(np.percentile(slopes, GRADIENTS) + 1e-3), mirrored])
