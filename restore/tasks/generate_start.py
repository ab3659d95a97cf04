"""Whether a generator's weights can start a run with other classes or pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from restore.networks import generators
from restore.networks.spec import Settings
from restore.training.training_config import TrainingConfig
from restore.weights_file import Recipe

LAYOUT = (("data.crop", "side"), ("data.channels", "channels"))
"""Settings of a run that decide what a generator makes, and their names in a recipe."""


def check(config: TrainingConfig, settings: Settings, names: Sequence[str], tensors: Mapping[str, Tensor], recipe: Recipe) -> None:
    """Raise ValueError if the weights that `start_from` names do not fit.

    Args:
        config: of the run.
        settings: of its generator.
        names: the dataset's classes.
        tensors, recipe: of the weights.
    """
    start = f"start_from={config.start_from}"
    if len(theirs := recipe.get("labels") or []) != len(names):
        raise ValueError(
            f"{start}: these weights know {len(theirs)} classes ({', '.join(theirs) or 'none'}), the dataset has {len(names)} "
            f"({', '.join(names) or 'none'}): sort the pictures into as many folders, or set data.labels accordingly"
        )
    for key, name in LAYOUT:
        if (made := recipe["settings"].get(name)) != settings[name]:
            raise ValueError(
                f"{start}: these weights were made with {key}={made}, the run has {settings[name]}: set it so, or leave it out"
            )
    try:
        generators.check(str(recipe["network"]), settings, tensors)
    except ValueError as error:
        raise ValueError(f"{start}: {error}") from error
