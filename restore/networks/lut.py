"""An image-adaptive lookup table: a small classifier sees the whole picture and sets three curves and a small 3-D table.

Zeng et al. 2020, "Learning image-adaptive 3D lookup tables for high performance photo enhancement in real-time": the weights of a few
learnt tables come from a thumbnail. Yang et al. 2022, "SepLUT", put one-dimensional curves before the table, which can then be small.
Here curves and table are monotone by construction: a curve is the sum of positive steps, and the table moves a colour by less than half
the distance of two of its nodes. The classifier sees colours in nominal [0, 1] and no resolution, so the table fits any size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.lookup_table import SEGMENTS, Table
from restore.networks.spec import NAME_HELP, ModelSpec, NetworkConfig, RestorationNetwork

THUMBNAIL = 64
"""Side in pixels of the thumbnail that the classifier sees."""
BINS = 16
"""Bins of the thumbnail's histogram, one for each channel."""
STEEPEST = 2.5
"""Limit of the natural logarithm of a curve's slope: 1/12 to 12."""
FARTHEST = 0.5
"""Limit of a curve's value at 0."""
REACH = 0.45
"""Limit of the 3-D table's shift, in distances of its nodes. Below a half, the table stays monotone."""


@dataclass(frozen=True)
class LutConfig(NetworkConfig):
    """The settings of `LutNetwork`."""

    name: Literal["lut"] = field(default="lut", metadata={"help": NAME_HELP})
    widths: tuple[int, ...] = field(
        default=(16, 32, 48, 64), metadata={"help": "channels of the classifier, each at half the size", "range": (1, 1024), "count": (1, 6)}
    )
    controls: int = field(default=9, metadata={"help": "control points of a curve's slope", "range": (2, 33)})
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
        self.controls, self.side = config.controls, config.side
        layers: list[nn.Module] = []
        before = channels
        for width in config.widths:
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            before = width
        self.features = nn.Sequential(*layers)
        mixed = config.tables if channels == 3 else 0
        self.hidden = nn.Linear(before + channels * BINS, before)
        self.head = nn.Linear(before, (1 + channels) * config.controls + channels + mixed)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.tables: nn.Parameter | None = None
        if mixed:
            self.tables = nn.Parameter(0.1 * torch.randn(mixed, 3, config.side, config.side, config.side))

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W), nominal [0, 1] -> the change of each value, the same shape."""
        with torch.autocast(picture.device.type, enabled=False):
            return self.table(picture.float()).apply(picture.float()) - picture.float()

    def table(self, picture: Tensor) -> Table:
        """See `RestorationNetwork.table`. The picture's size does not matter."""
        thumbnail = F.adaptive_avg_pool2d(picture.clamp(0, 1), THUMBNAIL)
        seen = torch.cat([self.features(thumbnail - 0.5).mean((2, 3)), histogram(thumbnail)], 1)
        answer = self.head(F.leaky_relu(self.hidden(seen), 0.2))
        channels, count = self.spec.channels, self.controls
        curves, starts, mix = answer.split([(1 + channels) * count, channels, answer.shape[1] - (1 + channels) * count - channels], 1)
        curves = curves.view(-1, 1 + channels, count)
        controls = STEEPEST * torch.tanh(curves[:, :1] + curves[:, 1:])  # what the channels share, and their own part
        slopes = F.interpolate(controls, SEGMENTS, mode="linear", align_corners=True)
        return Table(slopes, FARTHEST * torch.tanh(starts), self._shift(mix))

    def _shift(self, mix: Tensor) -> Tensor | None:
        """(B, tables) -> (B, 3, side, side, side)."""
        if self.tables is None:
            return None
        weights = torch.tanh(mix) / len(self.tables)
        reach = REACH / (self.side - 1)
        return reach * torch.einsum("bt,tcxyz->bcxyz", weights, torch.tanh(self.tables))


def histogram(thumbnail: Tensor) -> Tensor:
    """The fraction of the pixels near each of BINS levels, with triangular weights: (B, C, H, W) in [0, 1] -> (B, C BINS)."""
    levels = torch.linspace(0, 1, BINS, device=thumbnail.device)
    near = 1 - (thumbnail.flatten(2)[..., None] - levels).abs() * (BINS - 1)
    return near.clamp_min(0).mean(2).flatten(1)
