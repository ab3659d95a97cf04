"""Non-local collaborative filtering: similar blocks of a picture are grouped, and each group is filtered in a transform.

Dabov et al. 2007, "Image denoising by sparse 3-D transform-domain collaborative filtering" (BM3D): hard thresholding of the groups, then a
Wiener filter whose spectrum comes from a first estimate. Here a network's result is the guide that blocks are compared in, and half of
the first estimate. A small network loses fine regular texture, such as cloth; blocks that repeat keep it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from restore.images.noise_model import BASIS, BLOCK

TILE = 32
"""Side of the squares whose reference blocks share their candidates."""
STEP = 4
"""Distance of reference blocks in pixels."""
RADIUS = 16
"""Candidates lie up to this far outside a square."""
GROUP = 16
"""Blocks of a group."""
THRESHOLD = 2.7
"""In units of the noise: coefficients below it are noise (Dabov et al., table I)."""
CHUNK = 512
"""Columns that are filtered together, which limits memory."""
SPAN, MARGIN = TILE + 2 * RADIUS, RADIUS + BLOCK - 1
LEAST_SIDE = MARGIN + TILE
"""Smaller pictures have too few blocks to compare."""


@dataclass(frozen=True)
class Groups:
    """Similar blocks by the flat index of their top left pixel in a padded picture, (groups, GROUP)."""

    corners: Tensor


def filtered(noisy: Tensor, guide: Tensor, variance: Tensor) -> Tensor:
    """The non-local estimate of a picture.

    Args:
        noisy: (C, H, W) float32, each side at least LEAST_SIDE.
        guide: the same shape, a network's result.
        variance: (1, H, W), the noise's variance at each pixel.

    Returns:
        (C, H, W) float32.
    """
    first = 0.5 * (_collaborative(noisy, guide, variance, None) + guide)
    return _collaborative(noisy, first, variance, first)


def _collaborative(noisy: Tensor, guide: Tensor, variance: Tensor, pilot: Tensor | None) -> Tensor:
    """Filter groups of blocks that look alike in `guide`: by hard thresholds, or by a Wiener filter with the spectrum of `pilot`."""
    height, width = noisy.shape[1:]
    padded = [_padded(one) for one in (noisy, guide, variance)]
    wiener = None if pilot is None else _padded(pilot)
    mean_variance = F.avg_pool2d(padded[2], BLOCK, 1).clamp_min(1e-12)[0]
    total, weights = torch.zeros_like(padded[0]).flatten(1), torch.zeros_like(padded[2]).flatten(1)
    window = torch.from_numpy(np.outer(np.kaiser(BLOCK, 2.0), np.kaiser(BLOCK, 2.0)).astype(np.float32)).flatten().to(noisy.device)
    offsets = (torch.arange(BLOCK)[:, None] * padded[0].shape[2] + torch.arange(BLOCK)).flatten().to(noisy.device)
    for groups in _matched(padded[1].mean(0)):
        pixels = (groups.corners[:, :, None] + offsets).flatten()
        spectrum = _spectrum(padded[0], pixels)
        rows, columns = groups.corners // padded[0].shape[2], groups.corners % padded[0].shape[2]
        noise = mean_variance[rows, columns].mean(1)[None, :, None, None]
        if wiener is None:
            gain = (spectrum.square() > THRESHOLD**2 * noise).float()
        else:
            energy = _spectrum(wiener, pixels).square()
            gain = energy / (energy + noise)
        gain[:, :, 0, 0] = 1
        weight = 1 / (noise * gain.square().sum((0, 2, 3), keepdim=True)) * window
        estimate = _pixels(spectrum * gain)
        total.index_add_(1, pixels, (estimate * weight).flatten(1))
        weights.index_add_(1, pixels, weight.expand(1, *estimate.shape[1:]).flatten(1))
    result = (total / weights.clamp_min(1e-20)).view_as(padded[0])
    return result[:, RADIUS : RADIUS + height, RADIUS : RADIUS + width]


def _padded(planes: Tensor) -> Tensor:
    """(C, H, W) reflected outwards, so that whole squares and all their candidates lie inside."""
    height, width = planes.shape[1:]
    right, below = (math.ceil(side / TILE) * TILE - side + MARGIN for side in (width, height))
    rows, columns = (_reflected(side, RADIUS, after, planes.device) for side, after in ((height, below), (width, right)))
    return planes[:, rows][:, :, columns].contiguous()


def _reflected(side: int, before: int, after: int, device: torch.device) -> Tensor:
    """Indices of a line of `side` pixels, reflected at both ends."""
    period = max(1, 2 * (side - 1))
    index = torch.arange(-before, side + after, device=device).remainder(period)
    return torch.minimum(index, period - index)


def _matched(guide: Tensor) -> Iterator[Groups]:
    """For each row of squares of a padded plane (H, W), the groups of its reference blocks: the nearest candidates by squared distance."""
    height, width = guide.shape
    spots = torch.arange(0, TILE, STEP, device=guide.device) + RADIUS
    references = (spots[:, None] * SPAN + spots).flatten()
    for top in range(0, height - SPAN - BLOCK + 2, TILE):
        for left in range(0, width - SPAN - BLOCK + 2, CHUNK):
            part = guide[top : top + SPAN + BLOCK - 1, left : left + CHUNK + SPAN - TILE + BLOCK - 1]
            blocks = F.unfold(part[None, None], BLOCK)[0].reshape(BLOCK * BLOCK, SPAN, -1)
            squares = blocks.unfold(2, SPAN, TILE)
            count = squares.shape[2]
            candidates = squares.permute(2, 0, 1, 3).reshape(count, BLOCK * BLOCK, SPAN * SPAN)
            products = torch.bmm(candidates[:, :, references].transpose(1, 2), candidates)
            nearest = (candidates.square().sum(1)[:, None] - 2 * products).topk(GROUP, dim=2, largest=False).indices
            rows = nearest // SPAN + top
            columns = nearest % SPAN + left + (torch.arange(count, device=guide.device) * TILE)[:, None, None]
            yield Groups((rows * width + columns).reshape(-1, GROUP))


def _spectrum(planes: Tensor, pixels: Tensor) -> Tensor:
    """The transform of groups over blocks, members and channels, (C, groups, GROUP, 64); all three are orthonormal cosine transforms."""
    channels = len(planes)
    blocks = planes.flatten(1)[:, pixels].view(channels, -1, GROUP, BLOCK * BLOCK) @ torch.from_numpy(BASIS).to(planes.device)
    spectrum = _cosines(GROUP, planes.device) @ blocks
    return spectrum if channels == 1 else torch.einsum("dc,cmgk->dmgk", _cosines(channels, planes.device), spectrum)


def _pixels(spectrum: Tensor) -> Tensor:
    """Undo `_spectrum`."""
    channels = len(spectrum)
    if channels > 1:
        spectrum = torch.einsum("dc,dmgk->cmgk", _cosines(channels, spectrum.device), spectrum)
    return (_cosines(GROUP, spectrum.device).T @ spectrum) @ torch.from_numpy(BASIS.T).to(spectrum.device)


def _cosines(length: int, device: torch.device) -> Tensor:
    """(length, length), the orthonormal cosine transform as rows."""
    order = torch.arange(length, dtype=torch.float64)
    rows = torch.cos(math.pi / length * order[:, None] * (order + 0.5)) * math.sqrt(2 / length)
    rows[0] /= math.sqrt(2)
    return rows.float().to(device)
