"""The generator of pix2pix: an encoder to one pixel and a decoder back, with a skip at every level.

Isola et al. 2017, section 3.2.1 and appendix 6.1.1 (C64-C128-C256-C512-C512-C512-C512-C512 and back, dropout in the three
innermost of the decoder in place of a noise vector).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from restore.networks.discriminators import initialise
from restore.networks.normalisation import normalisation
from restore.networks.reflect_padding import ReflectConv2d
from restore.networks.resnet import NORM, UPSAMPLE, Norm, Up, Upsample
from restore.networks.spec import NAME_HELP, ModelSpec, NetworkConfig, RestorationNetwork

MOST_OVERLAP = 768
"""Pixels by which tiles overlap at most: what the deepest of the paper's eight levels see beyond that matters little."""


@dataclass(frozen=True)
class Pix2PixUNetConfig(NetworkConfig):
    """The settings of `Pix2PixUNet` (the paper: batch normalisation, transposed convolutions, a dropout of 0.5)."""

    name: Literal["pix2pix_unet"] = field(default="pix2pix_unet", metadata={"help": NAME_HELP})
    width: int = field(default=64, metadata={"help": "channels after the first layer", "range": (1, 4096)})
    levels: int = field(default=8, metadata={"help": "halvings; 2 to this power is the smallest crop", "range": (1, 10), "layers": True})
    norm: Norm = field(default="instance", metadata=NORM)
    upsample: Upsample = field(default="resize", metadata=UPSAMPLE)
    dropout: float = field(
        default=0.0,
        metadata={
            "help": "fraction dropped in training, in the innermost levels of the decoder",
            "range": (0, 0.99),
            "free": True,
        },
    )
    refine: int = field(
        default=0,
        metadata={
            "help": "convolutions at the full size after the last level; they see the source again and smooth the grid of the upsampling",
            "range": (0, 64), "layers": True,
        },
    )  # fmt: skip


class Level(nn.Module):
    """One level and all levels below it: down, the next level, up; (B, C, H, W) -> (B, 2 C or `out`, H, W).

    Args:
        outer: channels of the input.
        inner: channels at half the resolution.
        below: the next level, or None for the innermost.
        out: channels of the outermost level's result; None for the others, which concatenate their input.
    """

    def __init__(
        self,
        outer: int,
        inner: int,
        below: Level | None,
        *,
        norm: str,
        upsample: str,
        dropout: float,
        out: int | None = None,
    ) -> None:
        super().__init__()
        bias, outermost = norm != "batch", out is not None
        self.outermost = outermost
        activation = [] if outermost else [nn.LeakyReLU(0.2)]
        # one pixel has no deviation to normalise with
        plain = outermost or below is None
        self.down = nn.Sequential(
            *activation,
            nn.Conv2d(outer, inner, 4, 2, 1, bias=bias),
            nn.Identity() if plain else normalisation(norm, inner),
        )
        self.below = below
        wide = inner if below is None else 2 * inner
        after = [] if outermost else [normalisation(norm, outer), *([nn.Dropout(dropout)] if dropout else [])]
        up = _up(wide, outer if out is None else out, upsample, bias or outermost)
        self.up = nn.Sequential(nn.ReLU(), up, *after)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 2 C or `out`, H, W)."""
        hidden = self.down(x)
        if self.below is not None:
            hidden = self.below(hidden)
        hidden = self.up(hidden)
        return hidden if self.outermost else torch.cat([x, hidden], 1)


class Pix2PixUNet(RestorationNetwork):
    """Translate a picture: predict what is to be added to it to get its translation.

    Args:
        config: its settings; 8 levels bring 256 pixels down to 1.
        channels: of the picture and of its translation, 1 or 3.
    """

    def __init__(self, config: Pix2PixUNetConfig, *, channels: int = 3) -> None:
        super().__init__()
        width, levels, norm, upsample, refine = config.width, config.levels, config.norm, config.upsample, config.refine
        if levels < 2:
            raise ValueError(f"a U-Net needs at least 2 levels, not {levels}")
        self.spec = _spec(config, channels)
        widths = [min(8 * width, width * 2**level) for level in range(levels)]
        below: Level | None = None
        for level in range(levels - 1, 0, -1):
            inner_dropout = config.dropout if levels - 4 <= level < levels - 1 and level >= 4 else 0.0
            below = Level(widths[level - 1], widths[level], below, norm=norm, upsample=upsample, dropout=inner_dropout)
        out = width if refine else channels
        self.outermost = Level(channels, widths[0], below, norm=norm, upsample=upsample, dropout=0.0, out=out)
        self.refine = _refine(width, channels, refine) if refine else None
        initialise(self)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W), nominal [0, 1], sides multiples of `spec.multiple` -> (B, C, H, W), to be added to get its translation."""
        signed = 2 * picture - 1
        hidden = self.outermost(signed)
        if self.refine is not None:
            hidden = self.refine(torch.cat([hidden, signed], 1))
        return (torch.tanh(hidden.float()) + 1) / 2 - picture.float()


def _spec(config: Pix2PixUNetConfig, channels: int) -> ModelSpec:
    multiple = 2**config.levels
    reach = (5 if config.upsample == "smooth" else 3) * multiple + config.refine
    # the outer quarter of an overlap has no weight; more than MOST_OVERLAP would make tiles too large for the memory
    return ModelSpec(
        channels, channels, receptive_field=reach, multiple=multiple, overlap=min(2 * reach, MOST_OVERLAP),
        sees_whole_image=config.norm == "instance",
    )  # fmt: skip


def _refine(width: int, channels: int, count: int) -> nn.Sequential:
    """(B, width + channels, H, W) -> (B, channels, H, W), by `count` convolutions."""
    layers: list[nn.Module] = []
    for number in range(count):
        before, after = width if number else width + channels, channels if number == count - 1 else width
        layers += [nn.LeakyReLU(0.2), ReflectConv2d(before, after, 3)]
    return nn.Sequential(*layers)


def _up(before: int, after: int, how: str, bias: bool) -> nn.Module:
    if how == "transposed":
        return nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)
    up = Up(before, after, how, bias)
    assert isinstance(up.convolution, nn.Conv2d)
    up.convolution.padding_mode = "zeros"  # a map of 1 x 1 has nothing to reflect
    return up
