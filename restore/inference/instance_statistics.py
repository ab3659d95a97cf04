"""Instance normalisation over tiles: all tiles of a picture use the same statistics.

Instance normalisation divides by the deviation of the whole picture (Ulyanov et al. 2016). Tiles with statistics of their own would differ
in brightness and contrast and show as squares. So an evenly spread sample of the picture runs through the network first, as one batch.
Every normalisation computes its statistics over this batch, and all tiles use them. Chen et al. 2022, "Towards ultra-resolution neural
style transfer via thumbnail instance normalization", use a thumbnail instead, which changes the size of details.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

CROPS, SIDE = 16, 512
"""Number of crops in a sample; the side of a square with their total area. Pictures up to this size are their own sample."""


class Statistics:
    """The means and deviations of one picture at every normalisation and for every transform, (1, P, C, 1, 1) each.

    Args:
        planes: P, the number of consecutive batch entries for each tile (3 where a gray network runs the colours separately).
    """

    def __init__(self, planes: int = 1) -> None:
        self.planes = planes
        self._statistics: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self._transform = 0

    @contextmanager
    def at(self, transform: int) -> Iterator[None]:
        """Normalise by these statistics in the block, and compute missing ones. For one thread at a time."""
        self._transform = transform
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def normalise(self, index: int, x: Tensor, eps: float) -> Tensor:
        """Normalise (B, C, H, W) by the statistics of normalisation `index`. The first call computes them from `x`."""
        planes = torch.unflatten(x.float(), 0, (-1, self.planes))
        key = (self._transform, index)
        if key not in self._statistics:
            variance, mean = torch.var_mean(planes, (0, 3, 4), correction=0, keepdim=True)
            self._statistics[key] = (mean, torch.rsqrt(variance + eps))
        mean, scale = self._statistics[key]
        return ((planes - mean) * scale).flatten(0, 1).to(x.dtype)


_current: ContextVar[Statistics | None] = ContextVar("statistics", default=None)


class PooledNorm(nn.Module):
    """An instance normalisation, (B, C, H, W) -> the same, that uses the active `Statistics.at`, if any.

    Args:
        norm: the layer that it replaces.
        index: the layer's number in the network.
    """

    def __init__(self, norm: nn.InstanceNorm2d, index: int) -> None:
        super().__init__()
        self.norm, self.index = norm, index

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same, normalised."""
        current = _current.get()
        if current is None:
            normalised: Tensor = self.norm(x)
            return normalised
        x = current.normalise(self.index, x, self.norm.eps)
        if self.norm.affine:
            x = x * self.norm.weight[:, None, None] + self.norm.bias[:, None, None]
        return x


def share_statistics(network: nn.Module) -> bool:
    """Replace every instance normalisation of a network by a `PooledNorm`; returns whether there was one."""
    layers = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.InstanceNorm2d) and not child.track_running_stats
    ]
    for index, (parent, name, child) in enumerate(layers):
        setattr(parent, name, PooledNorm(child, index))
    return bool(layers)


def sample_regions(shape: tuple[int, ...], multiple: int) -> list[tuple[slice, slice]]:
    """Regions of equal size, spread evenly over a picture, with SIDE x SIDE pixels in total. A small picture is one region.

    Args:
        shape: (H, W, ...) of the picture.
        multiple: the regions' sides and positions are multiples of this, as far as the picture allows.
    """
    if max(shape[:2]) <= SIDE:
        return [(slice(0, shape[0]), slice(0, shape[1]))]
    across = round(CROPS**0.5)
    side = max(multiple, SIDE // across // multiple * multiple)
    rows, columns = (_starts(length, side, multiple, across) for length in shape[:2])
    return [(slice(row, row + side), slice(column, column + side)) for row in rows for column in columns]


def _starts(length: int, side: int, multiple: int, most: int) -> list[int]:
    room = max(length - side, 0)
    count = min(most, -(-length // side))
    return [round(room * index / max(count - 1, 1)) // multiple * multiple for index in range(count)]
