"""JPEG compression of whole batches on any device, as libjpeg computes it to within rounding; see `compression`.

ITU-T T.81: colour transform (T.871), chroma averaged over two pixels in each halved direction, the 8 x 8 cosine transform, quantisation,
and back; chroma is spread out by libjpeg's triangle filter. Crops are float32 (B, C, H, W) in nominal [0, 1].
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from restore.datasets.compression import CompressionConfig
from restore.images.noise_model import BASIS
from restore.images.quantisation import BLOCK, STEP_ERROR, table

UNIT = 2 * BLOCK
"""Pixels: the side of a unit of blocks with halved chroma."""
SAMPLINGS = ((2, 2), (1, 2), (1, 1))
"""Pixels (down, across) for one of the chroma: 4:2:0, 4:2:2, 4:4:4, as `compression.SUBSAMPLINGS`."""
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def compress(picture: Tensor, generator: torch.Generator, *, config: CompressionConfig) -> tuple[Tensor, Tensor]:
    """Compress each crop as `compression.compress` does.

    Returns:
        The decoded crops, and the conditions of their last compression, (B, 1, H, W); zeros where it is unknown.
    """
    uniform = torch.rand((6, len(picture), 1, 1, 1), generator=generator, device=picture.device)
    clean, twice, unknown = uniform[0] < config.clean_fraction, uniform[1] < config.twice_fraction, uniform[2] < config.unknown_fraction
    sampling = torch.where(uniform[3] < config.half_chroma_fraction, 0, 1 + (uniform[4] * 2).long())

    def quality() -> Tensor:
        return torch.randint(config.quality[0], config.quality[1] + 1, clean.shape, generator=generator, device=picture.device)

    def corner(shifted: Tensor | bool) -> list[Tensor]:
        drawn = torch.randint(0, BLOCK, (2, *clean.shape), generator=generator, device=picture.device)
        return [*torch.where(torch.as_tensor(shifted, device=picture.device), drawn, 0)]

    once = picture
    if config.twice_fraction:
        once = torch.where(twice, jpeg(picture, quality(), *corner(config.shifted_fraction > 0), sampling=sampling), picture)
    last, (top, left) = quality(), corner(uniform[5] < config.shifted_fraction)
    decoded = jpeg(once, last, top, left, sampling=sampling)
    rounded = torch.round(picture.clamp(0, 1) * 255) / 255
    known = condition(last, top, left, picture.shape[-2], picture.shape[-1])
    return torch.where(clean, rounded, decoded), torch.where(clean | unknown, 0.0, known)


def some_gray(picture: Tensor, generator: torch.Generator, *, config: CompressionConfig) -> Tensor:
    """Turn a fraction of colour crops gray, three equal channels (ITU-R BT.601)."""
    if picture.shape[1] == 1:
        return picture
    chosen = torch.rand((len(picture), 1, 1, 1), generator=generator, device=picture.device) < config.gray_fraction
    return torch.where(chosen, _mixed(picture, TO_YCC)[:, :1], picture)


def jpeg(
    picture: Tensor, quality: Tensor, top: Tensor | None = None, left: Tensor | None = None,
    *, sampling: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Encode each crop as an 8-bit JPEG and decode.

    Args:
        picture: (B, 1|3, H, W).
        quality: 1..100; this and the others are (B, 1, 1, 1).
        top, left: where the first whole block begins, 0..7 each; by default at the edge.
        sampling: of the chroma, an index of `SAMPLINGS`; by default 4:2:0.
    """
    none = torch.zeros_like(quality)
    above, before = (-(none if start is None else start) % BLOCK for start in (top, left))
    stored = _shifted(torch.round(picture.clamp(0, 1) * 255), above, before)
    if picture.shape[1] == 1:
        decoded = _coded(stored, quality, chroma=False)
    else:
        ycc = torch.round(_mixed(stored, TO_YCC))
        luma, chroma = _coded(ycc[:, :1], quality, chroma=False), _coded_chroma(ycc[:, 1:], quality, sampling)
        decoded = torch.round(_mixed(torch.cat([luma, chroma], 1), TO_RGB)).clamp(0, 255)
    return _cut(decoded, above, before, picture.shape[-2], picture.shape[-1]) / 255


