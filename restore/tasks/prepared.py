"""What every `prepare` of METHODS gives: a run that is ready for the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset

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
