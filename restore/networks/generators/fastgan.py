"""A pair for few pictures of 64 to 512 pixels, after FastGAN (Liu et al. 2021, "Towards faster and stabilized GAN training").

The generator has skip-layer excitation (section 3.1), the discriminator decodes its own features to the picture (section 3.2), so that
it knows the whole picture. The decoded pictures are compared by L1 and not by a perceptual distance, which would need a backbone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from restore.networks.discriminators import initialise
from restore.networks.generators.dcgan import projection
from restore.networks.generators.spec import Generator, GeneratorSpec, Judgement, SampleConfig, SampleDiscriminator, stages, widths
from restore.networks.spec import NAME_HELP

SKIPS = 4
"""A skip-layer excitation reaches over so many doublings (paper: 8 to 128 pixels, 16 to 256)."""


@dataclass(frozen=True)
class FastGANConfig(SampleConfig):
    """The settings of `FastGANGenerator`."""

    name: Literal["fastgan"] = field(default="fastgan", metadata={"help": NAME_HELP})
    latent: int = field(default=64, metadata={"help": "length of the latent vector (paper: 256)", "range": (1, 4096)})
    width: int = field(default=8, metadata={"help": "channels of the last features", "range": (1, 4096)})
    widest: int = field(default=128, metadata={"help": "most channels of a resolution (paper: 1024)", "range": (1, 8192)})
    shuffle: int = field(
        default=1,
        metadata={"help": "the last features have 1/this of the side and hold its pixels as channels; 2 costs a third", "range": (1, 8)},
    )


@dataclass(frozen=True)
class FastGANDiscriminatorConfig(SampleConfig):
    """The settings of `FastGANDiscriminator`."""

    name: Literal["fastgan"] = field(default="fastgan", metadata={"help": NAME_HELP})
    width: int = field(default=16, metadata={"help": "channels at half the resolution", "range": (1, 4096)})
    widest: int = field(default=128, metadata={"help": "most channels of a resolution (paper: 1024)", "range": (1, 8192)})


def _convolution(before: int, after: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Module:
    return spectral_norm(nn.Conv2d(before, after, kernel, stride, padding, bias=False))


class Up(nn.Module):
    """Nearest-neighbour doubling, then one or two gated 3 x 3 convolutions; (B, before, H, W) -> (B, after, 2 H, 2 W).

    Args:
        before, after: channels.
        noisy: two convolutions, each with noise, instead of one without.
    """

    def __init__(self, before: int, after: int, *, noisy: bool) -> None:
        super().__init__()
        self.first = _gated(before, after)
        self.second = _gated(after, after) if noisy else None
        self.strengths = nn.Parameter(torch.zeros(2)) if noisy else None

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """`noise`: (B, 2, 2 H, 2 W), or None for none."""
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        if self.second is None or self.strengths is None:
            hidden: Tensor = self.first(x)
            return hidden
        for index, layer in enumerate((self.first, self.second)):
            x = layer[0](x)
            x = x if noise is None else x + self.strengths[index] * noise[:, index : index + 1]
            x = layer[1:](x)
        return x


def _gated(before: int, after: int) -> nn.Sequential:
    """Convolution, batch normalisation, gated linear units."""
    return nn.Sequential(_convolution(before, 2 * after, 3, padding=1), nn.BatchNorm2d(2 * after), nn.GLU(1))


class Excitation(nn.Module):
    """Scales the channels of a fine map by a coarse one (section 3.1, eq. 1)."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), _convolution(coarse, fine, 4), nn.SiLU(), _convolution(fine, fine, 1), nn.Sigmoid()
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(B, coarse, h, w), (B, fine, H, W) -> (B, fine, H, W)."""
        scaled: Tensor = fine * self.layers(coarse)
        return scaled


class Smoothed(nn.Module):
    """The filter 1, 2, 1 in both directions, (B, C, H, W) -> the same: it has a zero at the checkerboard's frequency."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        return F.avg_pool2d(F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 2, 1), 2, 1)


