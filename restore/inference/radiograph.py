"""Classifies gray pictures as radiographs, so that files whose format does not say it get the X-ray weights.

The classifier is a small network on the spectrum and the brightness of a thumbnail, which averages the noise away. Radiographs are
smooth, have medium contrast, and lack the hard edges and fine texture of photographs. It was trained on whole pictures and parts, noisy and
clean; `python benchmarks/radiograph.py DATASETS` trains it again.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from scipy.fft import dctn
from scipy.special import expit

from restore.images.frame import filled
from restore.inference import drawings, shipped_numbers, uniform_borders
from restore.inference.shipped_numbers import Perceptron

SIDE = 64
MIN_FRACTION = 0.1
"""Fraction of a thumbnail's pixel that must be valid."""
BANDS = ((1, 2), (2, 4), (4, 6), (6, 9), (9, 13), (13, 19), (19, 27), (27, 38), (38, 54))
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
GRADIENTS = (50, 90, 99)

TABLE = "radiograph.json"
CERTAIN = 0.5  # of pictures outside the training, 19 of 20 X-rays, 145 of 160 of their noisy parts and one of 249 photographs lie above


@functools.cache
def classifier() -> Perceptron:
    """The one that ships: the logit of the probability."""
    return shipped_numbers.perceptron(TABLE, "classifier")


def probability(picture: np.ndarray, excluded: np.ndarray | None = None) -> float:
    """The probability that a picture is a radiograph.

    Args:
        picture: (H, W, 1|3) float32, nominal [0, 1].
        excluded: (H, W) bool, pixels that do not count, such as labels.

    Returns:
        0..1; 0 for a picture whose channels differ, for one smaller than the thumbnail, and for text and line art: a thumbnail of them is
        as smooth as a radiograph.
    """
    if min(picture.shape[:2]) < SIDE or not is_gray(picture) or drawings.is_page(picture):
        return 0.0
    return float(expit(classifier()(features(picture[:, :, 0], excluded))))


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
    return np.array([*spectrum, *brightness, *np.log(np.percentile(slopes, GRADIENTS) + 1e-3), symmetry])


def _thumbnail(gray: np.ndarray, excluded: np.ndarray | None) -> np.ndarray:
    """(SIDE, SIDE) means over the pixels that are not excluded, extrapolated over the rest."""
    if excluded is None:
        return np.asarray(cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    included = (~excluded).astype(np.float32)
    total, fraction = (cv2.resize(plane, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for plane in (gray * included, included))
    valid = fraction > MIN_FRACTION
    return filled((total / np.maximum(fraction, MIN_FRACTION))[:, :, None], valid)[:, :, 0]
