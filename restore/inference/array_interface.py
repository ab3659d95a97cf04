"""Applies a model to a user's array or tensor of any type and returns the same kind and type."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from restore.images.frame import filled
from restore.inference.arrays import to_dtype, to_float, upscale_cubic

Restore = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
"""(H, W, 1|3) float32 and its valid pixels, (H, W) bool or None for all -> (scale H, scale W, 1|3) float32, perhaps in colour."""
Picture = TypeVar("Picture", np.ndarray, Tensor)


FRACTION = {"range": (0, 1)}
"""What `limits.check` asks of a strength."""


def apply(picture: Picture, restore: Restore, scale: int = 1) -> Picture:
    """Restore a user's picture.

    Args:
        picture: an array (H, W) or (H, W, C), C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha, integers over their type's full
            range or floats in nominal [0, 1]; or a tensor (B, C, H, W) in nominal [0, 1].
        restore: restores normalized pixels.
        scale: how many times as high and wide the result is.

    Returns:
        The same kind and type, with the channels that `restore` gives and alpha. Integers are clipped to their range. Alpha is kept; where
        `scale` is above 1, the cubic kernel upscales it.

    Raises:
        ValueError: the shape or type is not that of a picture.
    """
    if isinstance(picture, Tensor):
        if picture.dim() != 4 or not picture.is_floating_point():
            raise ValueError(f"a tensor must be (B, C, H, W) of floats, not {tuple(picture.shape)} of {picture.dtype}")
        arrays = [item.detach().permute(1, 2, 0).float().cpu().numpy() for item in picture]
        restored = [_array(array, restore, scale) for array in arrays]
        return torch.stack([torch.from_numpy(item).permute(2, 0, 1) for item in restored]).to(picture)
    return _array(picture, restore, scale)


def _array(picture: np.ndarray, restore: Restore, scale: int) -> np.ndarray:
    shape = picture.shape
    if picture.ndim == 2:
        picture = picture[:, :, None]
    if picture.ndim != 3 or picture.shape[2] not in {1, 2, 3, 4} or 0 in picture.shape:
        raise ValueError(f"a picture must be (H, W) or (H, W, C) with 1 to 4 channels, not {shape}")
    if picture.dtype.kind not in "uif":
        raise ValueError(f"a picture must hold integers or floats, not {picture.dtype}")
    if picture.dtype.kind in "ui" and picture.dtype.itemsize == 8:  # numpy's default, not the depth of a picture
        raise ValueError(f"{picture.dtype} does not say how deep the picture is: convert it to uint8 or uint16, or to floats in [0, 1]")
    colours = 1 if picture.shape[2] < 3 else 3
    values = to_float(picture[:, :, :colours])
    finite = np.isfinite(values).all(axis=2)
    valid = None if finite.all() else finite
    restored = restore(values if valid is None else filled(np.where(finite[:, :, None], values, 0), finite), valid)
    if valid is not None and scale == 1:
        restored[~finite] = values[~finite]
    made = restored.shape[2]
    out = np.empty((*restored.shape[:2], made + picture.shape[2] - colours), picture.dtype)
    out[:, :, :made] = to_dtype(restored, picture.dtype)
    alpha = picture[:, :, colours:]
    if alpha.size:
        out[:, :, made:] = alpha if scale == 1 else to_dtype(upscale_cubic(to_float(alpha), scale), picture.dtype)
    return out[:, :, 0] if len(shape) == 2 and made == 1 else out
