"""Residual-in-residual dense blocks: the generator of ESRGAN, in the layout of its published files.

Wang et al. 2018, "ESRGAN", section 3.1 and figure 4; Wang et al. 2021, "Real-ESRGAN", section 3.3 (pixel-unshuffle for scales below 4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.resample import enlarge
from restore.networks.spec import NAME_HELP, ModelSpec, NetworkConfig, RestorationNetwork

SLOPE = 0.2
"""Negative slope of the leaky rectifiers."""
BETA = 0.2
"""Factor of every residual, beta in the paper."""


@dataclass(frozen=True)
class RRDBConfig(NetworkConfig):
    """The settings of `RRDBNet`."""

    name: Literal["rrdb"] = field(default="rrdb", metadata={"help": NAME_HELP})
    width: int = field(default=64, metadata={"help": "channels of the trunk", "range": (1, 4096)})
    blocks: int = field(
        default=23,
        metadata={
            "help": "RRDBs: 23 in the paper, 6 in Real-ESRGAN's anime network",
            "range": (0, 256),
            "layers": True,
        },
    )
    growth: int = field(default=32, metadata={"help": "channels that each convolution of a dense block adds", "range": (1, 4096)})
    unshuffle: int = field(default=1, metadata={"help": "the trunk works at the resolution divided by this: 1, 2 or 4", "range": (1, 4)})


class DenseBlock(nn.Module):
    """x + 0.2 conv5(...), where each of five convolutions takes the input and all results so far, (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, growth, 3, padding=1)
        self.conv2 = nn.Conv2d(width + growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(width + 2 * growth, growth, 3, padding=1)
        self.conv4 = nn.Conv2d(width + 3 * growth, growth, 3, padding=1)
        self.conv5 = nn.Conv2d(width + 4 * growth, width, 3, padding=1)
        with torch.no_grad():
            for layer in self.children():
                assert isinstance(layer, nn.Conv2d)
                nn.init.kaiming_normal_(layer.weight)
                layer.weight.mul_(0.1)  # small at first: section 3.1

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        dense = x
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            dense = torch.cat([dense, F.leaky_relu(layer(dense), SLOPE)], 1)
        change: Tensor = self.conv5(dense)
        return x + BETA * change


class RRDB(nn.Module):
    """x + 0.2 of three dense blocks in a row."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(width, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        change: Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return x + BETA * change


class RRDBNet(RestorationNetwork):
    """Predict what is to be added to a picture's bicubic enlargement.

    Args:
        config: its settings.
        channels: of the picture, 1 or 3.
        scale: 1, 2, 4 or 8.
    """

    enlarges: ClassVar[bool] = True

    def __init__(self, config: RRDBConfig, *, channels: int = 3, scale: int = 4) -> None:
        super().__init__()
        width, blocks, growth, unshuffle = config.width, config.blocks, config.growth, config.unshuffle
        ups = (scale * unshuffle).bit_length() - 1
        if scale not in {1, 2, 4, 8} or unshuffle not in {1, 2, 4} or ups < 0:
            raise ValueError(f"scale must be 1, 2, 4 or 8 and unshuffle 1, 2 or 4, not {scale} and {unshuffle}")
        self.unshuffle = unshuffle
        self.spec = ModelSpec(
            channels,
            channels,
            receptive_field=unshuffle * (2 + 15 * blocks + ups + 3) + unshuffle,
            multiple=unshuffle,
            scale=scale,
        )
        self.conv_first = nn.Conv2d(channels * unshuffle**2, width, 3, padding=1)
        self.body = nn.Sequential(*(RRDB(width, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(width, width, 3, padding=1)
        self.ups = [f"conv_up{index + 1}" for index in range(ups)]  # names of the published files
        for name in self.ups:
            self.add_module(name, nn.Conv2d(width, width, 3, padding=1))
        self.conv_hr = nn.Conv2d(width, width, 3, padding=1)
        self.conv_last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W), nominal [0, 1], sides multiples of `unshuffle` -> (B, C, scale H, scale W)."""
        hidden = F.pixel_unshuffle(picture, self.unshuffle) if self.unshuffle > 1 else picture
        first = self.conv_first(hidden)
        hidden = first + self.conv_body(self.body(first))
        for name in self.ups:
            larger = F.interpolate(hidden, scale_factor=2, mode="nearest")
            hidden = F.leaky_relu(getattr(self, name)(larger), SLOPE)
        enlarged: Tensor = self.conv_last(F.leaky_relu(self.conv_hr(hidden), SLOPE))
        return enlarged.float() - enlarge(picture.float(), self.spec.scale)
