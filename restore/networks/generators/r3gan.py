"""The pair of R3GAN: residual networks without normalisation (Huang et al. 2024, "The GAN is dead; long live the GAN!", section 4).

Config E of the paper: inverted bottlenecks with grouped 3 x 3 convolutions, initialised so that every block begins as the identity
(Zhang et al. 2019, Fixup), bilinear resampling, and no statistics of batches anywhere.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from restore.networks.generators.resampling import doubled, halved
from restore.networks.generators.spec import Generator, GeneratorSpec, Judgement, SampleConfig, SampleDiscriminator, one_hot, stages, widths
from restore.networks.spec import NAME_HELP

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))
"""Keeps the variance through a leaky rectifier (He et al. 2015)."""
WIDTH = {"help": "channels at the full resolution", "range": (1, 4096)}
WIDEST = {"help": "most channels of a resolution", "range": (1, 8192)}
BLOCKS = {"help": "residual blocks at each resolution (paper: 2)", "range": (1, 64), "layers": True}
GROUP = {"help": "channels of a group of the grouped convolutions (paper: 16)", "range": (1, 4096)}
EXPANSION = {"help": "how many times wider a block is inside (paper: 2)", "range": (1, 16)}


@dataclass(frozen=True)
class R3GANConfig(SampleConfig):
    """The settings of `R3GANGenerator`."""

    name: Literal["r3gan"] = field(default="r3gan", metadata={"help": NAME_HELP})
    latent: int = field(default=64, metadata={"help": "length of the latent vector", "range": (1, 4096)})
    width: int = field(default=16, metadata=WIDTH)
    widest: int = field(default=64, metadata=WIDEST)
    blocks: int = field(default=1, metadata=BLOCKS)
    group: int = field(default=16, metadata=GROUP)
    expansion: int = field(default=2, metadata=EXPANSION)


@dataclass(frozen=True)
class R3GANDiscriminatorConfig(SampleConfig):
    """The settings of `R3GANDiscriminator`."""

    name: Literal["r3gan"] = field(default="r3gan", metadata={"help": NAME_HELP})
    width: int = field(default=16, metadata=WIDTH)
    widest: int = field(default=64, metadata=WIDEST)
    blocks: int = field(default=1, metadata=BLOCKS)
    group: int = field(default=16, metadata=GROUP)
    expansion: int = field(default=2, metadata=EXPANSION)


def _drawn(layer: nn.Conv2d | nn.Linear, gain: float) -> nn.Conv2d | nn.Linear:
    """Weights with a deviation of gain / sqrt(inputs), which keep the variance (He et al. 2015, eq. 10); a gain of 0 sets them to 0."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel())) if gain else nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class R3GANBlock(nn.Module):
    """x + f(x), (B, C, H, W) -> the same; f widens by 1 x 1, mixes by grouped 3 x 3, narrows by 1 x 1, and begins as 0.

    Args:
        channels: C.
        expansion: how many times wider f is inside.
        group: channels of a group.
    """

    def __init__(self, channels: int, expansion: int, group: int) -> None:
        super().__init__()
        inner = channels * expansion
        groups = math.gcd(inner, max(1, inner // group))
        self.layers = nn.Sequential(
            _drawn(nn.Conv2d(channels, inner, 1), GAIN),
            nn.LeakyReLU(SLOPE),
            _drawn(nn.Conv2d(inner, inner, 3, padding=1, groups=groups), GAIN),
            nn.LeakyReLU(SLOPE),
            _drawn(nn.Conv2d(inner, channels, 1, bias=False), 0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        changed: Tensor = x + self.layers(x)
        return changed


def _blocks(channels: int, count: int, expansion: int, group: int) -> Iterable[nn.Module]:
    return (R3GANBlock(channels, expansion, group) for _ in range(count))


class R3GANGenerator(Generator):
    """Latent vector -> picture: a learned 4 x 4 basis scaled by the vector, then residual blocks at each resolution."""

    def __init__(self, config: R3GANConfig, *, channels: int = 1, side: int = 28, classes: int = 0) -> None:
        super().__init__()
        self.spec = GeneratorSpec(config.latent, channels, side, classes)
        start, doublings = stages(side)
        wide = widths(config.width, config.widest, doublings)
        self.embedding = _drawn(nn.Linear(classes, config.latent, bias=False), 1.0) if classes else None
        self.basis = nn.Parameter(torch.randn(wide[0], start, start))
        self.head = _drawn(nn.Linear(config.latent * (2 if classes else 1), wide[0], bias=False), 1.0)
        self.transitions = nn.ModuleList(
            _drawn(nn.Conv2d(before, after, 1, bias=False), 1.0) if before != after else nn.Identity()
            for before, after in itertools.pairwise(wide)
        )
        self.stages = nn.ModuleList(nn.Sequential(*_blocks(each, config.blocks, config.expansion, config.group)) for each in wide)
        self.tail = _drawn(nn.Conv2d(wide[-1], channels, 1), 1.0)

    def styles(self, latent: Tensor, labels: Tensor | None = None, *, truncation: float = 1.0) -> Tensor:
        """(B, Z) -> (B, 1, Z), or (B, 1, 2 Z) with the label's embedding."""
        latent = truncation * latent
        if self.embedding is None:
            return latent[:, None]
        # one-hot values have a mean square of 1 / classes: the embedding has that of the latent vector
        embedded = self.embedding(one_hot(labels, self.spec.classes)) * self.spec.classes**0.5
        return torch.cat([latent, embedded], 1)[:, None]

    def synthesise(self, styles: Tensor, pixel_noise: Tensor | None = None) -> Tensor:
        """(B, 1, W) -> (B, C, S, S)."""
        hidden = self.basis * self.head(styles[:, 0])[:, :, None, None]
        hidden = self.stages[0](hidden)
        for transition, stage in zip(self.transitions, self.stages[1:], strict=True):
            hidden = stage(doubled(transition(hidden)))  # 1 x 1 first: it commutes with the resampling and costs a quarter before it
        values: Tensor = self.tail(hidden)
        return (values.float() + 1) / 2


class R3GANDiscriminator(SampleDiscriminator):
    """Picture, and label -> one logit: the generator's layers in reverse order; labels enter by projection."""

    def __init__(self, config: R3GANDiscriminatorConfig, *, channels: int = 1, side: int = 28, classes: int = 0) -> None:
        super().__init__()
        start, halvings = stages(side)
        wide = widths(config.width, config.widest, halvings)[::-1]
        self.classes = classes
        self.head = _drawn(nn.Conv2d(channels, wide[0], 1), 1.0)
        self.stages = nn.ModuleList(nn.Sequential(*_blocks(each, config.blocks, config.expansion, config.group)) for each in wide)
        self.transitions = nn.ModuleList(
            _drawn(nn.Conv2d(before, after, 1, bias=False), 1.0) if before != after else nn.Identity()
            for before, after in itertools.pairwise(wide)
        )
        self.basis = _drawn(nn.Conv2d(wide[-1], wide[-1], start, groups=wide[-1], bias=False), 1.0)
        self.tail = _drawn(nn.Linear(wide[-1], wide[-1] if classes else 1, bias=False), 1.0)
        self.embedding = _drawn(nn.Linear(classes, wide[-1], bias=False), 1.0) if classes else None

    def forward(self, pictures: Tensor, labels: Tensor | None = None, *, auxiliary: bool = False) -> Judgement:
        """(B, C, S, S) -> logits (B, 1)."""
        hidden = self.stages[0](self.head(2 * pictures - 1))
        for transition, stage in zip(self.transitions, self.stages[1:], strict=True):
            hidden = stage(transition(halved(hidden)))
        features: Tensor = self.tail(self.basis(hidden).flatten(1))
        if self.embedding is None:
            return Judgement(features)
        embedded = self.embedding(one_hot(labels, self.classes)) * self.classes**0.5
        return Judgement((features * embedded).sum(1, keepdim=True) / features.shape[1] ** 0.5)
