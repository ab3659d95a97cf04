"""A compact network for super-resolution: all work at the low resolution, the sub-pixels rearranged at the end.

Shi et al. 2016 (ESPCN: sub-pixel convolution), Lim et al. 2017 (EDSR: residual blocks without normalisation), Aitken et al. 2017
(ICNR: the sub-pixels start equal, so that training has no checkerboard to remove).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.fused_residual import Residual, ResidualStack, conv_add
from restore.networks.spec import NAME_HELP, ModelSpec, NetworkConfig, RestorationNetwork
from restore.networks.weight_transfer import spread_colours


@dataclass(frozen=True)
class UpscalerConfig(NetworkConfig):
    """The settings of `UpscalerNet`."""

    name: Literal["upscaler"] = field(default="upscaler", metadata={"help": NAME_HELP})
    width: int = field(default=64, metadata={"help": "channels of every layer", "range": (1, 4096)})
    blocks: int = field(default=12, metadata={"help": "residual blocks", "range": (0, 256), "layers": True})


class Block(Residual):
    """x + conv(relu(conv(x))), (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        for layer in (self.first, self.second):
            nn.init.kaiming_normal_(layer.weight)
        with torch.no_grad():
            self.second.weight.mul_(0.1)  # each block begins near the identity, so that depth needs no normalisation


class UpscalerNet(RestorationNetwork):
    """Predict what is to be added to a picture's bicubic enlargement.

    Args:
        config: its settings.
        channels: of the picture, 1 or 3.
        scale: 2, 3 or 4.
    """

    enlarges: ClassVar[bool] = True

    def __init__(self, config: UpscalerConfig, *, channels: int = 3, scale: int = 4) -> None:
        super().__init__()
        if scale not in {2, 3, 4}:
            raise ValueError(f"scale must be 2, 3 or 4, not {scale}")
        width = config.width
        self.spec = ModelSpec(channels, channels, receptive_field=3 + 2 * config.blocks, scale=scale)
        self.head = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = ResidualStack(*(Block(width) for _ in range(config.blocks)))
        self.body = nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(width, channels * scale**2, 3, padding=1)
        with torch.no_grad():
            # one kernel a colour, repeated for every sub-pixel
            kernel = 0.1 * self.tail.weight[:: scale**2]
            self.tail.weight.copy_(kernel.repeat_interleave(scale**2, 0))
            self.tail.bias.zero_()  # type: ignore[union-attr]  # nn.Conv2d has a bias by default

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W), nominal [0, 1] -> (B, C, scale H, scale W)."""
        hidden = self.head(picture)
        hidden = conv_add(self.blocks(hidden), self.body, hidden, inplace=True)
        return F.pixel_shuffle(self.tail(hidden), self.spec.scale)

    def fitted(self, key: str, value: Tensor, shape: torch.Size) -> Tensor:
        """The first layer fits another number of colours, the last another scale, whose sub-pixels start equal."""
        if key == "head.weight" and value.shape[0] == shape[0]:
            return spread_colours(value, self.spec.channels)
        cells = value.shape[0] // self.spec.channels
        if key.startswith("tail.") and cells * self.spec.channels == value.shape[0] and value.shape[1:] == shape[1:]:
            return torch.unflatten(value, 0, (self.spec.channels, -1)).mean(1).repeat_interleave(self.spec.scale**2, 0)
        return super().fitted(key, value, shape)