class FastGANGenerator(Generator):
    """Latent vector, and label -> picture. `shuffle` is the sub-pixel convolution of Shi et al. 2016."""

    def __init__(self, config: FastGANConfig, *, channels: int = 1, side: int = 128, classes: int = 0) -> None:
        super().__init__()
        if side % config.shuffle:
            raise ValueError(f"data.crop={side} must be a multiple of generator.shuffle={config.shuffle}")
        self.start, doublings = stages(side // config.shuffle)
        wide = widths(config.width, config.widest, doublings)
        noisy = [level % 2 == 0 for level in range(doublings)]
        self.noisy_sides = [self.start * 2 ** (level + 1) if noise else 0 for level, noise in enumerate(noisy)]
        self.spec = GeneratorSpec(config.latent, channels, side, classes, pixel_noise=sum(2 * each**2 for each in self.noisy_sides))
        self.head = spectral_norm(nn.Linear(config.latent + classes, 2 * wide[0] * self.start**2, bias=False))
        self.first = nn.Sequential(nn.BatchNorm2d(2 * wide[0]), nn.GLU(1))
        self.ups = nn.ModuleList(Up(before, after, noisy=each) for (before, after), each in zip(pairwise(wide), noisy, strict=True))
        self.excitations = nn.ModuleList(Excitation(wide[level - SKIPS], wide[level]) for level in range(SKIPS, doublings + 1))
        convolution = nn.Conv2d(wide[-1], channels * config.shuffle**2, 3, padding=1)
        shuffled = [nn.PixelShuffle(config.shuffle), Smoothed()] if config.shuffle > 1 else []
        self.tail = nn.Sequential(convolution, *shuffled)
        initialise(self)
        with torch.no_grad():  # ICNR (Aitken et al. 2017): without it the shuffled pixels begin as a checkerboard
            convolution.weight.copy_(convolution.weight[:: config.shuffle**2].repeat_interleave(config.shuffle**2, 0))

    def synthesise(self, styles: Tensor, pixel_noise: Tensor | None = None) -> Tensor:
        """(B, 1, Z + classes) -> (B, C, S, S)."""
        latent = F.normalize(styles[:, 0], dim=1) * styles.shape[2] ** 0.5
        features = [self.first(self.head(latent).unflatten(1, (-1, self.start, self.start)))]
        for level, (up, noise) in enumerate(zip(self.ups, self._maps(pixel_noise), strict=True), 1):
            hidden = up(features[-1], noise)
            features.append(self.excitations[level - SKIPS](features[level - SKIPS], hidden) if level >= SKIPS else hidden)
        values: Tensor = self.tail(features[-1])
        return (torch.tanh(values.float()) + 1) / 2

    def _maps(self, pixel_noise: Tensor | None) -> list[Tensor | None]:
        """(B, N) -> (B, 2, h, w) for each doubling with noise, None for the others."""
        if pixel_noise is None:
            return [None] * len(self.noisy_sides)
        parts = pixel_noise.split([2 * side**2 for side in self.noisy_sides], 1)
        return [part.reshape(-1, 2, side, side) if side else None for part, side in zip(parts, self.noisy_sides, strict=True)]


class Down(nn.Module):
    """The mean of two ways to half the resolution, (B, before, H, W) -> (B, after, H / 2, W / 2)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            _convolution(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2),
            _convolution(after, after, 3, padding=1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.direct = nn.Sequential(nn.AvgPool2d(2), _convolution(before, after, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H / 2, W / 2)."""
        reduced: Tensor = (self.main(x) + self.direct(x)) / 2
        return reduced


class FastGANDiscriminator(SampleDiscriminator):
    """Picture, and label -> a map of logits; learns to decode real pictures from its features."""

    self_supervised: ClassVar[bool] = True

    def __init__(self, config: FastGANDiscriminatorConfig, *, channels: int = 1, side: int = 128, classes: int = 0) -> None:
        super().__init__()
        _, halvings = stages(side)
        if halvings < 3:
            raise ValueError(f"fastgan needs pictures of at least 32 x 32 pixels, not {side} x {side}: raise data.crop")
        wide = widths(config.width, config.widest, halvings - 1)[::-1]
        self.head = nn.Sequential(_convolution(channels, wide[0], 4, 2, 1), nn.LeakyReLU(0.2))
        # the last map has twice the smallest side, 8 x 8 for 128 and 256 pixels: each logit sees a region
        self.downs = nn.ModuleList(Down(before, after) for before, after in pairwise(wide[:-1]))
        last = wide[-2]
        reach = max(1, len(self.downs) - 1)
        self.excitations = nn.ModuleList([Excitation(wide[0], wide[reach])])
        self.reach = reach
        self.tail = nn.Sequential(_convolution(last, last, 1), nn.BatchNorm2d(last), nn.LeakyReLU(0.2), _convolution(last, 1, 4))
        self.embedding = nn.Embedding(classes, last) if classes else None
        self.whole, self.part = _decoder(last, channels), _decoder(wide[-3], channels)
        initialise(self)

    def forward(self, pictures: Tensor, labels: Tensor | None = None, *, auxiliary: bool = False) -> Judgement:
        """(B, C, S, S) -> logits (B, N), one for each region."""
        features = [self.head(2 * pictures - 1)]
        for level, down in enumerate(self.downs, 1):
            hidden = down(features[-1])
            features.append(self.excitations[0](features[0], hidden) if level == self.reach else hidden)
        logits: Tensor = self.tail(features[-1]).flatten(1)
        if self.embedding is not None:
            logits = logits + projection(self.embedding, features[-1].mean((2, 3)), labels)
        return Judgement(logits, self._decoding_loss(pictures, features[-2], features[-1]) if auxiliary else None)

    def _decoding_loss(self, pictures: Tensor, fine: Tensor, coarse: Tensor) -> Tensor:
        """L1 of pictures decoded from the coarse map, and of a quarter decoded from that quarter of the fine map (section 3.2, eq. 2)."""
        top, left = (int(each) for each in torch.randint(2, (2,)))
        crop = fine.shape[2] // 2
        part = fine[:, :, top * crop :, left * crop :][:, :, :crop, :crop]
        half = pictures.shape[2] // 2
        quarter = pictures[:, :, top * half :, left * half :][:, :, :half, :half]
        pairs = ((self.whole(coarse), pictures), (self.part(part), quarter))
        losses = [F.l1_loss(decoded.float(), F.adaptive_avg_pool2d(picture, decoded.shape[2:])) for decoded, picture in pairs]
        return losses[0] + losses[1]


def _decoder(before: int, channels: int) -> nn.Sequential:
    """A map -> a picture with four times its side, in nominal [0, 1]."""
    layers: list[nn.Module] = []
    for after in (max(8, before // 2), max(8, before // 4)):
        layers += [nn.Upsample(scale_factor=2, mode="nearest"), *_gated(before, after)]
        before = after
    return nn.Sequential(*layers, nn.Conv2d(before, channels, 3, padding=1), nn.Sigmoid())
