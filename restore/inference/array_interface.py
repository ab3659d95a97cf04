"""Applies a model to a user's array or tensor of any type and returns the same kind and type."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from restore.images.colouring import in_colour
from restore.images.frame import Frame, filled
from restore.images.mappings import Linear, ranged
from restore.inference.arrays import to_dtype, to_float, upscale_cubic

Restore = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
"""(H, W, 1|3) float32 and its valid pixels, (H, W) bool or None for all -> (scale H, scale W, 1|3) float32, perhaps in colour."""
Picture = TypeVar("Picture", np.ndarray, Tensor)


LARGEST, FINE = 1e30, 1e-4
"""Floats above LARGEST, and those whose steps in float32 are coarser than FINE of their range, are mapped by their range."""
FRACTION = {"range": (0, 1)}
"""What `limits.check` asks of a strength."""


def apply(picture: Picture, restore: Restore, scale: int = 1, *, holes: np.ndarray | None = None) -> Picture:
    """Restore a user's picture.

    Args:
        picture: an array (H, W) or (H, W, C), C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha, integers over their type's full
            range or floats in nominal [0, 1]; or a tensor (B, C, H, W) in nominal [0, 1]. Floats that float32 would blur, such as small
            differences on a large offset, are mapped by their own range, as files are.
        restore: restores normalized pixels.
        scale: how many times as high and wide the result is.
        holes: (H, W) bool, where pixels that are not finite get what was restored; None for nowhere.

    Returns:
        The same kind and type, with the channels that `restore` gives and alpha. Integers are clipped to their range. Alpha is kept; where
        `scale` is above 1, the cubic kernel upscales it. Pixels that are not finite stay so.

    Raises:
        ValueError: the shape or type is not that of a picture.
    """
    if isinstance(picture, Tensor):
        restored = [_array(array, restore, scale, holes) for array in arrays_of(picture)]
        return torch.stack([torch.from_numpy(item).permute(2, 0, 1) for item in restored]).to(picture)
    checked(picture)
    own = picture.dtype.newbyteorder("=")
    return _array(picture.astype(own, copy=False), restore, scale, holes).astype(picture.dtype, copy=False)


def arrays_of(tensor: Tensor) -> list[np.ndarray]:
    """The pictures of a tensor (B, C, H, W) as float32 arrays (H, W, C).

    Raises:
        ValueError: it is no tensor of pictures.
    """
    if tensor.dim() != 4 or not len(tensor) or not tensor.is_floating_point():
        raise ValueError(f"a tensor must be (B, C, H, W) of floats, not {tuple(tensor.shape)} of {tensor.dtype}")
    return [checked(item.detach().permute(1, 2, 0).float().cpu().numpy()) for item in tensor]


def checked(picture: np.ndarray) -> np.ndarray:
    """The picture as (H, W, C).

    Raises:
        ValueError: its shape or type is not that of a picture.
    """
    if not isinstance(picture, np.ndarray):
        raise ValueError(f"a picture must be an array or a tensor, not {type(picture).__name__}: numpy.asarray makes an array of it")
    if isinstance(picture, np.ma.MaskedArray):
        raise ValueError("a masked array is no picture: fill it, or make its masked pixels NaN")
    shape = picture.shape
    if picture.ndim == 2:
        picture = picture[:, :, None]
    if picture.ndim != 3 or picture.shape[2] not in {1, 2, 3, 4} or 0 in picture.shape:
        raise ValueError(f"a picture must be (H, W) or (H, W, C) with 1 to 4 channels, not {shape}")
    if picture.dtype.kind not in "uif":
        raise ValueError(f"a picture must hold integers or floats, not {picture.dtype}")
    if picture.dtype.kind in "ui" and picture.dtype.itemsize == 8:  # numpy's default, not the depth of a picture
        raise ValueError(f"{picture.dtype} does not say how deep the picture is: convert it to uint8 or uint16, or to floats in [0, 1]")
    return picture


def levels_of(picture: np.ndarray | Tensor) -> int | None:
    """Steps from black to white of unsigned integers of at most 16 bits; None for other types."""
    if not isinstance(picture, np.ndarray) or picture.dtype.kind != "u" or picture.dtype.itemsize > 2:
        return None
    return int(np.iinfo(picture.dtype).max)


def finite_pixels(pixels: np.ndarray, alpha: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W, C) float32, continued smoothly where it is not known, and where it is, (H, W) bool; None where it is everywhere.

    Args:
        pixels: (H, W, C); what is not finite is not known.
        alpha: (H, W) or None; what it hides is not known, unless it hides all.
    """
    known = np.isfinite(pixels).all(axis=2)
    if alpha is not None and alpha.any():
        known &= alpha != 0
    return (pixels, None) if known.all() else (filled(np.where(known[:, :, None], pixels, 0), known), known)


def _array(picture: np.ndarray, restore: Restore, scale: int, holes: np.ndarray | None) -> np.ndarray:
    flat = picture.ndim == 2
    picture = checked(picture)
    colours = 1 if picture.shape[2] < 3 else 3
    if _needs_mapping(picture[:, :, :colours]):
        out = _mapped(picture, restore, scale, holes)
    else:
        opacity = picture[:, :, -1] if picture.shape[2] > colours else None
        values, valid = finite_pixels(own := to_float(picture[:, :, :colours]), opacity)
        restored = restore(values, valid)
        if scale != 1 and opacity is not None:  # enlarged alpha shows some of what was hidden
            _, valid = finite_pixels(own)
        if valid is not None:
            kept = (~valid if holes is None else ~valid & ~holes).repeat(scale, 0).repeat(scale, 1)
            restored[kept] = own.repeat(scale, 0).repeat(scale, 1)[kept]
        made = restored.shape[2]
        out = np.empty((*restored.shape[:2], made + picture.shape[2] - colours), picture.dtype)
        out[:, :, :made] = to_dtype(restored, picture.dtype)
        alpha = picture[:, :, colours:]
        if alpha.size:
            out[:, :, made:] = alpha if scale == 1 else to_dtype(upscale_cubic(to_float(alpha), scale), picture.dtype)
    return out[:, :, 0] if flat and out.shape[2] == 1 else out


def _needs_mapping(colours: np.ndarray) -> bool:
    """Whether float32 in nominal [0, 1] would lose what the samples tell: integers of 32 bits, and floats far from 0 or beyond float32."""
    if colours.dtype.kind in "ui":
        return colours.dtype.itemsize == 4
    finite = colours[np.isfinite(colours)]
    if not finite.size:
        return False
    low, high = float(finite.min()), float(finite.max())
    largest = max(abs(low), abs(high))
    return largest > LARGEST or (high > low and largest > 1 and float(np.finfo(np.float32).eps) * largest > FINE * (high - low))


def _mapped(picture: np.ndarray, restore: Restore, scale: int, holes: np.ndarray | None) -> np.ndarray:
    """Restore samples by the mapping of files, which changes them by what was restored and keeps the rest to the last bit."""
    channels, alpha = (3 if picture.shape[2] > 2 else 1), (picture.shape[2] - 1 if picture.shape[2] in {2, 4} else None)
    if picture.dtype.kind == "f":
        mapping = ranged(picture, channels, inverted=False, alpha_channel=alpha)
    else:
        mapping = Linear(0, float(np.iinfo(picture.dtype).max), channels, alpha_channel=alpha)
    frame = Frame(picture, mapping)
    restored = restore(frame.normalized(), frame.visible())
    frame = frame.resized(*restored.shape[:2])
    if holes is not None:
        frame = frame.with_picture(holes)
    return (in_colour(frame) if restored.shape[2] > channels else frame).encode(restored)
