"""The generator of pix2pix: an encoder to one pixel and a decoder back, with a skip at every level.

Isola et al. 2017, section 3.2.1 and appendix 6.1.1 (C64-C128-C256-C512-C512-C512-C512-C512 and back, dropout in the three
innermost of the decoder in place of a noise vector).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from restore.networks.discriminators import initialise
from restore.networks.mirrored import MirroredConv2d
from restore.networks.normalisation import normalisation
from restore.networks.resnet import Up
from restore.networks.spec import ModelSpec, RestorationNetwork

MOST_OVERLAP = 768
"""Pixels by which tiles overlap at most: what the deepest levels of the paper's eight see beyond that matters little."""


class Level(nn.Module):
    """One level with all below it: down, the next level, up; (B, C, H, W) -> (B, 2 C or `out`, H, W).

    Args:
        outer: channels that come in.
        inner: channels at half the resolution.
        below: the next level, or None for the innermost.
        out: channels of the outermost level's result, None for the others, which add what came in.
    """

    def __init__(
        self, outer: int, inner: int, below: Level | None, *, norm: str, upsample: str, dropout: float, out: int | None = None
    ) -> None:
        super().__init__()
        bias, outermost = norm != "batch", out is not None
        self.outermost = outermost
        activation = [] if outermost else [nn.LeakyReLU(0.2)]
        # one pixel has no deviation to normalise by
        plain = outermost or below is None
        self.down = nn.Sequential(
            *activation, nn.Conv2d(outer, inner, 4, 2, 1, bias=bias), nn.Identity() if plain else normalisation(norm, inner)
        )
        self.below = below
        wide = inner if below is None else 2 * inner
        after = [] if outermost else [normalisation(norm, outer), *([nn.Dropout(dropout)] if dropout else [])]
        up = _up(wide, outer if out is None else out, upsample, bias or outermost)
        self.up = nn.Sequential(nn.ReLU(), up, *after)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.down(x)
        if self.below is not None:
            hidden = self.below(hidden)
        hidden = self.up(hidden)
        return hidden if self.outermost else torch.cat([x, hidden], 1)


class Pix2PixUNet(RestorationNetwork):
    """Translate a picture; the correction that leads to the translation is returned, as by every network here.

    Args:
        channels: of the picture and of its translation, 1 or 3.
        width: channels after the first layer (64 in the paper).
        levels: halvings; 8 bring 256 pixels down to 1.
        norm: "batch" (the paper), "instance", "pixel" or "none".
        upsample: "resize", "smooth", or "transposed" as in the reference code.
        dropout: in the innermost levels of the decoder, while training.
        refine: convolutions at the full size behind the last level, which see the source again: a decoder that ends in a doubled picture
            has nothing to smooth its grid with.
    """

    def __init__(
        self, channels: int = 3, width: int = 64, levels: int = 8, *, norm: Literal["instance", "batch", "pixel", "none"] = "batch",
        upsample: Literal["resize", "smooth", "transposed"] = "resize", dropout: float = 0.5, refine: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        if levels < 2:
            raise ValueError(f"a U-Net needs at least 2 levels, not {levels}")
        reach = (5 if upsample == "smooth" else 3) * 2**levels + refine
        # the outer quarter of an overlap counts for nothing; more than MOST_OVERLAP would make tiles too large for the memory
        self.spec = ModelSpec(
            channels, channels, receptive_field=reach, multiple=2**levels, overlap=min(2 * reach, MOST_OVERLAP),
            sees_whole_image=norm == "instance",
        )  # fmt: skip
        widths = [min(8 * width, width * 2**level) for level in range(levels)]
        below: Level | None = None
        for level in range(levels - 1, 0, -1):
            inner_dropout = dropout if levels - 4 <= level < levels - 1 and level >= 4 else 0.0
            below = Level(
                widths[level - 1], widths[level], below, norm=norm, upsample=upsample, dropout=inner_dropout
            )
        out = width if refine else channels
        self.outermost = Level(channels, widths[0], below, norm=norm, upsample=upsample, dropout=0.0, out=out)
        self.refine = _refine(width, channels, refine) if refine else None
        initialise(self)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W), nominal [0, 1], sides multiples of `spec.multiple` -> what has to be added to get its translation."""
        seen = 2 * picture - 1
        made = self.outermost(seen)
        if self.refine is not None:
            made = self.refine(torch.cat([made, seen], 1))
        return (torch.tanh(made.float()) + 1) / 2 - picture.float()


def _refine(width: int, channels: int, count: int) -> nn.Sequential:
    """(B, width + channels, H, W) -> (B, channels, H, W), by `count` convolutions."""
    layers: list[nn.Module] = []
    for number in range(count):
        before, after = width if number else width + channels, channels if number == count - 1 else width
        layers += [nn.LeakyReLU(0.2), MirroredConv2d(before, after, 3)]
    return nn.Sequential(*layers)


def _up(before: int, after: int, how: str, bias: bool) -> nn.Module:
    if how == "transposed":
        return nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)
    up = Up(before, after, how, bias)
    assert isinstance(up.convolution, nn.Conv2d)
    up.convolution.padding_mode = "zeros"  # nothing to mirror at 1 x 1
    return up
