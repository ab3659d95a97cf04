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


class RestorationUNet(nn.Module):
    """Predict the correction that, added to the damaged picture, restores it.

    The correction alone is returned; whoever runs the network adds it to the picture in float32 (`Restorer`, the trainer), so
    that a half-precision network cannot round the picture itself.

    Args:
        channels: colour channels of the picture, 1 or 3.
        widths: channels at the first resolution, at half of it, at a quarter ...
        blocks: residual blocks at each of these, on the way down and again on the way up.
        unshuffle: the first resolution is the picture's divided by this, 1 or a power of 2.
    """

    homogeneous = True
    """f(a x, a s) = a f(x, s) for positive a: there are no biases."""

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
        self.channels = channels
        self.unshuffle = unshuffle
        self.multiple = unshuffle * 2 ** (len(widths) - 1)
        self.condition_channels = 1
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

    @property
    def receptive_field(self) -> int:
        """Half-width in pixels of what can influence one output pixel, the overlap a tile needs for an exact result."""
        reach = 2 * self.unshuffle  # head and tail
        for level, stage in enumerate([*self.encoders, self.bottom]):
            passes = 1 if level == len(self.encoders) else 2
            reach += passes * 2 * len(stage) * self.unshuffle * 2**level
        return reach + self.multiple

    def forward(self, picture: Tensor, noise: Tensor) -> Tensor:
        """Correct `picture`.

        Args:
            picture: (B, C, H, W), nominal range [0, 1]; H and W multiples of `multiple`.
            noise: (B, 1, H, W), standard deviation of the noise at each pixel in the picture's units.

        Returns:
            (B, C, H, W), to be added to the picture.
        """
        return self.correct(torch.cat([picture, noise], 1))

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


def _stage(channels: int, blocks: int) -> ResidualStack:
    return ResidualStack(*(ResidualBlock(channels) for _ in range(blocks)))
