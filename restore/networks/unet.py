"""A restoration U-Net of plain 3x3 convolutions, bias-free, with the noise level as an input map.

Ronneberger et al. 2015 (the shape); Zhang et al. 2018, FFDNet (the noise map as an input; all work at half resolution after a
pixel-unshuffle, which is `unshuffle` here); Zhang et al. 2021, DRUNet (residual blocks, no normalisation); Mohan et al. 2020
(no biases: the network is then homogeneous, f(ax, as) = a f(x, s), and carries over to noise levels and value ranges that it
was not trained on).
Plain dense convolutions because they run at 85 % of the matrix units' peak on CPUs with AMX; depthwise ones and attention
do not. Few blocks at the full resolution learn more for the same operations than many at half of it: 28.08 against 27.93 dB
(held-out BSDS500, sigma 25) after 10^14 operations of training each.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.fused import Residual, ResidualStack
from restore.networks.spec import ModelSpec, RestorationNetwork


class ResidualBlock(Residual):
    """x + conv(relu(conv(x))), (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        with torch.no_grad():
            self.second.weight.mul_(
                0.3
            )  # a block starts near the identity, which trains deep stacks without normalisation


class RestorationUNet(RestorationNetwork):
    """Predict the correction that, added to the damaged picture, restores it.

    The correction alone is returned; whoever runs the network adds it to the picture in float32 (`Restorer`, the trainer), so
    that a half-precision network cannot round the picture itself.

    Args:
        channels: colour channels of the picture, 1 or 3.
        widths: channels at the first resolution, at half of it, at a quarter ...
        blocks: residual blocks at each of these, on the way down and again on the way up.
        unshuffle: the first resolution is the picture's divided by this, 1 or a power of 2.
    """

    def __init__(
        self,
        channels: int = 1,
        widths: Sequence[int] = (32, 64, 128, 192),
        blocks: Sequence[int] = (1, 1, 1, 1),
        unshuffle: int = 1,
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks):
            raise ValueError(f"widths {list(widths)} and blocks {list(blocks)} must have the same length")
        if unshuffle < 1 or unshuffle & (unshuffle - 1):
            raise ValueError(f"unshuffle must be 1 or a power of 2, not {unshuffle}")
        self.unshuffle = unshuffle
        self.spec = ModelSpec(
            channels, channels, receptive_field=_receptive_field(blocks, unshuffle), multiple=unshuffle * 2 ** (len(widths) - 1),
            conditions=("noise",), homogeneous=True,
        )  # fmt: skip
        pairs = list(itertools.pairwise(widths))
        self.head = nn.Conv2d((channels + 1) * unshuffle**2, widths[0], 3, padding=1, bias=False)
        self.encoders = nn.ModuleList(_stage(w, n) for w, n in zip(widths[:-1], blocks[:-1], strict=True))
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2, bias=False) for a, b in pairs)
        self.bottom = _stage(widths[-1], blocks[-1])
        self.ups = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2, bias=False) for a, b in pairs)
        self.decoders = nn.ModuleList(_stage(w, n) for w, n in zip(widths[:-1], blocks[:-1], strict=True))
        self.tail = nn.Conv2d(widths[0], channels * unshuffle**2, 3, padding=1, bias=False)
        self._start_without_checkerboard()

    def _start_without_checkerboard(self) -> None:
        """Start every upsampling as nearest-neighbour (ICNR, Aitken et al. 2017): the taps of one 2x2 cell begin equal."""
        with torch.no_grad():
            for up in (module for module in self.ups if isinstance(module, nn.ConvTranspose2d)):
                up.weight.copy_(up.weight[:, :, :1, :1].expand_as(up.weight))
            cell = self.unshuffle**2
            self.tail.weight.copy_(0.1 * self.tail.weight[::cell].repeat_interleave(cell, 0))

    def forward(self, picture: Tensor, noise: Tensor) -> Tensor:
        """Correct `picture`.

        Args:
            picture: (B, C, H, W), nominal range [0, 1]; H and W multiples of `spec.multiple`.
            noise: (B, 1, H, W), standard deviation of the noise at each pixel in the picture's units.

        Returns:
            (B, C, H, W), to be added to the picture.
        """
        return self.correct(torch.cat([picture, noise], 1))

    def fitted(self, key: str, value: Tensor, shape: torch.Size) -> Tensor:
        """The first and the last layer are fitted to another number of colours; see `RestorationNetwork.fitted`."""
        cell = self.unshuffle**2
        if key == "head.weight" and value.shape[0] == shape[0]:
            return _spread_colours(value, cell, cell, shape)
        if key == "tail.weight" and value.shape[1] == shape[1]:
            return _mean_colours(value, cell, shape)
        return super().fitted(key, value, shape)

    def correct(self, seen: Tensor) -> Tensor:
        """The same of the picture and its noise map in one, (B, C + 1, H, W)."""
        first = self.head(F.pixel_unshuffle(seen, self.unshuffle))
        hidden, skips = first, []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            hidden = encoder(hidden, hidden is not first)
            skips.append(hidden)
            hidden = down(hidden)
        hidden = self.bottom(hidden, hidden is not first)
        for up, decoder, skip in zip(reversed(self.ups), reversed(self.decoders), reversed(skips), strict=True):
            hidden = decoder(up(hidden).add_(skip), True)
        return F.pixel_shuffle(self.tail(hidden + first), self.unshuffle)


def _spread_colours(value: Tensor, kept: int, cell: int, shape: torch.Size) -> Tensor:
    """A first layer's weights for another number of colours, each of which has the mean of them all; the last `kept` inputs stay.

    A gray network's, spread over three colours with a third each, answer a gray picture as before.
    """
    colours, rest = value[:, :-kept], value[:, -kept:]
    before, after = colours.shape[1] // cell, (shape[1] - kept) // cell
    mean = colours.unflatten(1, (before, cell)).sum(1) / after
    return torch.cat([mean.repeat(1, after, 1, 1), rest], 1)


def _mean_colours(value: Tensor, cell: int, shape: torch.Size) -> Tensor:
    """A last layer's weights for another number of colours, each of which gets the mean correction of them all."""
    return value.unflatten(0, (value.shape[0] // cell, cell)).mean(0).repeat(shape[0] // cell, 1, 1, 1)


def _receptive_field(blocks: Sequence[int], unshuffle: int) -> int:
    """Head and tail, two convolutions a block (each stage on the way down and up, the lowest once), and one cell of the lowest stage."""
    lowest = len(blocks) - 1
    stages = sum((1 if level == lowest else 2) * 2 * count * 2**level for level, count in enumerate(blocks))
    return unshuffle * (2 + stages + 2**lowest)


def _stage(channels: int, blocks: int) -> ResidualStack:
    return ResidualStack(*(ResidualBlock(channels) for _ in range(blocks)))
