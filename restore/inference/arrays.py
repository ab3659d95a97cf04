"""Conversions between arrays (H, W, C) and tensors (B, C, H, W), and between stored integers and floats."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.networks.resample import enlarge


def upscale_cubic(picture: np.ndarray, scale: int) -> np.ndarray:
    """(H, W, C) float32 -> (scale H, scale W, C) by the cubic kernel."""
    planes = to_tensor([picture]).contiguous(memory_format=torch.channels_last)  # the memory layout of an array (H, W, C)
    return np.ascontiguousarray(enlarge(planes, scale)[0].permute(1, 2, 0).numpy())


def to_float(picture: np.ndarray) -> np.ndarray:
    """Convert integers over their full range, or floats, to float32 in nominal [0, 1]."""
    white = np.iinfo(picture.dtype).max if picture.dtype.kind in "ui" else 1
    return picture.astype(np.float32) / np.float32(white)


def to_dtype(picture: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Undo `to_float`; integers are rounded and clamped."""
    if dtype.kind not in "ui":
        return picture.astype(dtype)
    limits = np.iinfo(dtype)
    wide = np.float64 if dtype.itemsize > 2 else np.float32  # float32 has no 2**32 - 1
    return np.asarray(np.rint(np.clip(picture * wide(limits.max), limits.min, limits.max)).astype(dtype))


def to_tensor(pieces: Sequence[np.ndarray]) -> Tensor:
    """Arrays (H, W, C) of one shape -> (B, C, H, W) float32."""
    return torch.from_numpy(np.stack([piece.transpose(2, 0, 1) for piece in pieces]).astype(np.float32, copy=False))


def match_channels(picture: Tensor, condition: Tensor | None, channels: int) -> list[Tensor]:
    """Convert pictures (B, 1|3, H, W) and their condition, if any, to the channels of a network.

    A gray network gets three colours as three pictures. A colour network gets gray as three equal colours.
    """
    colours = picture.shape[1]
    if channels == 1 and colours == 3:
        picture = picture.flatten(0, 1)[:, None]
        condition = condition.repeat_interleave(3, 0) if condition is not None else None
    elif channels == 3 and colours == 1:
        picture = picture.expand(-1, 3, -1, -1)
    return [picture] if condition is None else [picture, condition]


def merge_channels(output: Tensor, colours: int) -> Tensor:
    """Undo `match_channels` on a network's output: (N, C, H, W) -> (B, colours, H, W)."""
    channels = output.shape[1]
    if channels == 1 and colours == 3:
        return torch.unflatten(output, 0, (-1, 3))[:, :, 0]
    if channels == 3 and colours == 1:
        return output.mean(1, keepdim=True)
    return output


MIN_SIDE = 32
"""Smallest side in pixels of a network's input. oneDNN's bf16 channels-last convolutions give wrong and varying results for maps two
pixels wide, and a U-Net has such maps for a picture of 8 pixels. Tiles of larger pictures are never so narrow."""


def pad(picture: Tensor, multiple: int) -> Tensor:
    """Reflect (B, C, H, W) at its lower and right edge until its sides are multiples of `multiple` and at least MIN_SIDE."""
    for axis in (2, 3):
        length = picture.shape[axis]
        target = max(length, MIN_SIDE)
        target += -target % multiple
        if target > length:
            picture = picture.index_select(axis, _reflected(length, target))
    return picture


def _reflected(length: int, target: int) -> Tensor:
    """`target` indices that run from 0 to length - 1, back and forth, without repeating an end."""
    period = max(1, 2 * (length - 1))
    index = torch.arange(target) % period
    return torch.minimum(index, period - index) if length > 1 else torch.zeros(target, dtype=torch.long)


def is_eight_bit(picture: np.ndarray) -> bool:
    """Whether all values in a sample of a picture (H, W, C) are multiples of 1 / 255."""
    steps = max(1, int(np.sqrt(picture.shape[0] * picture.shape[1] / 4096)))
    sample = picture[::steps, ::steps] * np.float32(255)
    return bool(np.abs(sample - np.rint(sample)).max(initial=0) < 1e-3)


def local_mean(picture: np.ndarray, where: np.ndarray, deviation: float) -> np.ndarray:
    """Gaussian mean around each pixel over the pixels in a mask.

    Args:
        picture: (H, W, C) float32.
        where: (H, W) bool, the pixels that count.
        deviation: standard deviation of the Gaussian, in pixels.

    Returns:
        (H, W, C) float32; 0 where no such pixel is near.
    """
    weight = where[:, :, None].astype(np.float32)
    total, count = (cv2.GaussianBlur(x, (0, 0), deviation).reshape(x.shape) for x in (picture * weight, weight))
    return np.asarray(total / np.maximum(count, 1e-3))


def first_of_each(rows: np.ndarray) -> np.ndarray:
    """The index of the first of each set of equal rows, in their order: (rows, values) -> (sets,)."""
    rows = np.ascontiguousarray(rows)
    _, first = np.unique(rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0], return_index=True)
    return np.sort(first)
