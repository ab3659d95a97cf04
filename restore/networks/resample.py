"""Resizing by the cubic kernel as MATLAB's imresize does it, on tensors.

Keys 1981, "Cubic convolution interpolation", with a = -1/2. For downscaling the kernel is widened by the factor (antialiased). Borders
are padded by symmetric reflection. Super-resolution is measured with this resizing in the literature.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def enlarge(picture: Tensor, scale: int) -> Tensor:
    """(B, C, H, W) -> (B, C, scale H, scale W)."""
    if scale == 1:
        return picture
    margin = 4
    height, width = picture.shape[-2:]
    larger = _cubic(_symmetric_pad(picture, margin), (scale * (height + 2 * margin), scale * (width + 2 * margin)))
    return larger[..., scale * margin : scale * (margin + height), scale * margin : scale * (margin + width)]


def shrink(picture: Tensor, scale: int) -> Tensor:
    """(B, C, H, W), sides multiples of `scale` -> (B, C, H / scale, W / scale).

    Raises:
        ValueError: a side that is no multiple.
    """
    if scale == 1:
        return picture
    height, width = picture.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(f"the sides must be multiples of {scale}, not {height} x {width}")
    margin = 4
    smaller = _cubic(_symmetric_pad(picture, scale * margin), (height // scale + 2 * margin, width // scale + 2 * margin))
    return smaller[..., margin:-margin, margin:-margin]


def resized(picture: Tensor, height: int, width: int) -> Tensor:
    """(B, C, H, W) -> (B, C, height, width), any sizes; the kernel is cut off at the borders."""
    return picture if picture.shape[-2:] == (height, width) else _cubic(picture, (height, width))


def _cubic(picture: Tensor, size: tuple[int, int]) -> Tensor:
    # with antialias PyTorch takes a = -1/2, without it -3/4
    return F.interpolate(picture, size=size, mode="bicubic", antialias=True, align_corners=False)


def _symmetric_pad(picture: Tensor, margin: int) -> Tensor:
    """Pad by reflection about the borders, so that the outermost pixels are repeated; as many times as the margin needs."""
    for axis in (-2, -1):
        length = picture.shape[axis]
        index = torch.arange(-margin, length + margin, device=picture.device) % (2 * length)
        picture = picture.index_select(axis, torch.where(index < length, index, 2 * length - 1 - index))
    return picture
