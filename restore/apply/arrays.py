"""Pictures as arrays (H, W, C) and as tensors (B, C, H, W), and the way between stored integers and floats."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from restore.networks.resample import enlarge


def enlarged(picture: np.ndarray, scale: int) -> np.ndarray:
    """(H, W, C) float32 -> (scale H, scale W, C) by the cubic kernel."""
    planes = tensor([picture]).contiguous(memory_format=torch.channels_last)  # so that the result lies as an array does
    return np.ascontiguousarray(enlarge(planes, scale)[0].permute(1, 2, 0).numpy())


def floats(picture: np.ndarray) -> np.ndarray:
    """Integers over their full range, or floats, as float32 in nominal [0, 1]."""
    white = np.iinfo(picture.dtype).max if picture.dtype.kind in "ui" else 1
    return picture.astype(np.float32) / np.float32(white)


def stored(picture: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Undo `floats`; integers are rounded and clamped."""
    if dtype.kind not in "ui":
        return picture.astype(dtype)
    limits = np.iinfo(dtype)
    return np.rint(np.clip(picture * np.float32(limits.max), limits.min, limits.max)).astype(dtype)


def tensor(pieces: list[np.ndarray]) -> Tensor:
    """Arrays (H, W, C) of one shape -> (B, C, H, W) float32."""
    return torch.from_numpy(np.stack([piece.transpose(2, 0, 1) for piece in pieces]).astype(np.float32, copy=False))
