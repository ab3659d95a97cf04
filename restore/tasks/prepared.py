"""What every `prepare` of METHODS gives: a run that is ready for the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from restore.networks import planning
from restore.runtime import Runtime
from restore.training.loop import Trainer


@dataclass(frozen=True)
class Prepared:
    """A run that is ready for the loop."""

    trainer: Trainer
    dataset: Dataset[Any]
    preview_batch: dict[str, Any] | None
    recipe: dict[str, Any]
    facts: dict[str, Any]
    bad: Callable[[], Mapping[Path, str]] = dict
    """The pictures that could not be read so far, each with its reason."""


def count(*networks: nn.Module) -> int:
    """Parameters of some networks together."""
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


COPIES = 5
"""A network that learns is kept with its gradients, its average and an optimizer's two moments."""


def check_memory(
    place: Runtime, *, network: nn.Module, networks_trained: int = 1, batch_size: int, crop: int, channels: int,
    side: float,
) -> None:  # fmt: skip
    """See to it that a training can fit into memory at all, before anything of it is made.

    Args:
        place: where the networks learn.
        network: what is trained, on any device (see `networks.plan`).
        networks_trained: how many such there are.
        batch_size: crops a step and process.
        crop: their side in pixels.
        channels: of a crop.
        side: the longest that a picture, or the piece of it that becomes a crop, is brought to.

    Raises:
        ValueError: it cannot; the setting to lower is named.
    """
    count = networks_trained * planning.parameters(network)
    planning.check_memory(COPIES * count, f"the network has {count} parameters: make it smaller", place.device)
    crops = 2 * batch_size * channels * crop**2
    planning.check_memory(crops, f"a batch of {batch_size} crops of {crop} x {crop}: lower loop.batch_size or data.crop", place.device)
    planning.check_memory(channels * int(side) ** 2, f"pictures of {int(side)} x {int(side)} pixels: lower data.sides or raise data.scales")
