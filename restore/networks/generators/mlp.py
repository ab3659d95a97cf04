"""The first pair: multi-layer perceptrons (Goodfellow et al. 2014, "Generative adversarial nets", section 5).

The generator has rectifiers and a sigmoid, the discriminator maxout units (Goodfellow et al. 2013) and dropout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from restore.networks.generators.spec import Generator, GeneratorSpec, Judgement, SampleConfig, SampleDiscriminator, with_labels
from restore.networks.spec import NAME_HELP


@dataclass(frozen=True)
class MLPConfig(SampleConfig):
    """The settings of `MLPGenerator`."""

    name: Literal["mlp"] = field(default="mlp", metadata={"help": NAME_HELP})
    latent: int = field(default=100, metadata={"help": "length of the latent vector", "range": (1, 4096)})
    widths: tuple[int, ...] = field(
        default=(600, 600), metadata={"help": "units of each hidden layer", "range": (1, 8192), "count": (1, 16)}
    )


class MLPGenerator(Generator):
    """Latent vector -> picture through hidden layers of rectifiers."""

    def __init__(self, config: MLPConfig, *, channels: int = 1, side: int = 28, classes: int = 0) -> None:
        super().__init__()
        self.spec = GeneratorSpec(config.latent, channels, side, classes)
        layers: list[nn.Module] = []
        before = config.latent + classes
        for width in config.widths:
            layers += [nn.Linear(before, width), nn.ReLU()]
            before = width
        self.layers = nn.Sequential(*layers, nn.Linear(before, channels * side**2))

    def synthesise(self, styles: Tensor, pixel_noise: Tensor | None = None) -> Tensor:
        """(B, 1, Z + classes) -> (B, C, S, S)."""
        values: Tensor = self.layers(styles[:, 0])
        pictures: Tensor = torch.sigmoid(values.float()).unflatten(1, (self.spec.channels, self.spec.side, self.spec.side))
        return pictures


@dataclass(frozen=True)
class MLPDiscriminatorConfig(SampleConfig):
    """The settings of `MLPDiscriminator`."""

    name: Literal["mlp"] = field(default="mlp", metadata={"help": NAME_HELP})
    widths: tuple[int, ...] = field(
        default=(240, 240), metadata={"help": "maxout units of each layer", "range": (1, 8192), "count": (1, 16)}
    )
    pieces: int = field(default=5, metadata={"help": "linear pieces of a maxout unit", "range": (1, 64)})
    dropout: float = field(default=0.5, metadata={"help": "fraction of the units dropped in training", "range": (0, 0.99)})


class Maxout(nn.Module):
    """The largest of several linear maps, (B, before) -> (B, after) (Goodfellow et al. 2013, eq. 2)."""

    def __init__(self, before: int, after: int, pieces: int) -> None:
        super().__init__()
        self.linear, self.pieces = nn.Linear(before, after * pieces), pieces

    def forward(self, x: Tensor) -> Tensor:
        """(B, before) -> (B, after)."""
        largest: Tensor = self.linear(x).unflatten(1, (-1, self.pieces)).amax(2)
        return largest


class MLPDiscriminator(SampleDiscriminator):
    """Picture, and label -> one logit; the label is concatenated to the pixels."""

    def __init__(self, config: MLPDiscriminatorConfig, *, channels: int = 1, side: int = 28, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        layers: list[nn.Module] = []
        before = channels * side**2 + classes
        for width in config.widths:
            layers += [Maxout(before, width, config.pieces), nn.Dropout(config.dropout)]
            before = width
        self.layers = nn.Sequential(*layers, nn.Linear(before, 1))

    def forward(self, pictures: Tensor, labels: Tensor | None = None, *, auxiliary: bool = False) -> Judgement:
        """(B, C, S, S) -> logits (B, 1)."""
        return Judgement(self.layers(with_labels(pictures.flatten(1), labels, self.classes)))
