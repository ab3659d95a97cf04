"""Residual-in-residual dense blocks: the generator of ESRGAN, in the layout of its published files.

Wang et al. 2018, "ESRGAN", section 3.1 and figure 4; Wang et al. 2021, "Real-ESRGAN", section 3.3 (pixels unshuffled first, for scales
below 4).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.resample import enlarge
from restore.networks.spec import ModelSpec, RestorationNetwork

SLOPE, SHARE = 0.2, 0.2
"""Of the leaky rectifiers; of each residual that is added (beta of the paper)."""


class DenseBlock(nn.Module):
    """x + 0.2 conv5(...), each of five convolutions seeing all before it, (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        for index in range(4):
            setattr(self, f"conv{index + 1}", nn.Conv2d(width + index * growth, growth, 3, padding=1))
        self.conv5 = nn.Conv2d(width + 4 * growth, width, 3, padding=1)
        with torch.no_grad():
            for layer in self.children():
                assert isinstance(layer, nn.Conv2d)
                nn.init.kaiming_normal_(layer.weight)
                layer.weight.mul_(0.1)  # small at first: section 3.1

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for index in range(4):
            seen = torch.cat([seen, F.leaky_relu(getattr(self, f"conv{index + 1}")(seen), SLOPE)], 1)
        return x + SHARE * self.conv5(seen)


class RRDB(nn.Module):
    """x + 0.2 of three dense blocks in a row."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(width, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return x + SHARE * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(RestorationNetwork):
    """Enlarge a picture; what is returned is to be added to its bicubic enlargement.

    Args:
        channels: of the picture, 1 or 3.
        scale: 1, 2, 4 or 8.
        width: channels of the trunk.
        blocks: RRDBs (23 in the paper, 6 in Real-ESRGAN's anime network).
        growth: channels that each convolution of a dense block adds.
        unshuffle: the trunk works at the resolution divided by this.
    """

    def __init__(
        self, channels: int = 3, scale: int = 4, width: int = 64, blocks: int = 23, *, growth: int = 32, unshuffle: int = 1
    ) -> None:
        super().__init__()
        ups = (scale * unshuffle).bit_length() - 1
        if scale not in {1, 2, 4, 8} or unshuffle not in {1, 2, 4} or ups < 0:
            raise ValueError(f"scale must be 1, 2, 4 or 8 and unshuffle 1, 2 or 4, not {scale} and {unshuffle}")
        self.scale, self.unshuffle = scale, unshuffle
        self.spec = ModelSpec(
            channels, channels, receptive_field=unshuffle * (2 + 15 * blocks + ups + 3) + unshuffle, multiple=unshuffle, scale=scale
        )
        self.conv_first = nn.Conv2d(channels * unshuffle**2, width, 3, padding=1)
        self.body = nn.Sequential(*(RRDB(width, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(width, width, 3, padding=1)
        self.ups = ups
        for index in range(ups):
            setattr(self, f"conv_up{index + 1}", nn.Conv2d(width, width, 3, padding=1))
        self.conv_hr = nn.Conv2d(width, width, 3, padding=1)
        self.conv_last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W), nominal [0, 1], sides multiples of `unshuffle` -> (B, C, scale H, scale W)."""
        hidden = F.pixel_unshuffle(picture, self.unshuffle) if self.unshuffle > 1 else picture
        first = self.conv_first(hidden)
        hidden = first + self.conv_body(self.body(first))
        for index in range(self.ups):
            larger = F.interpolate(hidden, scale_factor=2, mode="nearest")
            hidden = F.leaky_relu(getattr(self, f"conv_up{index + 1}")(larger), SLOPE)
        made = self.conv_last(F.leaky_relu(self.conv_hr(hidden), SLOPE))
        return made.float() - enlarge(picture.float(), self.scale)
