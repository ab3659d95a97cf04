"""Pipelines as users write them: a TOML file with a `[[step]]` table for each step. Some ship. Reading one imports no torch.

[[step]]
task = "denoise"
strength = 0.8

[[step]]
task = "upscale"
scale = 2
weights = "photo"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

from restore.limits import nearest
from restore.tasks import TASKS

TASK, WEIGHTS = "task", "weights"
"""Keys of a step besides its task's options."""


def shipped() -> dict[str, Path]:
    """The pipelines that ship: name -> file."""
    # not through `restore.weights`, which imports torch
    folder = Path(str(resources.files("restore.shipped"))) / "pipelines"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find(name: str | Path) -> Path:
    """The file of a pipeline, by its path or the name of one that ships. A file of that name comes first.

    Raises:
        ValueError: there is none.
    """
    path = Path(name)
    known = shipped()
    if path.is_dir() and str(name) in known:  # a folder of pictures
        return known[str(name)]
    if path.exists():
        return path
    if str(name) in known:
        return known[str(name)]
    raise ValueError(f"no pipeline {str(name)!r}: neither a file nor one that ships ({', '.join(known)}){nearest(str(name), known)}")


def tables(path: Path) -> list[Mapping[str, Any]]:
    """The `[[step]]` tables of a pipeline file, with all checks that need no weights.

    Paths in it are relative to the working folder, as on the command line.

    Raises:
        ValueError: the file cannot be read, or a step or an option in it does not exist; the text names the step and the nearest name.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"cannot read the pipeline {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the pipeline {path} is not a TOML file: {error}") from error
    for name in content:
        if name != "step":
            raise ValueError(f"{path}: unknown table {name!r}{nearest(name, ['step'])}: use [[step]] tables only")
    steps = content.get("step")
    if not isinstance(steps, list) or not steps or not all(isinstance(table, dict) for table in steps):
        raise ValueError(f"{path} has no step: write a [[step]] table for each, with its task and options")
    for number, table in enumerate(steps, 1):
        _check(number, table, path)
    return steps


def changed(steps: Sequence[Mapping[str, Any]], changes: Mapping[str, Mapping[str, Any] | None]) -> list[Mapping[str, Any]]:
    """The tables of steps, with other options for the steps of a task; None leaves them out.

    Raises:
        ValueError: there is no step of that task, or none is left.
    """
    tasks = [table[TASK] for table in steps]
    if missing := [task for task in changes if task not in tasks]:
        raise ValueError(f"the pipeline has no step {missing[0]!r} to change: it has {', '.join(tasks)}")
    left: list[Mapping[str, Any]] = [
        {**table, **(changes.get(table[TASK]) or {})} for table in steps if changes.get(table[TASK], {}) is not None
    ]
    if not left:
        raise ValueError("the pipeline has no step left")
    return left


def _check(number: int, table: Mapping[str, Any], path: Path) -> None:
    task = table.get(TASK)
    if task is None:
        raise ValueError(f"{path}: step {number} has no task: use one of {', '.join(TASKS)}")
    if not isinstance(task, str) or task not in TASKS:
        raise ValueError(f"{path}: step {number} has an unknown task {task!r}: use one of {', '.join(TASKS)}{nearest(str(task), TASKS)}")
    try:
        check_weights(table.get(WEIGHTS))
        TASKS[task].options.of(options_of(table), task)
    except ValueError as error:
        raise ValueError(f"{path}: step {number}: {error}") from error


def check_weights(weights: object) -> None:
    """Check that they name weights: by a text or a path, None for those that a task chooses.

    Raises:
        ValueError: they are something else, or an empty text.
    """
    if weights == "":
        raise ValueError("weights is empty: name weights, or leave it out")
    if weights is not None and not isinstance(weights, str | PathLike):
        raise ValueError(f"weights must be a name or a file, not {weights!r}")


def options_of(table: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a step's table: all but its task and its weights."""
    return {name: value for name, value in table.items() if name not in (TASK, WEIGHTS)}
