"""The suite from Python: what the command line calls, and nothing it alone can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from restore import networks, runtime
from restore import weights as catalogue
from restore.inference.restorer import Restorer
from restore.pipeline.batch import BatchOptions, Event, Report
from restore.pipeline.batch import run as run_batch
from restore.tasks.running import Run


def run(
    task: str,
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    out: str | PathLike[str],
    *,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    precision: str = "auto",
    tile: int | str = "auto",
    batch_size: int | None = None,
    batch: BatchOptions | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Report:
    """Restore pictures with a task of the suite, e.g. ``run("denoise", "scans/", "clean/")``.

    Args:
        task: a name in `restore.tasks.TASKS`.
        inputs: files and folders; folders are walked and their tree is mirrored under `out`.
        weights: a name that `restore weights list` shows, or a file; None chooses by each picture's content.
        options: the task's own, e.g. ``{"noise_level": 25.0, "strength": 0.8}``.
        device, precision: see `restore.runtime.choose`.
        tile: side in pixels of what goes through the network at once; 0 is the whole picture, "auto" fits the memory.
        batch_size: tiles that go through the network together; None leaves it to the task.
        batch: what to overwrite, in which format to write, where to report: see `BatchOptions`.
        on_event: see `restore.pipeline.batch.run`.

    Raises:
        ValueError: an unknown task, device or weights, or inputs and `out` that make no sense together.
        restore.pipeline.batch.Interrupted: Ctrl-C; holds the report of what was done.
    """
    from restore.tasks import TASKS

    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}: use one of {', '.join(TASKS)}")
    paths = [inputs] if isinstance(inputs, str | PathLike) else list(inputs)
    work = TASKS[task].work(
        weights=weights,
        options=dict(options or {}),
        runtime=runtime.choose(device, precision),
        tile=tile,
        batch_size=batch_size,
    )
    return run_batch(work, [Path(path) for path in paths], Path(out), batch, on_event)


def load(
    name: str | PathLike[str],
    *,
    device: str = "auto",
    precision: str = "auto",
    tile: int | str = "auto",
    batch_size: int = 1,
    ensemble: int = 1,
) -> Restorer:
    """A network ready to use: ``load("denoise-xray")(picture)``; see `Restorer` for what it takes.

    Args:
        name: weights by name (`restore weights list`), file or run folder.
        device, precision: see `restore.runtime.choose`.
        tile: see `run`.
        batch_size: tiles that run together.
        ensemble: views averaged, 1, 2, 4 or 8; see `Restorer`.

    Raises:
        ValueError: no such weights, device or precision.
    """
    return Restorer.load(
        Path(name), place=runtime.choose(device, precision), tile=tile, batch_size=batch_size, ensemble=ensemble
    )


def train(
    method: str,
    dataset: str | PathLike[str],
    *,
    config_file: str | PathLike[str] | None = None,
    overrides: Mapping[str, str] | None = None,
    out: str | PathLike[str] | None = None,
    resume: bool = False,
    dry_run: bool = False,
    on_event: Callable[[Any], None] | None = None,
) -> Run:
    """Train a network on your own pictures; see `restore.tasks.running.train`, whose arguments these are."""
    from restore.tasks import running

    return running.train(
        method, Path(dataset), config_file=Path(config_file) if config_file else None, overrides=overrides,
        out=Path(out) if out else None, resume=resume, dry_run=dry_run, on_event=on_event,
    )  # fmt: skip


def add_weights(file: str | PathLike[str], name: str | None = None) -> Path:
    """Keep a copy of a weights file, so that `weights=name` finds it; also a generator of CycleGAN's and pix2pix's reference code.

    Args:
        file: a safetensors file of this suite, or a `.pth` that the reference code wrote (read with `weights_only`: no code of
            a stranger's file is run).
        name: what to call it; the file's name otherwise.

    Returns:
        Where it is kept.

    Raises:
        ValueError: neither of these, or the name is taken or unusable.
    """
    from restore.tasks.converting import converted

    with converted(Path(file)) as path:
        return catalogue.add(path, name or Path(file).stem).path


def verify_weights() -> list[tuple[catalogue.Listed, str]]:
    """Check every file in the folders where weights are looked up; the second of each pair is what is wrong with it, or "".

    A file costs its own line, whatever it holds: its checksum and its tensors are compared, with its recipe's network too.
    """
    return [(found, found.problem or _problem(found)) for found in catalogue.listing()]


def _problem(found: catalogue.Listed) -> str:
    try:
        tensors, recipe = catalogue.load(found.path)
        for direction in recipe.get("directions") or [None]:
            networks.check(recipe["network"], recipe["settings"], catalogue.select_network(tensors, recipe, direction))
    except ValueError as error:
        return str(error) if str(found.path) in str(error) else f"{found.path}: {error}"
    except Exception as error:  # whatever a file does to its readers is its own line's matter
        return f"{found.path}: {type(error).__name__}: {error}"
    return ""
