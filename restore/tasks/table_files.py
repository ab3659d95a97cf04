"""Lookup tables of `restore enhance`: their names, and which of them a run wrote.

The table of `a.png` is `a.png.cube`; those of the frames of `a.tif` are `a.tif.0.cube` and so on. If two pictures would have the same table
name, `naming.results` gives them different ones (`a-2.png.cube`). A comment of the table says what made it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from restore.images import naming
from restore.pipeline.discovery import PRIVATE, Job
from restore.writing import sweep_drafts

MAKER = "restore enhance"
SUFFIX = ".cube"
_HEAD = 2048
"""Characters at the start of a table in which its comment is."""
_OWN = re.compile(rf"^# {MAKER}$|\ATITLE \"[^\n]*\"\nLUT_(?:3D_SIZE 33|1D_SIZE 1024)\n", re.MULTILINE)
"""What the tables of a run begin with: now, and without a comment before."""


class TableNames:
    """The names of a run's tables, relative to their folder, without a frame's number and SUFFIX."""

    def __init__(self) -> None:
        self._names: dict[Path, Path] = {}

    def plan(self, jobs: Sequence[Job], folder: Path | None) -> None:
        """Name the tables of all pictures as their results are named, and remove the drafts of a run that was killed."""
        named = naming.results([job.relative for job in jobs], reserved={(PRIVATE,)})
        self._names = {job.source: name.path for job, name in zip(jobs, named, strict=True)}
        if folder is not None:
            sweep_drafts(place(folder / self.of(job)) for job in jobs)

    def of(self, job: Job) -> Path:
        """The name of a picture's tables."""
        return self._names.get(job.source, job.relative)


def place(base: Path, index: int | None = None) -> Path:
    """Where a table is: that of a picture, or of its frame `index`. `base` is the path without its end."""
    return base.with_name(f"{base.name}{'' if index is None else f'.{index}'}{SUFFIX}")


def exists(base: Path) -> bool:
    """Whether there is a file in the place of a picture's table, or of that of its first frame."""
    return os.path.lexists(place(base)) or os.path.lexists(place(base, 0))


def is_foreign(path: Path) -> bool:
    """Whether a file exists at `path` that no run wrote."""
    return os.path.lexists(path) and not _is_own(path)


def _is_own(path: Path) -> bool:
    try:
        if not path.is_file():  # opening a pipe would block
            return False
        with path.open(encoding="ascii") as file:
            return _OWN.search(file.read(_HEAD)) is not None
    except (OSError, ValueError):
        return False
