"""Finds weights by name, loads their network and builds the runner for pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

from restore import networks, runtime, weights
from restore.inference.engine import TorchEngine
from restore.inference.normalizing_runner import NormalizingRunner
from restore.inference.tiled_runner import TiledRunner
from restore.networks.spec import RestorationNetwork
from restore.runtime import Runtime

Recipe = dict[str, Any]
"""The recipe in a weights file's header: `task`, `network`, `settings`, `training` ..."""
DEFECT_TASK = "scratches"


class RunOptions(TypedDict, total=False):
    """How a model runs its network.

    runtime: device and precision; by default the best of this machine.
    tile: auto, 0 (no tiles) or the largest side of a tile in pixels.
    batch_size: tiles that run together.
    ensemble: rotated and flipped copies whose results are averaged, 1, 2, 4 or 8; see `TiledRunner`.
    """

    runtime: Runtime
    tile: str | int
    batch_size: int
    ensemble: int


def make_runner(network: RestorationNetwork, options: RunOptions) -> NormalizingRunner:
    """The runner of a network for pictures of any size and range.

    Raises:
        ValueError: the tile or the ensemble is invalid.
    """
    engine = TorchEngine(network, options.get("runtime") or runtime.choose())
    return NormalizingRunner(
        TiledRunner(engine, tile=options.get("tile", "auto"), batch_size=options.get("batch_size", 1), ensemble=options.get("ensemble", 1))
    )


def find_weights(name: str | Path, task: str) -> weights.Entry:
    """The weights called `name`.

    Raises:
        ValueError: the weights do not exist or are not for `task`.
    """
    entry = weights.find(name)
    check_task(entry.recipe, task, entry.name)
    return entry


def check_task(recipe: Recipe, task: str, name: str) -> None:
    """Raise ValueError if a recipe is not for `task`."""
    own = recipe.get("task")
    if own != task:
        raise ValueError(f"{name!r} is {_article(str(own))} model; {task} needs {_article(task)} model")


def load_network(name: str | Path, task: str, direction: str | None = None) -> tuple[RestorationNetwork, Recipe]:
    """Load the network and the recipe of the weights called `name`.

    Args:
        name: a name, a file or a run's folder.
        task: the task that the weights must be for.
        direction: `forward` or `backward`, for files with two networks; the first by default.

    Raises:
        ValueError: the weights or the direction do not exist, or the weights are for another task.
    """
    tensors, recipe = weights.load(weights.find(name).path)
    check_task(recipe, task, str(name))
    try:
        return networks.load(recipe["network"], recipe["settings"], weights.select_network(tensors, recipe, direction)), recipe
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _article(word: str) -> str:
    return f"an {word}" if word[:1] in "aeiou" else f"a {word}"
