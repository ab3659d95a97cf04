"""The pair of DCGAN: strided convolutions with batch normalisation (Radford et al. 2016, section 3 and figure 1).

The discriminator can be that of WGAN-GP too (Gulrajani et al. 2017, section 4: layer normalisation, or none), and takes labels as planes
(Mirza and Osindero 2014) or by projection (Miyato and Koyama 2018).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from restore.networks.discriminators import initialise
from restore.networks.generators.spec import (
    LARGEST_START,
    SMALLEST_START,
    Generator,
    GeneratorSpec,
    Judgement,
    SampleConfig,
    SampleDiscriminator,
    label_planes,
    sides,
    widths,
)
from restore.networks.spec import NAME_HELP

Conditioning = Literal["projection", "concatenation"]
SMALLEST = {
    "help": "largest side of the coarsest feature map: 4 as in the paper; with 7, the map of a digit of 28 pixels is not halved to 4",
    "range": (SMALLEST_START, LARGEST_START),
}
CONDITIONING = {"help": "how labels enter: the product of their embedding and the features, or planes behind the picture"}


@dataclass(frozen=True)
class DCGANConfig(SampleConfig):
    """The settings of `DCGANGenerator`."""

    name: Literal["dcgan"] = field(default="dcgan", metadata={"help": NAME_HELP})
    latent: int = field(default=100, metadata={"help": "length of the latent vector", "range": (1, 4096)})
    width: int = field(default=32, metadata={"help": "channels at half the resolution (paper: 128)", "range": (1, 4096)})
    widest: int = field(default=256, metadata={"help": "most channels of a resolution (paper: 1024)", "range": (1, 8192)})
    smallest: int = field(default=LARGEST_START, metadata=SMALLEST)
    upsample: Literal["transposed", "resize"] = field(
        default="transposed", metadata={"help": "transposed convolutions of 4 x 4 pixels, as in the paper, or resize and convolve"}
    )


class DCGANGenerator(Generator):
    """Latent vector -> picture through convolutions that double the resolution."""

    def __init__(self, config: DCGANConfig, *, channels: int = 1, side: int = 28, classes: int = 0) -> None:
        super().__init__()
        self.spec = GeneratorSpec(config.latent, channels, side, classes)
        maps = sides(side, config.smallest)
        self.start = maps[0]
        wide = widths(config.width, config.widest, len(maps) - 2)
        self.head = nn.Linear(config.latent + classes, wide[0] * self.start**2, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(wide[0]), nn.ReLU()]
        for (before, after), reached in zip(itertools.pairwise(wide), maps[1:], strict=False):
            layers += [*_doubled(before, after, reached, config.upsample, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, *_doubled(wide[-1], channels, side, config.upsample, bias=True))
        initialise(self)
        nn.init.normal_(self.head.weight, 0.0, 0.02)

    def synthesise(self, styles: Tensor, pixel_noise: Tensor | None = None) -> Tensor:
        """(B, 1, Z + classes) -> (B, C, S, S)."""
        values: Tensor = self.layers(self.head(styles[:, 0]).unflatten(1, (-1, self.start, self.start)))
        return (torch.tanh(values.float()) + 1) / 2


def _doubled(before: int, after: int, reached: int, how: str, *, bias: bool) -> list[nn.Module]:
    """Layers that double a map's side to `reached`, or to one less where that is odd."""
    if how == "transposed":
        return [nn.ConvTranspose2d(before, after, _kernel(reached), 2, 1, bias=bias)]
    return [nn.Upsample(size=(reached, reached), mode="nearest"), nn.Conv2d(before, after, 3, padding=1, bias=bias)]


def _kernel(side: int) -> int:
    """Side of the kernel between a map of this side and its half, rounded up, with a stride of 2 and a margin of 1."""
    return 3 if side % 2 else 4


@dataclass(frozen=True)
class DCGANDiscriminatorConfig(SampleConfig):
    """The settings of `DCGANDiscriminator`."""

    name: Literal["dcgan"] = field(default="dcgan", metadata={"help": NAME_HELP})
    width: int = field(default=32, metadata={"help": "channels of the first layer (paper: 128)", "range": (1, 4096)})
    widest: int = field(default=256, metadata={"help": "most channels of a layer (paper: 1024)", "range": (1, 8192)})
    smallest: int = field(default=LARGEST_START, metadata=SMALLEST)
    norm: Literal["batch", "layer", "none"] = field(
        default="batch", metadata={"help": "normalisation; a gradient penalty needs layer or none (Gulrajani et al. 2017, section 4)"}
    )
    spectral: bool = field(default=False, metadata={"help": "divide each layer by its largest singular value (Miyato et al. 2018)"})
    dropout: float = field(default=0.0, metadata={"help": "fraction of the features dropped in training", "range": (0, 0.99)})
    conditioning: Conditioning = field(default="projection", metadata=CONDITIONING)


class DCGANDiscriminator(SampleDiscriminator):
    """Picture, and label -> one logit, through convolutions of 4 x 4 pixels (3 x 3 from an odd side) that halve the resolution."""

    def __init__(self, config: DCGANDiscriminatorConfig, *, channels: int = 1, side: int = 28, classes: int = 0) -> None:
        super().__init__()
        maps = sides(side, config.smallest)[::-1]
        self.classes, self.planes = classes, bool(classes) and config.conditioning == "concatenation"
        wrap: Callable[[nn.Module], nn.Module] = spectral_norm if config.spectral else lambda module: module
        layers: list[nn.Module] = []
        before = channels + (classes if self.planes else 0)
        for level, halved in enumerate(maps[:-1]):
            after = min(config.widest, config.width * 2**level)
            norm = config.norm if level else "none"  # section 3: none on the first layer
            layers += [
                wrap(nn.Conv2d(before, after, _kernel(halved), 2, 1, bias=norm != "batch")),
                *_normalised(norm, after),
                nn.LeakyReLU(0.2),
            ]
            layers += [nn.Dropout2d(config.dropout)] if config.dropout else []
            before = after
        self.layers = nn.Sequential(*layers)
        self.tail = wrap(nn.Linear(before * maps[-1] ** 2, 1))
        self.embedding = nn.Embedding(classes, before) if classes and not self.planes else None
        if config.norm == "none" and not config.spectral:
            _keep_variance(self)
        else:
            initialise(self)

    def forward(self, pictures: Tensor, labels: Tensor | None = None, *, auxiliary: bool = False) -> Judgement:
        """(B, C, S, S) -> logits (B, 1)."""
        inputs = 2 * pictures - 1
        features: Tensor = self.layers(label_planes(inputs, labels, self.classes) if self.planes else inputs)
        logits: Tensor = self.tail(features.flatten(1))
        if self.embedding is not None:
            logits = logits + projection(self.embedding, features.mean((2, 3)), labels)
        return Judgement(logits)


def _keep_variance(network: nn.Module) -> None:
    """Weights that keep the variance from layer to layer (He et al. 2015): without normalisation, those of DCGAN would let it vanish."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, a=0.2)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _normalised(norm: str, channels: int) -> list[nn.Module]:
    if norm == "none":
        return []
    return [nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(1, channels)]


def projection(embedding: nn.Embedding, features: Tensor, labels: Tensor | None) -> Tensor:
    """Features (B, W), labels (B) -> (B, 1): the product of the label's embedding and the features (Miyato and Koyama 2018, eq. 4).

    Raises:
        ValueError: there are no labels.
    """
    if labels is None:
        raise ValueError("this discriminator needs the label of each picture")
    product: Tensor = (embedding(labels) * features).sum(1, keepdim=True)
    return product
