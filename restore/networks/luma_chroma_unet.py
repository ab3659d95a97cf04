"""Two restoration U-Nets for colour: one for the luminance, which holds most of a photograph's detail, one for the colour differences.

Dabov et al. 2007, "Color image denoising via sparse 3D collaborative filtering with grouping constraint in luminance-chrominance space"
(CBM3D), separate them in the same way. One network for red, green and blue left 8 % more error in the luminance than a gray network of
its size (held-out photographs, sigma 25).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.networks.spec import NAME_HELP, ModelSpec, RestorationNetwork
from restore.networks.unet import LUMINANCE, RestorationUNet, UNetConfig, UNetSettings

ROOT6, ROOT18 = math.sqrt(6), math.sqrt(18)
RGB_TO_CHROMA_LUMA = ((1 / ROOT6, 0.0, -1 / ROOT6), (1 / ROOT18, -2 / ROOT18, 1 / ROOT18), (1 / 3, 1 / 3, 1 / 3))
"""RGB -> red - blue, green against both, and luminance (the mean): an orthogonal transform divided by the root of three.
White noise stays white, and each of the three has 1 / sqrt(3) of its standard deviation."""
RGB_TO_CBCR_LUMA = ((-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312), (0.299, 0.587, 0.114))
"""RGB -> Cb, Cr and luma as JPEG codes them (ITU-T T.871), without its offset. Compression acts on each of the three alone."""


@dataclass(frozen=True)
class LumaChromaUNetConfig(UNetSettings):
    """The settings of `LumaChromaUNet`: those of the luminance's network, and the widths of the other one."""

    name: Literal["luma_chroma_unet"] = field(default="luma_chroma_unet", metadata={"help": NAME_HELP})
    chroma_widths: tuple[int, ...] = field(
        default=(48, 96, 128),
        metadata={
            "help": "channels of the network for the colour differences, from half the resolution down", "range": (1, 4096),
            "count": (1, 10), "free": True,
        },
    )  # fmt: skip
    luminance: Literal["mean", "bt601"] = field(
        default="mean", metadata={"help": "what the first network sees: the mean of the colours, or luma as JPEG codes it"}
    )
    contains: ClassVar[frozenset[str]] = frozenset({"unet"})


class LumaChromaUNet(RestorationNetwork):
    """Predict the correction of a colour picture as luminance and colour differences; of a gray one as luminance alone.

    Args:
        config: its settings; a gray network's weights fit the luminance's network.
        channels: of the picture, 1 or 3.
    """

    to_chroma_luma: Tensor
    to_rgb: Tensor

    def __init__(self, config: LumaChromaUNetConfig, *, channels: int = 3) -> None:
        super().__init__()
        self.luminance = RestorationUNet(config, channels=1)
        self.spec = replace(self.luminance.spec, channels=channels, out_channels=channels)
        if channels == 3:
            widths = config.chroma_widths
            # it takes the luminance as the first network left it, and may correct that too
            self.chroma = RestorationUNet(
                UNetConfig(widths=widths, blocks=(1,) * len(widths), unshuffle=2, condition=config.condition), channels=3
            )
            self.spec = _in_sequence(self.spec, self.chroma.spec)
            mean = config.luminance == "mean"
            transform = torch.tensor(RGB_TO_CHROMA_LUMA if mean else RGB_TO_CBCR_LUMA)
            # the condition comes last, after the luminance: together they are the first network's input
            with_condition = torch.block_diag(transform, torch.tensor(1 / math.sqrt(3) if mean else 1.0))
            self.register_buffer("to_chroma_luma", with_condition[:, :, None, None], persistent=False)
            self.register_buffer("to_rgb", torch.linalg.inv(transform)[:, :, None, None], persistent=False)

    def forward(self, picture: Tensor, noise: Tensor) -> Tensor:
        """(B, C, H, W) in nominal [0, 1] and its condition (B, 1, H, W) -> (B, C, H, W), to be added."""
        if self.spec.channels == 1:
            correction: Tensor = self.luminance(picture, noise)
            return correction
        # 1x1 convolutions keep the layout and sum in float32; arithmetic on planes in half precision does not
        inputs = F.conv2d(torch.cat([picture, noise], 1), self.to_chroma_luma)
        first = self.luminance.correction(inputs[:, 2:])
        second = self.chroma.correction(torch.cat([inputs[:, 2:3] + first, inputs[:, :2], inputs[:, 3:]], 1))
        return F.conv2d(torch.cat([second[:, 1:], first + second[:, :1]], 1), self.to_rgb)

    def part_for(self, keys: Set[str]) -> RestorationNetwork:
        """The luminance's network takes a gray network's weights."""
        return self if any(key.startswith(f"{LUMINANCE}.") for key in keys) else self.luminance

    def adapted(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Blocks of the luminance's network that the weights lack begin as the identity."""
        prefix = f"{LUMINANCE}."
        rest = {key: tensor for key, tensor in tensors.items() if not key.startswith(prefix)}
        return {**rest, **{prefix + key: tensor for key, tensor in self.luminance.adapted(tensors).items()}}


def _in_sequence(first: ModelSpec, second: ModelSpec) -> ModelSpec:
    """The spec of a network whose second part takes the result of the first."""
    reach = first.receptive_field + second.receptive_field
    return replace(first, multiple=math.lcm(first.multiple, second.multiple), receptive_field=reach)
