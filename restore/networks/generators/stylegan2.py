"""The pair of StyleGAN2 (Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN").

A mapping network, modulated convolutions, noise at each pixel, output skips or residuals (section 4.1) and a residual discriminator with
the deviation over the batch (Karras et al. 2018, section 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from restore.networks.generators.equalised import EqualisedConv2d, EqualisedLinear, ModulatedConv2d, leaky
from restore.networks.generators.resampling import doubled, halved
from restore.networks.generators.spec import Generator, GeneratorSpec, Judgement, SampleConfig, SampleDiscriminator, one_hot, stages, widths
from restore.networks.spec import NAME_HELP

AVERAGE_RATE = 0.005
"""How fast the mean style follows, per pass (Karras et al. 2020, reference code)."""
STD_GROUP = 4
"""Most samples over which the discriminator takes a deviation."""


@dataclass(frozen=True)
class StyleGAN2Config(SampleConfig):
    """The settings of `StyleGAN2Generator`."""

    name: Literal["stylegan2"] = field(default="stylegan2", metadata={"help": NAME_HELP})
    latent: int = field(default=64, metadata={"help": "length of the latent vector (paper: 512)", "range": (1, 4096)})
    style: int = field(default=64, metadata={"help": "length of a style vector (paper: 512)", "range": (1, 4096)})
    mapping: int = field(default=4, metadata={"help": "layers of the mapping network (paper: 8)", "range": (1, 64), "layers": True})
    width: int = field(default=16, metadata={"help": "channels at the full resolution", "range": (1, 4096)})
    widest: int = field(default=96, metadata={"help": "most channels of a resolution (paper: 512)", "range": (1, 8192)})
    architecture: Literal["skip", "residual"] = field(
        default="skip", metadata={"help": "each resolution adds to the picture, or to the features (paper, section 4.1)"}
    )


@dataclass(frozen=True)
class StyleGAN2DiscriminatorConfig(SampleConfig):
    """The settings of `StyleGAN2Discriminator`."""

    name: Literal["stylegan2"] = field(default="stylegan2", metadata={"help": NAME_HELP})
    width: int = field(default=16, metadata={"help": "channels at the full resolution", "range": (1, 4096)})
    widest: int = field(default=96, metadata={"help": "most channels of a resolution (paper: 512)", "range": (1, 8192)})


class Mapping(nn.Module):
    """Latent vector, and label -> style: fully connected layers that learn slowly, on normalised inputs.

    Args:
        config: the generator's settings.
        classes: how many labels there are; 0 for none.
    """

    def __init__(self, config: StyleGAN2Config, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.embedding = EqualisedLinear(classes, config.latent) if classes else None
        sizes = [config.latent * (2 if classes else 1), *[config.style] * config.mapping]
        self.layers = nn.ModuleList(EqualisedLinear(before, after, rate=0.01) for before, after in pairwise(sizes))

    def forward(self, latent: Tensor, labels: Tensor | None) -> Tensor:
        """(B, Z), (B) -> (B, W)."""
        hidden = _normalised(latent)
        if self.embedding is not None:
            hidden = torch.cat([hidden, _normalised(self.embedding(one_hot(labels, self.classes)))], 1)
        for layer in self.layers:
            hidden = leaky(layer(hidden))
        return hidden


def _normalised(x: Tensor) -> Tensor:
    """Each vector to a mean square of 1."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


class StyledLayer(nn.Module):
    """Modulated 3 x 3 convolution, noise, bias, leaky rectifier; (B, before, H, W) -> (B, after, H, W)."""

    def __init__(self, before: int, after: int, style: int) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(before, after, 3, style=style)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(after))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """`noise`: (B, 1, H, W), or None for none."""
        x = self.convolution(x, style)
        if noise is not None:
            x = x + self.strength * noise
        return leaky(x + self.bias[:, None, None])


