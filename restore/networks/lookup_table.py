"""A lookup table of colours: a curve for each channel, then a small 3-D table."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

SEGMENTS = 128
"""Straight pieces of a curve between 0 and 1."""
FLATTEST = 1 / 12
"""Lower limit of a curve's slope."""


class Table(NamedTuple):
    """What the network predicts for B pictures of C channels.

    Attributes:
        slopes: (B, C, SEGMENTS) the curves' slopes, above 0.
        starts: (B, C) the curves' values at 0.
        shift: (B, 3, side, side, side) what the 3-D table adds to a colour, by blue, green and red; None for gray.
    """

    slopes: Tensor
    starts: Tensor
    shift: Tensor | None

    def scaled(self, strength: float) -> Table:
        """The table with `strength` times the change: 0 is the identity. Above 1 it stays monotone, and the 3-D table as it is."""
        shift = None if self.shift is None else self.shift * min(strength, 1.0)
        return Table((1 + strength * (self.slopes - 1)).clamp_min(FLATTEST), self.starts * strength, shift)

    def mean(self) -> Table:
        """The mean of the B tables, B = 1. It is monotone, as each of them is."""
        return Table(self.slopes.mean(0, True), self.starts.mean(0, True), None if self.shift is None else self.shift.mean(0, True))

    def apply(self, picture: Tensor) -> Tensor:
        """(B, C, H, W) of any range -> the same shape. Beyond 0 and 1 curves go on straight, and the 3-D table stays what it is there."""
        curved = self._curved(picture)
        if self.shift is None:
            return curved
        if torch.compiler.is_exporting():
            return curved + trilinear(self.shift, curved)
        grid = curved.permute(0, 2, 3, 1)[:, None] * 2 - 1
        return curved + F.grid_sample(self.shift, grid, padding_mode="border", align_corners=True)[:, :, 0]

    def _curved(self, picture: Tensor) -> Tensor:
        steps = self.slopes / SEGMENTS
        nodes = torch.cat([self.starts[..., None], self.starts[..., None] + steps.cumsum(-1)], -1)
        place = picture.flatten(2) * SEGMENTS
        segment = place.detach().floor().clamp(0, SEGMENTS - 1)
        index = segment.long()
        value = nodes.gather(2, index) + (place - segment) * steps.gather(2, index)
        return value.view_as(picture)


def trilinear(table: Tensor, colours: Tensor) -> Tensor:
    """A 3-D table (B, 3, side, side, side) by blue, green and red, at colours (B, 3, H, W): (B, 3, H, W).

    Its operators are in every exported format; `F.grid_sample` in three dimensions is not.
    """
    side, flat = table.shape[-1], table.flatten(2)
    place = colours.clamp(0, 1).flatten(2) * (side - 1)
    low = place.floor().clamp(0, side - 2)
    fraction, index = place - low, low.long()
    result = torch.zeros_like(place)
    for corner in itertools.product((0, 1), repeat=3):
        weights = [fraction[:, axis] if upper else 1 - fraction[:, axis] for axis, upper in enumerate(corner)]
        node = sum((index[:, axis] + upper) * side**axis for axis, upper in enumerate(corner))
        assert isinstance(node, Tensor)
        result = result + flat.gather(2, node[:, None].expand(-1, 3, -1)) * math.prod(weights[1:], start=weights[0])[:, None]
    return result.view_as(colours)
