"""What a generator is: `GeneratorSpec` (its interface), `Generator` and `SampleDiscriminator` (the base classes of every pair).

A generator maps a latent vector to styles and styles to a picture, so that truncation, mixing of styles and the path length mean the same
for all of them. Pictures are (B, C, S, S) in nominal [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.spec import NetworkConfig

SMALLEST_START, LARGEST_START = 4, 7
"""Side in pixels of the first feature map of a convolutional generator."""


@dataclass(frozen=True)
class GeneratorSpec:
    """What a generator takes and returns.

    Attributes:
        latent: length of the latent vector, drawn from N(0, 1).
        channels: of a picture, 1 gray or 3 colour.
        side: of a picture, in pixels.
        classes: how many labels it knows; 0 for a generator without labels.
        pixel_noise: values of noise that a picture takes in addition to the latent vector, drawn from N(0, 1).
        layers: style vectors of a picture, coarse ones first; above 1 they can be mixed.
    """

    latent: int
    channels: int
    side: int
    classes: int = 0
    pixel_noise: int = 0
    layers: int = 1


@dataclass(frozen=True)
class SampleConfig(NetworkConfig):
    """The settings of a generator or of its discriminator; channels, side and classes belong to the run and are no part of it."""


class Generator(nn.Module):
    """Latent vectors (B, Z), labels (B) and pixel noise (B, N) -> pictures (B, C, S, S).

    A subclass is built as `Network(config, channels=..., side=..., classes=...)`.

    Attributes:
        spec: what it takes and returns.
    """

    spec: GeneratorSpec

    def example(self, _side: int) -> list[Tensor | None]:
        """Inputs of `forward` for one picture, with any values."""
        labels = torch.zeros(1, dtype=torch.long) if self.spec.classes else None
        noise = torch.empty(1, self.spec.pixel_noise) if self.spec.pixel_noise else None
        return [torch.empty(1, self.spec.latent), labels, noise]

    def styles(self, latent: Tensor, labels: Tensor | None = None, *, truncation: float = 1.0) -> Tensor:
        """(B, Z) -> (B, layers, W). A truncation below 1 brings the pictures nearer to the average one (Brock et al. 2019, section 3.1).

        Raises:
            ValueError: labels are missing, or the network takes none.
        """
        return with_labels(truncation * latent, labels, self.spec.classes)[:, None]

    def synthesise(self, styles: Tensor, pixel_noise: Tensor | None = None) -> Tensor:
        """(B, layers, W) -> (B, C, S, S); without `pixel_noise` the network runs without it."""
        raise TypeError(f"{type(self).__name__} does not synthesise")

    def forward(self, latent: Tensor, labels: Tensor | None = None, pixel_noise: Tensor | None = None) -> Tensor:
        """(B, Z) -> (B, C, S, S)."""
        return self.synthesise(self.styles(latent, labels), pixel_noise)


class Judgement(NamedTuple):
    """What a discriminator returns.

    Attributes:
        logits: (B, N), larger for more real.
        auxiliary: its self-supervised loss, a scalar; None where it has none, or was not asked for it.
    """

    logits: Tensor
    auxiliary: Tensor | None = None


class SampleDiscriminator(nn.Module):
    """Tells real pictures (B, C, S, S) from generated ones, given their labels (B).

    A subclass is built as `Network(config, channels=..., side=..., classes=...)`.

    Attributes:
        self_supervised: whether it learns from real pictures in addition to the adversarial loss.
    """

    self_supervised: ClassVar[bool] = False

    def forward(self, pictures: Tensor, labels: Tensor | None = None, *, auxiliary: bool = False) -> Judgement:
        """Judge a batch; with `auxiliary`, also return the self-supervised loss on it."""
        raise TypeError(f"{type(self).__name__} does not judge")


def one_hot(labels: Tensor | None, classes: int) -> Tensor:
    """(B) -> (B, classes) float32.

    Raises:
        ValueError: there are no labels.
    """
    if labels is None:
        raise ValueError(f"this network knows {classes} classes and needs the label of each picture")
    return F.one_hot(labels, classes).float()


def with_labels(vectors: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """(B, Z) -> (B, Z + classes): the label as one-hot values after the vector (Mirza and Osindero 2014, section 3.2)."""
    return torch.cat([vectors, one_hot(labels, classes)], 1) if classes else vectors


def label_planes(pictures: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """(B, C, S, S) -> (B, C + classes, S, S): the label as one-hot planes behind the picture (Mirza and Osindero 2014)."""
    planes = one_hot(labels, classes)[:, :, None, None].expand(-1, -1, *pictures.shape[2:])
    return torch.cat([pictures, planes], 1)


def stages(side: int) -> tuple[int, int]:
    """The side of the first feature map, and how many times it doubles to `side`.

    Raises:
        ValueError: no side of SMALLEST_START..LARGEST_START pixels doubles to it.
    """
    start, doublings = side, 0
    while start > LARGEST_START and start % 2 == 0:
        start, doublings = start // 2, doublings + 1
    if not SMALLEST_START <= start <= LARGEST_START or not doublings:
        raise ValueError(f"pictures of {side} x {side} pixels do not fit: data.crop must be {SMALLEST_START}..{LARGEST_START} doubled")
    return start, doublings


def sides(side: int, smallest: int) -> list[int]:
    """The sides of the feature maps, coarsest first: those of `stages`, and before them halves, rounded up, down to at most `smallest`.

    Raises:
        ValueError: see `stages`.
    """
    start, doublings = stages(side)
    chain = [start * 2**level for level in range(doublings + 1)]
    while chain[0] > smallest:
        chain.insert(0, (chain[0] + 1) // 2)
    return chain


def widths(narrowest: int, widest: int, doublings: int) -> list[int]:
    """Channels of each resolution, coarsest first: they halve with each doubling of the side, from at most `widest` to `narrowest`."""
    return [min(widest, narrowest * 2**level) for level in reversed(range(doublings + 1))]
