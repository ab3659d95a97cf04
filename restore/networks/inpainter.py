"""The inpainting network: an encoder to an eighth of the resolution, dilated residual blocks there, a decoder with skips.

Iizuka et al. 2017, "Globally and locally consistent image completion" (dilated convolutions, so that every pixel of a hole sees its
surroundings); Ronneberger et al. 2015 (skips); Suvorov et al. 2022, "LaMa", section 2.1 (the receptive field must be as wide as the
picture). Plain convolutions instead of LaMa's Fourier ones: the transforms have no bfloat16, and a CPU's matrix units do not help them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.fused_residual import Residual, ResidualStack
from restore.networks.spec import NAME_HELP, ModelSpec, NetworkConfig, RestorationNetwork

HOLE = 0.5
"""The input's value in the holes: medium gray. The mask tells it from gray in the picture."""


@dataclass(frozen=True)
class InpainterConfig(NetworkConfig):
    """The settings of `InpainterNet`."""

    name: Literal["inpainter"] = field(default="inpainter", metadata={"help": NAME_HELP})
    widths: tuple[int, ...] = field(
        default=(32, 64, 128, 128),
        metadata={
            "help": "channels at the full resolution, at half of it, at a quarter ...",
            "range": (1, 4096),
            "count": (1, 10),
        },
    )
    dilations: tuple[int, ...] = field(
        default=(1, 2, 4, 8, 1, 2, 4, 8),
        metadata={
            "help": "of the blocks at the lowest resolution: how far a hole's pixels see",
            "range": (1, 1024),
            "count": (0, 64),
        },
    )


class DilatedBlock(Residual):
    """x + conv(relu(conv(x))), the first convolution reaching `dilation` pixels, (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.3)  # near the identity at first, so that depth needs no normalisation


class InpainterNet(RestorationNetwork):
    """Predict what is to be added to a picture whose holes are at `HOLE`; the correction is 0 outside the holes.

    Args:
        config: its settings.
        channels: of the picture, 1 or 3.
    """

    def __init__(self, config: InpainterConfig, *, channels: int = 3) -> None:
        super().__init__()
        widths, dilations = config.widths, config.dilations
        if len(widths) < 2 or not dilations or min(dilations) < 1:
            raise ValueError(f"an inpainter needs two widths at least and dilations from 1, not {list(widths)} and {list(dilations)}")
        lowest = 2 ** (len(widths) - 1)
        # the receptive field is far larger than this overlap, but pixels further off matter little
        self.spec = ModelSpec(
            channels, channels, receptive_field=lowest * (sum(dilations) + len(dilations) + 4) + 2, multiple=lowest, overlap=48 * lowest,
            conditions=("mask",),
        )  # fmt: skip
        pairs = list(itertools.pairwise(widths))
        self.head = nn.Conv2d(channels + 1, widths[0], 3, padding=1)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairs)
        self.blocks = ResidualStack(*(DilatedBlock(widths[-1], dilation) for dilation in dilations))
        self.ups = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in pairs)
        self.merges = nn.ModuleList(DilatedBlock(a, 1) for a, _ in pairs)
        self.tail = nn.Conv2d(widths[0], channels, 3, padding=1)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)
            self.tail.bias.zero_()  # type: ignore[union-attr]  # nn.Conv2d has a bias by default

    def forward(self, picture: Tensor, mask: Tensor) -> Tensor:
        """(B, C, H, W) in nominal [0, 1] with its holes at HOLE, and (B, 1, H, W), 1 in the holes -> (B, C, H, W), to be added."""
        hidden, skips = F.relu(self.head(torch.cat([picture - HOLE, mask], 1))), []
        for down in self.downs:
            skips.append(hidden)
            hidden = F.relu(down(hidden))
        hidden = self.blocks(hidden, True)
        for up, merge, skip in zip(reversed(self.ups), reversed(self.merges), reversed(skips), strict=True):
            hidden = merge(up(F.interpolate(hidden, scale_factor=2, mode="nearest")) + skip, True)
        correction: Tensor = self.tail(hidden)
        return correction * mask
