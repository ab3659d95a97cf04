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
    if torch.compiler.is_exporting():
        return _enlarge_by_convolution(picture, scale)
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


def _enlarge_by_convolution(picture: Tensor, scale: int) -> Tensor:
    """`enlarge` for sides of 2 pixels at least, in operators that every exported format has: one kernel for each sub-pixel."""
    taps = torch.arange(-2, 3, device=picture.device)
    phases = (torch.arange(scale, device=picture.device) + 0.5) / scale - 0.5
    rows = _keys((taps - phases[:, None]).abs())
    kernels = (rows[:, None, :, None] * rows[None, :, None, :]).flatten(0, 1)[:, None].to(picture.dtype)
    for axis in (2, 3):
        length = picture.shape[axis]
        ends = picture.narrow(axis, 0, 2).flip(axis), picture.narrow(axis, length - 2, 2).flip(axis)
        picture = torch.cat([ends[0], picture, ends[1]], axis)
    channels = picture.shape[1]
    return F.pixel_shuffle(F.conv2d(picture, kernels.repeat(channels, 1, 1, 1), groups=channels), scale)


def _keys(distance: Tensor) -> Tensor:
    """The cubic kernel with a = -1/2 at a distance of 0 or more (Keys 1981, equation 15)."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, torch.zeros_like(distance)))


def _symmetric_pad(picture: Tensor, margin: int) -> Tensor:
    """Pad by reflection about the borders, so that the outermost pixels are repeated; as many times as the margin needs."""
    for axis in (-2, -1):
        length = picture.shape[axis]
        index = torch.arange(-margin, length + margin, device=picture.device) % (2 * length)
        picture = picture.index_select(axis, torch.where(index < length, index, 2 * length - 1 - index))
    return picture
