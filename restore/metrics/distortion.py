"""Full-reference distortion of arrays (H, W[, C]) in nominal [0, 1]: PSNR, PSNR-B, SSIM, MS-SSIM and GMSD."""

from __future__ import annotations

import cv2
import numpy as np

WINDOW = 11
"""Side of the Gaussian window of SSIM, in pixels."""
BAND_ROWS = 64
"""Rows of windows of SSIM that are computed at a time."""
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of MS-SSIM's scales, fine to coarse (Wang et al. 2003, section 3.2)."""
BLOCK = 8
"""Side of a JPEG block, in pixels."""


def psnr(result: np.ndarray, reference: np.ndarray, *, border: int = 0) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels, peak 1; infinite for equal pictures.

    Args:
        result, reference: (H, W) or (H, W, C), the same shape.
        border: pixels left out on every side.

    Raises:
        ValueError: the shapes differ, or the border leaves nothing.
    """
    kind = np.result_type(result, reference, np.float32)
    first, second = (np.asarray(one, kind) for one in _inner(result, reference, border))
    return _decibels(cv2.norm(first, second, cv2.NORM_L2SQR) / first.size)  # in one pass, summed in float64


def psnr_b(result: np.ndarray, reference: np.ndarray) -> float:
    """PSNR-B in dB, peak 1: the error includes how much the result's 8 x 8 blocks show (Yim and Bovik 2011, eq. 1-9).

    Args:
        result, reference: (H, W) or (H, W, C), the same shape, at least 16 x 16. The blocks start at the first pixel. The error is
            the mean over channels.

    Raises:
        ValueError: the shapes differ or are too small.
    """
    first, second = _pair(result, reference)
    _check_side(first, 2 * BLOCK, "PSNR-B")
    first, second = _channels(first), _channels(second)
    blocking = np.mean([_blocking(first[:, :, channel]) for channel in range(first.shape[2])])
    return _decibels(float(np.mean(np.square(first - second)) + blocking))


def ssim(result: np.ndarray, reference: np.ndarray, *, border: int = 0) -> float:
    """Structural similarity (Wang et al. 2004): 11 x 11 Gaussian window of sigma 1.5, K1 0.01, K2 0.03, mean over channels.

    Only windows that lie wholly inside the picture count, as in the authors' code.

    Args:
        result, reference: (H, W) or (H, W, C), the same shape, at least 11 x 11 within the border.
        border: pixels left out on every side.

    Raises:
        ValueError: the shapes differ or are too small.
    """
    first, second = _inner(result, reference, border)
    _check_side(first, WINDOW, "SSIM")
    return _mean_similarity(first, second)[0]


def ms_ssim(result: np.ndarray, reference: np.ndarray) -> float:
    """Multi-scale structural similarity (Wang et al. 2003): SSIM's window on five scales, each half of the one before.

    A negative mean of contrast and structure counts as 0, for its power is not real.

    Args:
        result, reference: (H, W) or (H, W, C), the same shape, at least 176 x 176.

    Raises:
        ValueError: the shapes differ or are too small.
    """
    first, second = _pair(result, reference)
    _check_side(first, WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1), "MS-SSIM")
    product = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        whole, contrast = _mean_similarity(first, second)
        product *= max(0.0, whole if scale == len(SCALE_WEIGHTS) - 1 else contrast) ** weight
        first, second = _halved(first), _halved(second)
    return product


def gmsd(result: np.ndarray, reference: np.ndarray) -> float:
    """Gradient magnitude similarity deviation of the luma (Xue et al. 2014, eq. 1-6, c = 170 of 255^2); 0 is equal, higher is worse.

    Args:
        result, reference: (H, W) or (H, W, C), C 1 or 3, the same shape, at least 8 x 8.

    Raises:
        ValueError: the shapes differ or are too small.
    """
    first, second = _pair(result, reference)
    _check_side(first, 8, "GMSD")
    magnitudes = [_gradient(_halved(_luma(picture))) for picture in (first, second)]
    c = 170 / 255**2
    similarity = (2 * magnitudes[0] * magnitudes[1] + c) / (magnitudes[0] ** 2 + magnitudes[1] ** 2 + c)
    return float(similarity.std())


def _luma(picture: np.ndarray) -> np.ndarray:
    """(H, W[, C]) -> (H, W): the luma of ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), full range; gray as it is."""
    picture = _channels(picture)
    return np.asarray(picture @ np.array([0.299, 0.587, 0.114]) if picture.shape[2] == 3 else picture.mean(axis=2))


def _pair(result: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64."""
    first, second = _inner(result, reference)
    return first.astype(np.float64), second.astype(np.float64)


