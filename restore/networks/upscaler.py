"""A compact network for super-resolution: all work at the low resolution, the pixels spread out at the very end.

Shi et al. 2016 (ESPCN: sub-pixel convolution), Lim et al. 2017 (EDSR: residual blocks without normalisation), Aitken et al. 2017
(ICNR: the sub-pixels start equal, so that no checkerboard is there to be unlearnt).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.fused import Residual, ResidualStack, added
from restore.networks.spec import ModelSpec, RestorationNetwork


class Block(Residual):
    """x + conv(relu(conv(x))), (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        for layer in (self.first, self.second):
            nn.init.kaiming_normal_(layer.weight)
        with torch.no_grad():
            self.second.weight.mul_(0.1)  # each block begins near the identity, so that depth needs no normalisation


class Upscaler(RestorationNetwork):
    """Enlarge a picture; what is returned is to be added to its bicubic enlargement.

    Args:
        channels: of the picture, 1 or 3.
        scale: 2, 3 or 4.
        width: channels of every layer.
        blocks: residual blocks.
    """

    def __init__(self, channels: int = 3, scale: int = 4, width: int = 64, blocks: int = 12) -> None:
        super().__init__()
        if scale not in {2, 3, 4}:
            raise ValueError(f"scale must be 2, 3 or 4, not {scale}")
        self.scale = scale
        self.spec = ModelSpec(channels, channels, receptive_field=3 + 2 * blocks, scale=scale)
        self.head = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = ResidualStack(*(Block(width) for _ in range(blocks)))
        self.body = nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(width, channels * scale**2, 3, padding=1)
        with torch.no_grad():
            # one kernel a colour, repeated for every sub-pixel
            kernel = 0.1 * self.tail.weight[::scale**2]
            self.tail.weight.copy_(kernel.repeat_interleave(scale**2, 0))
            self.tail.bias.zero_()  # type: ignore[union-attr]

    def fitted(self, key: str, value: Tensor, shape: torch.Size) -> Tensor:
        """The last layer is fitted to another scale: each colour's sub-pixels start equal, as in a new network."""
        if key.startswith("tail."):
            return value.unflatten(0, (self.spec.channels, -1)).mean(1).repeat_interleave(self.scale**2, 0)
        return super().fitted(key, value, shape)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W), nominal [0, 1] -> (B, C, scale H, scale W)."""
        hidden = self.head(picture)
        hidden = added(self.blocks(hidden), self.body, hidden, spent=True)
        return F.pixel_shuffle(self.tail(hidden), self.scale)

