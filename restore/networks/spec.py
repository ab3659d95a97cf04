"""What a network is and takes: `NetworkConfig` (its settings), `ModelSpec` (its interface) and `RestorationNetwork` (its base class)."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Set
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from restore.networks.lookup_table import Table

Condition = Literal["noise", "mask", "quantisation", "blur"]
"""A map (B, K, H, W) in addition to the picture, K as in `CONDITION_CHANNELS`.

noise: the noise's standard deviation at each pixel. mask: 1 in the holes, 0 elsewhere. quantisation: the steps of a JPEG's quantisation
table, repeated in its blocks of 8 x 8 pixels (see `restore.images.quantisation`).
blur: what Wiener's filter did to the picture (see `restore.images.deconvolution`)."""
CONDITION_CHANNELS: dict[Condition, int] = {"noise": 1, "mask": 1, "quantisation": 1, "blur": 3}
Output = Literal["residual", "image", "probability", "sample", "errors"]
"""What `forward` returns: a correction to add to the (enlarged) picture, a picture, a map of probabilities, a generated picture, or
maps of a result's absolute error."""

Settings = dict[str, Any]
"""A network's settings as the header of a weights file holds them, from JSON: numbers, texts, truth values, and lists of them."""
OVERLAP = 64
"""Pixels by which tiles overlap unless the network needs more."""
NAME_HELP = "a network of restore.networks.NETWORKS; its other settings are that network's own"


@dataclass(frozen=True)
class ModelSpec:
    """What a network takes and returns. The network sets it once, when it is built.

    Attributes:
        channels: of the picture, 1 gray or 3 colour.
        out_channels: of the result.
        receptive_field: half-width in pixels of the input that can influence one output pixel. Normalisations are not counted.
        multiple: the picture's sides must be multiples of this.
        overlap: pixels by which neighbouring tiles must overlap so that a tiled picture equals the whole one within 1/255.
        scale: the result is this many times higher and wider than the picture.
        conditions: the maps that `forward` takes after the picture, in this order.
        output: what `forward` returns.
        homogeneous: f(a x, a s) = a f(x, s) for positive a, as without biases.
        sees_whole_image: a normalisation takes its statistics from the whole picture, so that tiles must share them.
        needs_whole_image: each pixel of the result depends on the whole picture, so that it cannot run in tiles.
        features: channels of the features that `described` returns; 0 where it is not to be called.
    """

    channels: int
    out_channels: int
    receptive_field: int
    multiple: int = 1
    overlap: int = OVERLAP
    scale: int = 1
    conditions: tuple[Condition, ...] = ()
    output: Output = "residual"
    homogeneous: bool = False
    sees_whole_image: bool = False
    needs_whole_image: bool = False
    features: int = 0

    @property
    def takes_noise(self) -> bool:
        """Whether `forward` takes a map of the noise's standard deviation."""
        return "noise" in self.conditions

    @property
    def takes_mask(self) -> bool:
        """Whether `forward` takes a map of the holes."""
        return "mask" in self.conditions


@dataclass(frozen=True)
class NetworkConfig:
    """The settings of a network. Each network owns a subclass; channels and scale belong to the run and are no part of it.

    A field's metadata hold its `help` and may hold:
        range, count: the numbers that it can have; see `restore.limits`.
        layers: it counts layers.
        free: weights made with another value can start this network.
        grows: so can weights made with smaller numbers, as many of them.
        of_task: it belongs to the task; weights for another task do not set it.

    Attributes:
        name: a key of `NETWORKS`.
        contains: networks whose weights can start a part of this one; weights of this one can start them.
        across_tasks: weights for another task can start it.
    """

    name: str
    contains: ClassVar[frozenset[str]] = frozenset()
    across_tasks: ClassVar[bool] = False

    def settings(self) -> Settings:
        """All settings but the name, tuples as lists, as a weights file records them."""
        values = {key: value for key, value in vars(self).items() if key != "name"}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    def related(self, other: NetworkConfig) -> bool:
        """Whether weights of the network `other` can start this one, a part of it, or are part of what can."""
        return self.name == other.name or other.name in self.contains or self.name in other.contains

    def conflict(self, other: NetworkConfig) -> str | None:
        """The first setting that keeps weights made with `other` from starting this network; None where nothing does."""
        if not self.related(other):
            return "name"
        own, theirs = vars(self), vars(other)
        for entry in fields(self):
            key = entry.name
            if key == "name" or entry.metadata.get("free") or key not in theirs or theirs[key] == own[key]:
                continue
            if not (entry.metadata.get("grows") and len(theirs[key]) == len(own[key]) and all(map(operator.le, theirs[key], own[key]))):
                return key
        return None


class RestorationNetwork(nn.Module):
    """Maps a picture (B, C, H, W) in nominal [0, 1], and the maps named in `spec.conditions`, to what `spec.output` says.

    A residual is added in float32 to the picture, enlarged by `resample.enlarge` where `spec.scale` is above 1.
    A subclass is built as `Network(config, channels=...)`, with `scale=...` where it enlarges.

    Attributes:
        spec: what it takes and returns.
        enlarges: whether its constructor takes a scale.
        trainable: whether its settings say what it is made of. Otherwise only its tensors do.
    """

    spec: ModelSpec
    enlarges: ClassVar[bool] = False
    trainable: ClassVar[bool] = True

    def example(self, crop: int) -> list[Tensor]:
        """Inputs of `forward` with any values: a picture that becomes (1, C, S, S) for the side S = `crop`, and its maps."""
        side = crop // self.spec.scale
        maps = (self.spec.channels, *(CONDITION_CHANNELS[condition] for condition in self.spec.conditions))
        return [torch.empty(1, channels, side, side) for channels in maps]

    def part_for(self, keys: Set[str]) -> RestorationNetwork:
        """The part of this network whose state dict has these keys; the network itself where none has."""
        return self

    def adapted(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The tensors from which this network starts, made of those of a larger network that contains it, or of one with fewer blocks."""
        return tensors

    def table(self, picture: Tensor) -> Table:
        """The lookup table of whole pictures (B, C, H, W) float32, nominal [0, 1], for a network whose change is one.

        Raises:
            ValueError: it is none.
        """
        raise ValueError("this network predicts no lookup table: use weights of `restore train enhance`")

    def described(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` returns for (B, C, H, W), and the features (B, `spec.features`, h, w) that a teacher trains; h and w are smaller.

        Raises:
            ValueError: it predicts none.
        """
        raise ValueError("this network predicts no features: use a colorizer with network.features above 0")

    def fitted(self, key: str, value: Tensor, shape: torch.Size) -> Tensor:
        """A tensor of a network of this kind, with other channels or another scale, in the shape that it has in this one.

        Raises:
            ValueError: it cannot be fitted.
        """
        raise ValueError(f"these weights are of another size: {key} is {tuple(value.shape)}, this network's is {tuple(shape)}")
