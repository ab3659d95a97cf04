"""An image-adaptive lookup table: a small network sees the whole picture and sets three curves and a small 3-D table.

Zeng et al. 2020, "Learning image-adaptive 3D lookup tables for high performance photo enhancement in real-time": the weights of a few
learnt tables come from a thumbnail. Yang et al. 2022, "SepLUT", put one-dimensional curves before the table, which can then be small.

A curve goes through quantiles of its channel. A fault of exposure keeps the order of the values, so where a quantile belongs depends on
the content alone. The network predicts by which factors the distances between neighbouring quantiles, black and white change; equal
factors leave a picture as it is. Curves and table are monotone by construction: a curve joins rising points, and the table moves a colour
by less than half the distance of two of its nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.lookup_table import FLATTEST, SEGMENTS, Table
from restore.networks.meta_device import without_autocast
from restore.networks.spec import NAME_HELP, ModelSpec, NetworkConfig, RestorationNetwork

THUMBNAIL = 64
"""Side in pixels of the thumbnail that the convolutions see."""
QUANTILES = (0.002, 0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99, 0.998)
STEEPEST = 12.0
"""Upper limit of a curve's slope."""
GAPS = len(QUANTILES) + 1
"""Distances from black over the quantiles to white."""
NARROWEST = 0.02
"""Added to a range of values that divides."""
LEAST = 2e-4
"""Added to distances, some of which are 0."""
SMOOTHING = 5
"""A curve's nodes are means of so many."""
REACH = 0.45
"""Limit of the 3-D table's shift, in distances of its nodes. Below a half, the table stays monotone."""


@dataclass(frozen=True)
class LutConfig(NetworkConfig):
    """The settings of `LutNetwork`."""

    name: Literal["lut"] = field(default="lut", metadata={"help": NAME_HELP})
    widths: tuple[int, ...] = field(
        default=(16, 32, 48, 64),
        metadata={"help": "channels of the convolutions, each at half size", "range": (1, 1024), "count": (1, 6)},
    )
    side: int = field(default=9, metadata={"help": "nodes of the 3-D table along each colour", "range": (2, 33)})
    tables: int = field(default=3, metadata={"help": "learnt 3-D tables that are mixed", "range": (1, 16)})