def condition(quality: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """The map that a network takes, (B, 1, H, W); see `Quantisation.condition`."""
    rows, columns = (
        (torch.arange(length, device=quality.device) - start[:, 0, 0]) % BLOCK for length, start in ((height, top), (width, left))
    )
    steps = _tables(quality.device, chroma=False)[quality, rows[:, None, :, None], columns[:, None, None, :]]
    return steps * float(STEP_ERROR)


def _coded_chroma(chroma: Tensor, quality: Tensor, sampling: Tensor | None) -> Tensor:
    """The two colour differences after their compression, by the sampling of each crop."""
    result = _coded_at(chroma, quality, SAMPLINGS[0])
    if sampling is None:
        return result
    for number, factor in enumerate(SAMPLINGS[1:], 1):
        result = torch.where(sampling == number, _coded_at(chroma, quality, factor), result)
    return result


def _coded_at(chroma: Tensor, quality: Tensor, factor: tuple[int, int]) -> Tensor:
    if factor == (1, 1):
        return _coded(chroma, quality, chroma=True)
    small = _coded(torch.round(F.avg_pool2d(chroma, factor)), quality, chroma=True)
    return torch.round(F.interpolate(small, size=chroma.shape[-2:], mode="bilinear", align_corners=False))


def _coded(planes: Tensor, quality: Tensor, *, chroma: bool) -> Tensor:
    """Transform, quantise and return planes (B, C, H, W) of 0..255 (chroma about 0), sides multiples of 8."""
    count, channels, height, width = planes.shape
    basis = _basis(planes.device)
    level = 0 if chroma else 128
    blocks = (planes - level).unfold(2, BLOCK, BLOCK).unfold(3, BLOCK, BLOCK).reshape(count, channels, -1, BLOCK * BLOCK)
    steps = _tables(planes.device, chroma=chroma)[quality[:, 0, 0, 0]].reshape(count, 1, 1, -1)
    decoded = torch.round((blocks @ basis) / steps) * steps @ basis.mT
    grid = decoded.reshape(count, channels, height // BLOCK, width // BLOCK, BLOCK, BLOCK)
    joined = grid.permute(0, 1, 2, 4, 3, 5).reshape(planes.shape)
    return torch.round(joined + level).clamp(level - 128, level + 127)


def _shifted(picture: Tensor, above: Tensor, before: Tensor) -> Tensor:
    """Pad by reflection above and before, and by repetition below and behind to whole units."""
    indices = []
    for axis, start in ((-2, above), (-1, before)):
        length = picture.shape[axis]
        padded = -(-(length + BLOCK - 1) // UNIT) * UNIT
        index = torch.arange(padded, device=picture.device) - start[:, 0, 0]
        indices.append(index.abs().clamp(max=length - 1))
    return _picked(picture, *indices)


def _cut(picture: Tensor, above: Tensor, before: Tensor, height: int, width: int) -> Tensor:
    rows, columns = (torch.arange(length, device=picture.device) + start[:, 0, 0] for length, start in ((height, above), (width, before)))
    return _picked(picture, rows, columns)


def _picked(picture: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The rows (B, H) and columns (B, W) of each crop."""
    count, channels = picture.shape[:2]
    number = torch.arange(count, device=picture.device)[:, None, None, None]
    channel = torch.arange(channels, device=picture.device)[None, :, None, None]
    return picture[number, channel, rows[:, None, :, None], columns[:, None, None, :]]


def _mixed(picture: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """Mix three channels by a 3 x 3 matrix."""
    red, green, blue = picture.unbind(1)
    return torch.stack([one * red + two * green + three * blue for one, two, three in matrix], 1)


@cache
def _basis(device: torch.device) -> Tensor:
    """(64, 64): a block's pixels as a row, times this, are its coefficients as a row."""
    return torch.from_numpy(BASIS).to(device)


@cache
def _tables(device: torch.device, *, chroma: bool) -> Tensor:
    """The tables of the qualities 0 (as 1) to 100, (101, 8, 8)."""
    return torch.from_numpy(np.stack([table(max(1, quality), chroma=chroma) for quality in range(101)])).to(device)
