"""The colouring network: an encoder to a sixteenth of the resolution, dilated blocks there, a decoder with skips; it predicts chroma alone.

Zhang et al. 2016, "Colorful image colorization" (chroma from luminance, dilated convolutions); Yu and Koltun 2016 (dilations instead of
further downscaling); Xie et al. 2017, ResNeXt (grouped convolutions: a tenth of the weights at the same width). A picture's colours depend
on what it shows, so the blocks at the lowest resolution see all of it. Chroma is smooth: it is predicted at half the resolution.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.fused_residual import Residual, ResidualStack
from restore.networks.spec import NAME_HELP, ModelSpec, NetworkConfig, RestorationNetwork

LUMA = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in luma (ITU-R BT.601), which every converter to gray uses."""
CHROMA_TO_RGB = ((0.0, 1.402), (-0.344136, -0.714136), (1.772, 0.0))
"""Blue and red differences (Cb, Cr in -0.5..0.5) -> what they add to red, green and blue; the luma stays."""
MIDDLE = 0.5
GROUPS = 4


@dataclass(frozen=True)
class ColorizerConfig(NetworkConfig):
    """The settings of `ColorizerNet`."""

    name: Literal["colorizer"] = field(default="colorizer", metadata={"help": NAME_HELP})
    widths: tuple[int, ...] = field(
        default=(32, 64, 96, 128),
        metadata={
            "help": f"channels at half the resolution, a quarter ...; multiples of {GROUPS}",
            "range": (GROUPS, 4096),
            "count": (2, 8),
        },
    )
    dilations: tuple[int, ...] = field(
        default=(1, 2, 4, 8, 2, 1),
        metadata={"help": "of the blocks at the lowest resolution: how far each pixel sees", "range": (1, 1024), "count": (1, 64)},
    )
    features: int = field(
        default=0,
        metadata={
            "help": "channels of a teacher's features that it predicts too, for a distillation_weight; 0: none",
            "range": (0, 4096),
            "free": True,
        },
    )


class GroupedBlock(Residual):
    """x + mix(relu(conv(x))), (B, C, H, W) -> (B, C, H, W): a grouped, dilated 3x3 convolution, and a 1x1 one that mixes the groups."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, groups=GROUPS)
        self.second = nn.Conv2d(channels, channels, 1)
        with torch.no_grad():
            self.second.weight.mul_(0.3)  # near the identity at first, so that depth needs no normalisation


class ColorizerNet(RestorationNetwork):
    """Predict the colours that are to be added to a gray picture.

    Args:
        config: its settings.
        channels: of the picture. With 3, it reads the luma and the correction leaves the luma as it is. With 1 there is no chroma: the
            correction is one of the gray values.
    """

    to_luma: Tensor
    to_rgb: Tensor

    def __init__(self, config: ColorizerConfig, *, channels: int = 3) -> None:
        super().__init__()
        widths, dilations = config.widths, config.dilations
        if uneven := [width for width in widths if width % GROUPS]:
            raise ValueError(f"the widths of a colorizer must be multiples of {GROUPS}, not {uneven[0]}")
        lowest = 2 ** len(widths)
        # further off, pixels matter little
        self.spec = ModelSpec(
            channels, channels, receptive_field=lowest * (sum(dilations) + 6) + 4, multiple=lowest, overlap=16 * lowest,
            features=config.features,
        )  # fmt: skip
        pairs = list(itertools.pairwise(widths))
        self.head = nn.Conv2d(4, widths[0], 3, padding=1)
        self.encoders = nn.ModuleList(GroupedBlock(width) for width in widths[:-1])
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.blocks = ResidualStack(*(GroupedBlock(widths[-1], dilation) for dilation in dilations))
        self.ups = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.decoders = nn.ModuleList(GroupedBlock(width) for width in widths[:-1])
        self.describe = nn.Conv2d(widths[-2], config.features, 1) if config.features else None
        self.tail = nn.Conv2d(widths[0], 2 if channels == 3 else 1, 3, padding=1)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)
        to_luma, to_rgb = (torch.tensor(LUMA)[None], torch.tensor(CHROMA_TO_RGB)) if channels == 3 else (torch.ones(1, 1), torch.ones(1, 1))
        self.register_buffer("to_luma", to_luma[:, :, None, None], persistent=False)
        self.register_buffer("to_rgb", to_rgb[:, :, None, None], persistent=False)

    def part_for(self, keys: Set[str]) -> RestorationNetwork:
        """All but the prediction of features, for the keys of a network without it."""
        if "describe.weight" in keys or self.describe is None:
            return self
        part = copy.copy(self)
        part._modules = {**self._modules, "describe": None}
        return part

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W) in nominal [0, 1] -> (B, C, H, W), to be added."""
        return self._coloured(self._decoded(picture)[-1])

    def described(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the colours to be added, (B, C, H, W), and features at twice the lowest resolution.

        Raises:
            ValueError: it was built without features.
        """
        if self.describe is None:
            return super().described(picture)
        hidden = self._decoded(picture)
        return self._coloured(hidden[-1]), self.describe(hidden[0])

    def _decoded(self, picture: Tensor) -> list[Tensor]:
        """The results of the decoders, from the lowest resolution to the highest."""
        luma = F.conv2d(picture, self.to_luma.to(picture.dtype)) - MIDDLE
        hidden, skips, decoded = F.relu(self.head(F.pixel_unshuffle(luma, 2))), [], []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            hidden = encoder(hidden, True)
            skips.append(hidden)
            hidden = F.relu(down(hidden))
        hidden = self.blocks(hidden, True)
        for up, decoder, skip in zip(reversed(self.ups), reversed(self.decoders), reversed(skips), strict=True):
            hidden = decoder(F.interpolate(up(hidden), scale_factor=2, mode="bilinear") + skip, True)
            decoded.append(hidden)
        return decoded

    def _coloured(self, hidden: Tensor) -> Tensor:
        """What is to be added to red, green and blue, from the last decoder's result."""
        chroma = F.interpolate(self.tail(hidden), scale_factor=2, mode="bilinear")
        return F.conv2d(chroma, self.to_rgb.to(chroma.dtype))
