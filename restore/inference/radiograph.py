"""Classifies gray pictures as radiographs, so that files whose format does not say it get the X-ray weights.

The classifier is a logistic regression on the spectrum and the brightness of a thumbnail, which averages the noise away. Radiographs are
smooth, have medium contrast, and lack the hard edges and fine texture of photographs. It was fitted on whole pictures and crops, noisy and
clean; `python benchmarks/radiograph.py` fits it again.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.fft import dctn

from restore.images.frame import filled
from restore.inference import uniform_borders

SIDE = 64
MIN_FRACTION = 0.1
"""Fraction of a thumbnail's pixel that must be valid."""
BANDS = ((1, 2), (2, 4), (4, 6), (6, 9), (9, 13), (13, 19), (19, 27), (27, 38), (38, 54))
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
GRADIENTS = (50, 90, 99)

# fitted on the training folders of X-rays against photographs and paintings, see benchmarks/radiograph.py; the features, then their squares
CENTRE = (
    1.498, 1.098, -0.3934, -1.349, -2.55, -3.501, -4.323, -5.317, -6.36, 0.1455, 0.2156, 0.3716, 0.5047, 0.6292,
    0.7647, 0.8276, -3.24, -2.209, -1.59, 0.3758, 3.935, 2.016, 0.9131, 2.687, 7.404, 13.12, 19.46, 29.16, 41.48,
    0.03492, 0.0648, 0.1601, 0.2777, 0.4162, 0.6002, 0.6975, 10.7, 5.056, 2.705, 0.2492,
)  # fmt: skip
SCALE = (
    1.301, 0.9002, 0.8708, 0.9308, 0.9484, 0.9286, 0.8808, 0.9409, 1.018, 0.1173, 0.1353, 0.1484, 0.1514, 0.1422,
    0.124, 0.1117, 0.4542, 0.4225, 0.4192, 0.3285, 4.127, 1.911, 2.357, 3.824, 5.701, 7.316, 8.488, 10.73, 13.45,
    0.05191, 0.07305, 0.1166, 0.1487, 0.1675, 0.1776, 0.173, 3.14, 2.03, 1.496, 0.22,
)  # fmt: skip
COEFFICIENTS = (
    0.04291, 1.119, 0.174, 1.969, -2.908, -4.821, -1.609, -2.894, -5.048, -1.448, 0.8723, 0.152, -0.8828, 1.236,
    0.7311, 0.7262, 6.954, -0.8754, 1.54, -0.368, -0.6739, 0.2385, -0.1625, 0.9667, -1.507, -2.659, -1.904, -2.788,
    0.2907, 0.53, -0.11, -0.2865, 1.074, -0.4029, -1.436, -0.4627, 1.557, -1.23, 2.74, 0.6995,
)  # fmt: skip
INTERCEPT = -0.4598
CERTAIN = 0.5  # of pictures outside the training, 19 of 20 X-rays, 141 of 160 of their noisy crops and 2 of 249 photographs lie above


def probability(picture: np.ndarray, excluded: np.ndarray | None = None) -> float:
    """The probability that a picture is a radiograph.

    Args:
        picture: (H, W, 1|3) float32, nominal [0, 1].
        excluded: (H, W) bool, pixels that do not count, such as labels.

    Returns:
        0..1; 0 for a picture whose channels differ and for one smaller than the thumbnail.
    """
    if min(picture.shape[:2]) < SIDE or not is_gray(picture):
        return 0.0
    values = (features(picture[:, :, 0], excluded) - np.array(CENTRE)) / np.array(SCALE)
    return float(1 / (1 + np.exp(-(values @ np.array(COEFFICIENTS) + INTERCEPT))))


def is_radiograph(picture: np.ndarray, stated: bool | None = None, content: str = "auto") -> bool:
    """Whether a gray picture is a radiograph: as its file says, as the user says, or else by its content without mats and labels.

    Args:
        picture: (H, W, 1|3) float32, nominal [0, 1].
        stated: what the file says; None if it does not say.
        content: what the user says, one of `restore.tasks.options.CONTENTS`.
    """
    if stated is not None:
        return stated
    if content != "auto":
        return content == "radiograph"
    inner = uniform_borders.without(picture)
    return probability(inner, uniform_borders.labels(inner)) > CERTAIN


def is_gray(picture: np.ndarray) -> bool:
    """Whether all channels of (H, W, C) are equal, as in gray scans stored as RGB."""
    return all(np.array_equal(picture[:, :, 0], picture[:, :, channel]) for channel in range(1, picture.shape[2]))


def features(gray: np.ndarray, excluded: np.ndarray | None = None) -> np.ndarray:
    """The features (F,) of a gray picture (H, W) in nominal [0, 1], without its excluded pixels, (H, W) bool."""
    thumbnail = _thumbnail(np.clip(gray, 0, 1), excluded)
    energy = np.square(dctn(thumbnail, norm="ortho"))
    radius = np.hypot(*np.mgrid[:SIDE, :SIDE])
    spectrum = [np.log(energy[(radius >= low) & (radius < high)].mean() + 1e-6) for low, high in BANDS]
    slopes = np.hypot(*np.gradient(thumbnail))
    brightness = np.percentile(thumbnail, PERCENTILES)
    symmetry = np.corrcoef(thumbnail.ravel(), thumbnail[:, ::-1].ravel())[0, 1] if thumbnail.std() > 1e-4 else 1.0
    linear = np.array([*spectrum, *brightness, *np.log(np.percentile(slopes, GRADIENTS) + 1e-3), symmetry])
    return np.concatenate([linear, linear**2])


def _thumbnail(gray: np.ndarray, excluded: np.ndarray | None) -> np.ndarray:
    """(SIDE, SIDE) means over the pixels that are not excluded, extrapolated over the rest."""
    if excluded is None:
        return np.asarray(cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    included = (~excluded).astype(np.float32)
    total, fraction = (cv2.resize(plane, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for plane in (gray * included, included))
    valid = fraction > MIN_FRACTION
    return filled((total / np.maximum(fraction, MIN_FRACTION))[:, :, None], valid)[:, :, 0]
