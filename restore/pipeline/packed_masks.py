"""Masks of a picture's frames, as bits, until all frames are restored."""

from __future__ import annotations

import numpy as np

from restore.pipeline.step import Masks

Packed = tuple[tuple[np.ndarray, tuple[int, ...]] | None, ...]
"""For each mask its bits and its shape; None where there is none."""


def pack(masks: Masks) -> Packed:
    """(H, W) bool each -> their bits."""
    return tuple(None if mask is None else (np.packbits(mask), mask.shape) for mask in masks)


def unpack(packed: Packed) -> Masks:
    """Undo `pack`."""
    return tuple(None if one is None else np.unpackbits(one[0], count=one[1][0] * one[1][1]).reshape(one[1]).astype(bool) for one in packed)
