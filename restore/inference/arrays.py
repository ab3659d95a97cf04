"""Pictures as arrays (H, W, C) and as tensors (B, C, H, W), and the way between stored integers and floats."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
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


def tensor(pieces: Sequence[np.ndarray]) -> Tensor:
    """Arrays (H, W, C) of one shape -> (B, C, H, W) float32."""
    return torch.from_numpy(np.stack([piece.transpose(2, 0, 1) for piece in pieces]).astype(np.float32, copy=False))


def fitting(picture: Tensor, condition: Tensor | None, channels: int) -> list[Tensor]:
    """Pictures (B, 1|3, H, W) and their condition, if any, for a network of so many channels.

    A gray network takes three colours as three pictures, a colour network gray as three equal colours.
    """
    colours = picture.shape[1]
    if channels == 1 and colours == 3:
        picture = picture.flatten(0, 1)[:, None]
        condition = condition.repeat_interleave(3, 0) if condition is not None else None
    elif channels == 3 and colours == 1:
        picture = picture.expand(-1, 3, -1, -1)
    return [picture] if condition is None else [picture, condition]


def fitted_back(answer: Tensor, colours: int) -> Tensor:
    """What a network made of `fitting` pictures that had so many colours: (N, C, H, W) -> (B, colours, H, W)."""
    channels = answer.shape[1]
    if channels == 1 and colours == 3:
        return torch.unflatten(answer, 0, (-1, 3))[:, :, 0]
    if channels == 3 and colours == 1:
        return answer.mean(1, keepdim=True)
    return answer


NARROWEST = 32
"""The least side in pixels that a network is given. oneDNN's bf16 channels-last convolutions give wrong and varying results for maps two
pixels wide, which a U-Net makes of a picture of 8. No tile of a larger picture is so narrow."""


def padded(picture: Tensor, multiple: int) -> Tensor:
    """(B, C, H, W) reflected at its lower and right edge until its sides are multiples of `multiple` and at least NARROWEST."""
    for axis in (2, 3):
        length = picture.shape[axis]
        wanted = max(length, NARROWEST)
        wanted += -wanted % multiple
        if wanted > length:
            picture = picture.index_select(axis, _mirrored(length, wanted))
    return picture


def _mirrored(length: int, wanted: int) -> Tensor:
    """Indices 0 .. length - 1 and on, back and forth without doubling an end: as many as wanted."""
    period = max(1, 2 * (length - 1))
    index = torch.arange(wanted) % period
    return torch.minimum(index, period - index) if length > 1 else torch.zeros(wanted, dtype=torch.long)


def eight_bits(picture: np.ndarray) -> bool:
    """Whether (a sample of) a picture (H, W, C) holds nothing but 255ths."""
    steps = max(1, int(np.sqrt(picture.shape[0] * picture.shape[1] / 4096)))
    sample = picture[::steps, ::steps] * np.float32(255)
    return bool(np.abs(sample - np.rint(sample)).max(initial=0) < 1e-3)


def local_mean(picture: np.ndarray, where: np.ndarray, deviation: float) -> np.ndarray:
    """(H, W, C) float32 -> about each pixel the Gaussian mean over those where (H, W) is true; 0 far from all of them.

    Args:
        deviation: of the Gaussian, in pixels.
    """
    weight = where[:, :, None].astype(np.float32)
    total, count = (cv2.GaussianBlur(x, (0, 0), deviation).reshape(x.shape) for x in (picture * weight, weight))
    return np.asarray(total / np.maximum(count, 1e-3))
