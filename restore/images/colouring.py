"""Gray frames as colour frames, for steps that give colours to a gray picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from restore.images.errors import ImageError
from restore.images.frame import Frame
from restore.images.mappings import Linear, plain


def in_colour(frame: Frame) -> Frame:
    """A gray frame as red, green and blue of equal samples, alpha last; a colour frame as it is.

    Samples of 8 and 16 bits, wider integers and floats stay (`PixelMapping.in_colour`). Others become what a viewer displays in 8 or 16
    bits: 1 to 4 and 12 bits, a PGM's maxval, inverted samples, and those with a transparent colour. Such floats become normalized.

    Raises:
        ImageError: it has bands that are neither gray nor alpha.
    """
    if frame.mapping.channels == 3:
        return frame
    bands = 1 if frame.stored.ndim == 2 else frame.stored.shape[-1]
    if other := bands - 1 - (frame.mapping.alpha_channel is not None):
        raise ImageError(f"{other} of its {bands} bands are neither gray nor alpha, so it cannot get colours; export it as plain gray")
    mapping = frame.mapping.in_colour(frame.stored.dtype)
    if mapping is None:
        return _displayed(frame)
    gray = frame.stored if frame.stored.ndim == 2 else frame.stored[..., 0]
    return Frame(_stacked(gray, frame.alpha), mapping, warnings=frame.warnings)


def levels(frame: Frame) -> int | None:
    """Steps from black to white of `in_colour` of a frame; None for floats and integers of more than 16 bits."""
    dtype = frame.stored.dtype
    if dtype.kind != "u" or dtype.itemsize > 2:
        return None
    return round(frame.mapping.levels) if frame.mapping.channels == 3 else int(np.iinfo(dtype).max)


def _displayed(frame: Frame) -> Frame:
    mapping, alpha, dtype = frame.mapping, frame.alpha, frame.stored.dtype
    if dtype.kind == "f":
        gray = frame.normalized()[:, :, 0]
        stored = _stacked(gray, None if alpha is None else (alpha / mapping.opaque).astype(gray.dtype))
        return Frame(stored, Linear(0.0, 1.0, 3, alpha_channel=None if alpha is None else 3), warnings=frame.warnings)
    whole, white = (np.uint8, 255) if dtype.itemsize == 1 else (np.uint16, 65535)
    gray = np.rint(frame.displayed()[:, :, 0] * np.float32(white)).astype(whole)
    if alpha is not None:
        alpha = np.clip(np.rint(alpha.astype(np.float64) * (white / mapping.opaque)), 0, white).astype(whole)
    stored = _stacked(gray, alpha)
    return Frame(stored, replace(plain(stored), limit=(0, white)), warnings=frame.warnings)


def _stacked(gray: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """(H, W, 3|4)."""
    return np.stack([gray, gray, gray] + ([] if alpha is None else [alpha]), -1)
