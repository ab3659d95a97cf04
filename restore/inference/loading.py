"""Finds weights by name, loads their network and builds the runner for pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from restore import networks, runtime, weights
from restore.inference import engines, memory
from restore.inference.normalizing_runner import NormalizingRunner
from restore.inference.tiled_runner import TiledRunner
from restore.limits import format_value
from restore.networks.spec import RestorationNetwork
from restore.runtime import Runtime
from restore.weights_file import Recipe

DEFECT_TASK = "scratches"


@dataclass(frozen=True)
class InferenceOptions:
    """How a model runs its network.

    Attributes:
        runtime: device and precision; by default the best of this machine.
        tile: auto, 0 (no tiles) or the largest side of a tile in pixels.
        batch_size: tiles that run together.
        ensemble: rotated and flipped copies whose results are averaged, 1, 2, 4 or 8; see `TiledRunner`.
        engine: what runs the network, a key of `ENGINES`; `engines.choose` gives the runtime of one.
    """

    runtime: Runtime = field(default_factory=runtime.choose)
    tile: str | int = "auto"
    batch_size: int = 1
    ensemble: int = 1
    engine: str = engines.TORCH

    def __post_init__(self) -> None:
        memory.parse(self.tile)
        if not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise ValueError(f"batch_size must be a whole number of at least 1, not {format_value(self.batch_size)}")

    def fingerprint(self) -> dict[str, str | int]:
        """The values that affect a result of a task; its own options hold the ensemble.

        An entry for torch would invalidate the results of earlier runs.
        """
        other = {} if self.engine == engines.TORCH else {"engine": self.engine}
        return {"precision": self.runtime.precision, "tile": self.tile, **other}


def make_runner(network: RestorationNetwork, options: InferenceOptions | None = None) -> NormalizingRunner:
    """The runner of a network for pictures of any size and range.

    Raises:
        ValueError: the tile or the ensemble is invalid, or the network cannot run in tiles or in the engine.
    """
    options = options or InferenceOptions()
    if network.spec.needs_whole_image:
        raise ValueError("this network needs the whole picture and cannot run in tiles: use an Enhancer")
    engine = engines.make(options.engine, network, options.runtime)
    return NormalizingRunner(TiledRunner(engine, tile=options.tile, batch_size=options.batch_size, ensemble=options.ensemble))


def find_weights(name: str | Path, task: str, options: InferenceOptions | None = None) -> weights.Entry:
    """The weights called `name`.

    Args:
        name: a name, a file or a run's folder.
        task: the task that the weights must be for.
        options: how their network is to run; None where it does not run in an engine.

    Raises:
        ValueError: the weights do not exist or are not for `task`, or the engine cannot run their network.
    """
    entry = weights.find(name)
    check_task(entry.recipe, task, entry.name)
    if options is not None:
        check_engine(entry, options)
    return entry


def check_engine(entry: weights.Entry, options: InferenceOptions) -> None:
    """Raise ValueError if the engine cannot run the network of weights. The network is not built."""
    if options.engine == engines.TORCH:
        return
    try:
        planned = networks.plan(entry.recipe["network"], entry.recipe["settings"])
        engines.check_network(options.engine, planned.spec, trainable=planned.trainable)
    except ValueError as error:
        raise ValueError(f"{entry.name}: {error}") from error


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