class LutNetwork(RestorationNetwork):
    """Predicts a lookup table from a whole picture, and the change that it makes.

    Args:
        config: its settings.
        channels: of the picture, 1 or 3.
    """

    def __init__(self, config: LutConfig, *, channels: int = 3) -> None:
        super().__init__()
        self.spec = ModelSpec(channels, channels, receptive_field=0, overlap=0, needs_whole_image=True)
        self.side = config.side
        layers: list[nn.Module] = []
        before = 2 * channels
        for width in config.widths:
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            before = width
        self.features = nn.Sequential(*layers)
        mixed = config.tables if channels == 3 else 0
        self.hidden = nn.Sequential(
            nn.Linear(before + channels * (len(QUANTILES) + GAPS), before), nn.LeakyReLU(0.2), nn.Linear(before, before), nn.LeakyReLU(0.2)
        )
        self.parts = [channels * GAPS, mixed]
        self.head = nn.Linear(before, sum(self.parts))
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.tables: nn.Parameter | None = None
        if mixed:
            # three axes: a parameter of five could not be laid out in channels-last
            self.tables = nn.Parameter(0.1 * torch.randn(mixed, 3, config.side**3))

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W), nominal [0, 1] -> the change of each value, the same shape."""
        with without_autocast(picture):
            return self.table(picture.float()).apply(picture.float()) - picture.float()

    def table(self, picture: Tensor) -> Table:
        """See `RestorationNetwork.table`. The network sees means of a few pixels, so reduce large pictures to some hundred pixels."""
        picture = picture.clamp(0, 1)
        values = torch.quantile(picture.flatten(2), torch.tensor(QUANTILES, device=picture.device), dim=2).permute(1, 2, 0)
        thumbnail = _means(picture) if torch.compiler.is_exporting() else F.adaptive_avg_pool2d(picture, THUMBNAIL)
        low, high = values[..., :1, None], values[..., -1:, None]
        levelled = ((thumbnail - low) / (high - low + NARROWEST)).clamp(0, 1)
        seen = self.features(torch.cat([thumbnail, levelled], 1) - 0.5).mean((2, 3))
        gaps = (torch.diff(F.pad(F.pad(values, (1, 0)), (0, 1), value=1.0), dim=2) + LEAST).log()
        answer = self.head(self.hidden(torch.cat([seen, values.flatten(1) - 0.5, gaps.flatten(1) / 4 + 0.5], 1)))
        factors, mix = answer.split(self.parts, 1)
        places, own = (torch.softmax(one, 2).cumsum(2)[..., :-1] for one in (gaps + factors.view_as(gaps), gaps))
        slopes, starts = curves(values, values + places - own)
        return Table(slopes, starts, self._shift(torch.tanh(mix)))

    def _shift(self, weights: Tensor) -> Tensor | None:
        """Weights (B, tables) within -1..1 -> (B, 3, side, side, side)."""
        if self.tables is None:
            return None
        reach = REACH / (self.side - 1) / len(self.tables)
        shift = reach * torch.einsum("bt,tcn->bcn", weights, torch.tanh(self.tables))
        table: Tensor = shift.unflatten(2, (self.side, self.side, self.side))
        return table


def _means(picture: Tensor) -> Tensor:
    """`F.adaptive_avg_pool2d(picture, THUMBNAIL)` in operators that take any size in every exported format."""
    down, across = (_cells(side, picture) for side in picture.shape[2:])
    return down @ picture @ across.T


def _cells(side: int, like: Tensor) -> Tensor:
    """(THUMBNAIL, side): the weights of a side's pixels in the mean of each cell."""
    cells, pixels = torch.arange(THUMBNAIL, device=like.device)[:, None], torch.arange(side, device=like.device)
    inside = (pixels >= cells * side // THUMBNAIL) & (pixels < ((cells + 1) * side + THUMBNAIL - 1) // THUMBNAIL)
    return inside.to(like.dtype) / inside.sum(1, keepdim=True)


def curves(values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The smooth curves that take values to their targets, both (B, C, N) and rising: slopes, and values at 0; see `Table`.

    Slopes are limited. The middle value is met; others are as far as the limit allows. Beyond the values the mean slope holds.
    """
    widths = values.diff(dim=2)
    whole = (targets[..., -1:] - targets[..., :1] + LEAST) / (values[..., -1:] - values[..., :1] + LEAST)
    slopes = torch.cat([whole, (targets.diff(dim=2) + LEAST) / (widths + LEAST), whole], 2).clamp(FLATTEST, STEEPEST)
    widths = torch.cat([torch.ones_like(whole), widths, torch.ones_like(whole)], 2)
    middle = values.shape[2] // 2
    heights = F.pad((slopes * widths).cumsum(2), (1, 0))
    heights = heights - heights[..., middle + 1 : middle + 2] + targets[..., middle : middle + 1]
    knots = torch.cat([values[..., :1] - 1, values, values[..., -1:] + 1], 2)
    margin = SMOOTHING // 2
    nodes = torch.arange(-margin, SEGMENTS + 1 + margin, device=values.device) / SEGMENTS
    nodes = nodes.expand(*values.shape[:2], -1).contiguous()
    # as torch.searchsorted, which no exported format has
    segment = ((knots.detach()[:, :, None] < nodes[..., None]).sum(3) - 1).clamp(0, slopes.shape[2] - 1)
    curve = heights.gather(2, segment) + (nodes - knots.gather(2, segment)) * slopes.gather(2, segment)
    smooth = F.avg_pool1d(curve, SMOOTHING, stride=1)
    return (smooth.diff(dim=2) * SEGMENTS).clamp(FLATTEST, STEEPEST), smooth[..., 0]
