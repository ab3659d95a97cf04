"""Normalisations that see the whole picture, where it goes through the network in tiles.

Instance normalisation divides by the deviation of the whole picture (Ulyanov et al. 2016). Tiles that each took their own would differ
in brightness and contrast and show as squares. Here a sample of the picture, spread evenly, goes through the network first, as one batch
that every normalisation looks at together; all tiles then take what was found. Chen et al. 2022, "Towards ultra-resolution neural
style transfer via thumbnail instance normalization", take a thumbnail instead, whose details are of another size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

CROPS, SIDE = 16, 512
"""Crops of a sample; the side in pixels of a picture as large as they are together. Up to it a picture is its own sample."""


class Statistics:
    """The means and deviations of one picture, at every normalisation and for every view: (1, P, C, 1, 1) each.

    Args:
        planes: pictures that lie one after the other in every batch, P (3 where a gray network takes the colours apart).
    """

    def __init__(self, planes: int = 1) -> None:
        self.planes = planes
        self._found: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self._view = 0

    @contextmanager
    def at(self, view: int) -> Iterator[None]:
        """Normalise by these, finding what is not yet known; one thread at a time."""
        self._view = view
        token = _given.set(self)
        try:
            yield
        finally:
            _given.reset(token)

    def normalise(self, index: int, x: Tensor, eps: float) -> Tensor:
        """(B, C, H, W) by the statistics of normalisation `index`, which are those of `x` at the first call."""
        planes = torch.unflatten(x.float(), 0, (-1, self.planes))
        key = (self._view, index)
        if key not in self._found:
            variance, mean = torch.var_mean(planes, (0, 3, 4), correction=0, keepdim=True)
            self._found[key] = (mean, torch.rsqrt(variance + eps))
        mean, scale = self._found[key]
        return ((planes - mean) * scale).flatten(0, 1).to(x.dtype)


_given: ContextVar[Statistics | None] = ContextVar("statistics", default=None)


class PooledNorm(nn.Module):
    """An instance normalisation that takes the statistics of `Statistics.at`, where there are any: (B, C, H, W) -> the same.

    Args:
        norm: the layer in whose place it stands.
        index: which of the network's it is.
    """

    def __init__(self, norm: nn.InstanceNorm2d, index: int) -> None:
        super().__init__()
        self.norm, self.index = norm, index

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same, normalised."""
        given = _given.get()
        if given is None:
            normalised: Tensor = self.norm(x)
            return normalised
        x = given.normalise(self.index, x, self.norm.eps)
        if self.norm.affine:
            x = x * self.norm.weight[:, None, None] + self.norm.bias[:, None, None]
        return x


def pool(network: nn.Module) -> bool:
    """Put a `PooledNorm` in place of every instance normalisation of a network; returns whether there was one."""
    places = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.InstanceNorm2d) and not child.track_running_stats
    ]
    for index, (parent, name, child) in enumerate(places):
        setattr(parent, name, PooledNorm(child, index))
    return bool(places)


def places(shape: tuple[int, ...], multiple: int) -> list[tuple[slice, slice]]:
    """Rows and columns of crops of one size, spread evenly over a picture, together of SIDE x SIDE pixels; a small picture is one crop.

    Args:
        shape: (H, W, ...) of the picture.
        multiple: what the crops' sides and places are multiples of, as far as the picture allows.
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