class StyleGAN2Generator(Generator):
    """Latent vector -> style -> picture."""

    mean_style: Tensor

    def __init__(self, config: StyleGAN2Config, *, channels: int = 1, side: int = 28, classes: int = 0) -> None:
        super().__init__()
        start, doublings = stages(side)
        self.sides = [start, *(start * 2**level for level in range(1, doublings + 1) for _ in range(2))]
        self.spec = GeneratorSpec(
            config.latent, channels, side, classes, pixel_noise=sum(side**2 for side in self.sides), layers=2 * doublings + 2
        )
        self.residual = config.architecture == "residual"
        wide = widths(config.width, config.widest, doublings)
        self.mapping = Mapping(config, classes)
        self.register_buffer("mean_style", torch.zeros(config.style))
        self.constant = nn.Parameter(torch.randn(wide[0], start, start))
        pairs = [(wide[0], wide[0]), *(pair for before, after in pairwise(wide) for pair in ((before, after), (after, after)))]
        self.layers = nn.ModuleList(StyledLayer(before, after, config.style) for before, after in pairs)
        shown = wide[-1:] if self.residual else wide
        self.tails = nn.ModuleList(ModulatedConv2d(each, channels, 1, style=config.style, demodulate=False) for each in shown)
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        skipped = pairwise(wide) if self.residual else ()
        self.skips = nn.ModuleList(EqualisedConv2d(before, after, 1, bias=False) for before, after in skipped)

    def styles(self, latent: Tensor, labels: Tensor | None = None, *, truncation: float = 1.0) -> Tensor:
        """(B, Z) -> (B, layers, W). Truncation moves a style towards the mean style (Karras et al. 2019, appendix B)."""
        style: Tensor = self.mapping(latent, labels)
        if self.training:
            with torch.no_grad():
                self.mean_style.lerp_(style.detach().float().mean(0), AVERAGE_RATE)
        if truncation != 1:
            style = self.mean_style + truncation * (style - self.mean_style)
        return style[:, None].expand(-1, self.spec.layers, -1)

    def synthesise(self, styles: Tensor, pixel_noise: Tensor | None = None) -> Tensor:
        """(B, layers, W) -> (B, C, S, S)."""
        noise = self._maps(pixel_noise)
        hidden = self.layers[0](self.constant.expand(styles.shape[0], -1, -1, -1), styles[:, 0], noise[0])
        picture = None if self.residual else self.tails[0](hidden, styles[:, 1]).float()
        for level in range(1, len(self.sides) // 2 + 1):
            first, second = 2 * level - 1, 2 * level
            before = doubled(hidden)
            hidden = self.layers[first](before, styles[:, first], noise[first])
            hidden = self.layers[second](hidden, styles[:, second], noise[second])
            if picture is None:
                hidden = (hidden + self.skips[level - 1](before)) / math.sqrt(2)
            else:
                picture = doubled(picture) + self.tails[level](hidden, styles[:, second + 1]).float()
        if picture is None:
            picture = self.tails[0](hidden, styles[:, -1]).float()
        shown: Tensor = (picture + self.bias + 1) / 2
        return shown

    def _maps(self, pixel_noise: Tensor | None) -> list[Tensor | None]:
        """(B, N) -> one (B, 1, h, w) for each layer."""
        if pixel_noise is None:
            return [None] * len(self.sides)
        parts = pixel_noise.split([side**2 for side in self.sides], 1)
        return [part.reshape(-1, 1, side, side) for part, side in zip(parts, self.sides, strict=True)]


class ResidualDown(nn.Module):
    """Two convolutions and a halving beside a skip, (B, before, H, W) -> (B, after, H / 2, W / 2)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = EqualisedConv2d(before, before, 3)
        self.second = EqualisedConv2d(before, after, 3)
        self.skip = EqualisedConv2d(before, after, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H / 2, W / 2)."""
        hidden = leaky(self.second(halved(leaky(self.first(x)))))
        reduced: Tensor = (hidden + self.skip(halved(x))) / math.sqrt(2)
        return reduced


class StyleGAN2Discriminator(SampleDiscriminator):
    """Picture, and label -> one logit; labels enter by projection (Karras et al. 2020, ADA, section 4)."""

    def __init__(self, config: StyleGAN2DiscriminatorConfig, *, channels: int = 1, side: int = 28, classes: int = 0) -> None:
        super().__init__()
        start, halvings = stages(side)
        wide = widths(config.width, config.widest, halvings)[::-1]
        self.classes = classes
        self.head = EqualisedConv2d(channels, wide[0], 1)
        self.downs = nn.Sequential(*(ResidualDown(before, after) for before, after in pairwise(wide)))
        self.convolution = EqualisedConv2d(wide[-1] + 1, wide[-1], 3)
        self.dense = EqualisedLinear(wide[-1] * start**2, wide[-1])
        self.tail = EqualisedLinear(wide[-1], wide[-1] if classes else 1)
        self.embedding = EqualisedLinear(classes, wide[-1]) if classes else None

    def forward(self, pictures: Tensor, labels: Tensor | None = None, *, auxiliary: bool = False) -> Judgement:
        """(B, C, S, S) -> logits (B, 1)."""
        hidden = self.downs(leaky(self.head(2 * pictures - 1)))
        hidden = leaky(self.convolution(torch.cat([hidden, batch_deviation(hidden)], 1)))
        features: Tensor = self.tail(leaky(self.dense(hidden.flatten(1))))
        if self.embedding is None:
            return Judgement(features)
        embedded = _normalised(self.embedding(one_hot(labels, self.classes)))
        return Judgement((features * embedded).sum(1, keepdim=True) / features.shape[1] ** 0.5)


def batch_deviation(features: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, H, W): the mean deviation over groups of samples (Karras et al. 2018, section 3)."""
    count, _, height, width = features.shape
    group = next(size for size in range(min(STD_GROUP, count), 0, -1) if count % size == 0)
    grouped = features.float().reshape(group, count // group, -1)
    deviation = (grouped - grouped.mean(0)).square().mean(0).add(1e-8).sqrt().mean(1)
    return deviation.repeat(group)[:, None, None, None].expand(-1, 1, height, width).to(features.dtype)