def _inner(result: np.ndarray, reference: np.ndarray, border: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Both without the border, not copied."""
    if result.shape != reference.shape:
        raise ValueError(f"the pictures differ in shape: {result.shape} against {reference.shape}")
    if min(result.shape[:2]) <= 2 * border:
        raise ValueError(f"nothing is left of {result.shape[0]} x {result.shape[1]} pixels without a border of {border}")
    inner = (slice(border, -border or None),) * 2
    return result[inner], reference[inner]


def _channels(picture: np.ndarray) -> np.ndarray:
    return picture[:, :, None] if picture.ndim == 2 else picture


def _check_side(picture: np.ndarray, side: int, name: str) -> None:
    if min(picture.shape[:2]) < side:
        raise ValueError(f"{name} needs at least {side} x {side} pixels, not {picture.shape[0]} x {picture.shape[1]}")


def _decibels(error: float) -> float:
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def _mean_similarity(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The means over all windows of SSIM, and of its product of contrast and structure.

    Computed in bands of rows: their arrays fit the processor's cache, which halves the time, and no array is as large as the picture.
    """
    sums, count = np.zeros(2), 0
    for top in range(0, first.shape[0] - WINDOW + 1, BAND_ROWS):
        rows = slice(top, top + BAND_ROWS + WINDOW - 1)
        luminance, contrast = _similarity(first[rows], second[rows])
        luminance *= contrast
        sums += [float(terms.sum(dtype=np.float64)) for terms in (luminance, contrast)]
        count += contrast.size
    whole, contrast_alone = sums / count
    return float(whole), float(contrast_alone)


def _similarity(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The luminance term, and the product of contrast and structure, for each window (Wang et al. 2004, eq. 6, 9, 10), float32.

    With the sum s and the difference d of the pictures, 2 xy = (s^2 - d^2) / 2 and x^2 + y^2 = (s^2 + d^2) / 2, for means as for
    variances. The sum is centred: float32 then keeps variances to about 1e-8, and 1 - SSIM is a multiple of the difference's.
    """
    total, difference = first + second, first - second
    centre = total.mean()
    total -= centre
    mean, variance = _moments(total.astype(np.float32, copy=False))
    mean_difference, variance_difference = _moments(difference.astype(np.float32, copy=False))
    mean += np.float32(centre)
    luminance = _ratio(np.square(mean, out=mean), np.square(mean_difference, out=mean_difference), 2 * 0.01**2)
    return luminance, _ratio(variance, variance_difference, 2 * 0.03**2)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weighted mean and variance of each whole window."""
    half = WINDOW // 2
    mean, variance = (cv2.GaussianBlur(plane, (WINDOW, WINDOW), 1.5)[half:-half, half:-half] for plane in (values, np.square(values)))
    variance -= np.square(mean)
    return mean, variance


def _ratio(total: np.ndarray, difference: np.ndarray, constant: float) -> np.ndarray:
    """(total - difference + constant) / (total + difference + constant)."""
    total += np.float32(constant)
    return np.asarray((total - difference) / (total + difference))


def _halved(picture: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    return np.asarray(picture[:height, :width].reshape(height // 2, 2, width // 2, 2, *picture.shape[2:]).mean(axis=(1, 3)))


def _gradient(picture: np.ndarray) -> np.ndarray:
    """(H, W) -> the magnitude of Prewitt's gradient (thirds; zeros around the picture)."""
    along = np.array([[1, 0, -1]] * 3) / 3
    parts = [cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_CONSTANT) for kernel in (along, along.T)]
    return np.asarray(np.hypot(*parts))


def _blocking(plane: np.ndarray) -> float:
    """The blocking effect factor of (H, W): how much larger steps across 8 x 8 blocks are than other steps; 0 if they are not."""
    height, width = plane.shape
    rows, columns = (np.square(np.diff(plane, axis=axis)) for axis in (0, 1))
    boundary = float(rows[BLOCK - 1 :: BLOCK].sum() + columns[:, BLOCK - 1 :: BLOCK].sum())
    inside = float(rows.sum() + columns.sum()) - boundary
    # the paper's counts of steps (below eq. 2), which torchmetrics uses too
    boundaries = 2 * (height * width / BLOCK - 1)
    others = height * (width - 1) + width * (height - 1) - boundaries
    excess = boundary / boundaries - inside / others
    return excess * np.log2(BLOCK) / np.log2(min(plane.shape)) if excess > 0 else 0.0
