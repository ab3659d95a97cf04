"""From weights by name to a network that runs pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

from restore import networks, runtime, weights
from restore.inference.engine import TorchEngine
from restore.inference.ranged import RangedRunner
from restore.inference.tiled import TiledRunner
from restore.networks.spec import RestorationNetwork
from restore.runtime import Runtime

Recipe = dict[str, Any]
"""The recipe in a weights file's header: `task`, `network`, `settings`, `training` ..."""
TASK_OF_DEFECTS = "scratches"


class RunOptions(TypedDict, total=False):
    """How a model runs its network.

    runtime: device and precision; by default the best of this machine.
    tile: auto, 0 (never cut) or the largest side of a tile in pixels.
    batch_size: tiles that run together.
    ensemble: 1, 2, 4 or 8 rotated and flipped views are averaged; see `TiledRunner`.
    """

    runtime: Runtime
    tile: str | int
    batch_size: int
    ensemble: int


def runner_of(network: RestorationNetwork, options: RunOptions) -> RangedRunner:
    """What runs pictures through a network.

    Raises:
        ValueError: a tile or ensemble that makes no sense.
    """
    engine = TorchEngine(network, options.get("runtime") or runtime.choose())
    return RangedRunner(
        TiledRunner(
            engine, tile=options.get("tile", "auto"), batch_size=options.get("batch_size", 1), ensemble=options.get("ensemble", 1)
        )
    )


def entry_of(name: str | Path, task: str) -> weights.Entry:
    """The weights called `name`, if they are for `task`.

    Raises:
        ValueError: no such weights, or they are for another task.
    """
    entry = weights.find(name)
    check_task(entry.recipe, task, entry.name)
    return entry


def check_task(recipe: Recipe, task: str, name: str) -> None:
    """ValueError where a recipe is not for `task`."""
    own = recipe.get("task")
    if own != task:
        raise ValueError(f"{name!r} is {_article(str(own))} model; {task} needs {_article(task)} model")


def network_of(name: str | Path, task: str, direction: str | None = None) -> tuple[RestorationNetwork, Recipe]:
    """The network and the recipe of the weights called `name`.

    Args:
        name: a name, a file or a run's folder.
        task: what they must be for.
        direction: which network of a file that holds several (`forward`, `backward`); the first by default.

    Raises:
        ValueError: no such weights or direction, a file that holds none, or weights for another task.
    """
    tensors, recipe = weights.load(weights.find(name).path)
    check_task(recipe, task, str(name))
    try:
        return networks.load(recipe["network"], recipe["settings"], weights.select_network(tensors, recipe, direction)), recipe
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _article(word: str) -> str:
    return f"an {word}" if word[:1] in "aeiou" else f"a {word}"
