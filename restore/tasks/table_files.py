"""Lookup tables of `restore enhance`: their names, and which of them a run wrote.

The table of `a.png` is `a.png.cube`; those of the frames of `a.tif` are `a.tif.0.cube` and so on. If two pictures would have the same table
name, `naming.results` gives them different ones (`a-2.png.cube`). A comment of the table holds the mark of what it was made from and the
number of the picture's tables.
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


def comment(mark: str, count: int) -> str:
    """What a table says of its maker.

    Args:
        mark: see `Job.mark`.
        count: how many tables the picture has.
    """
    return f"{MAKER} {mark} {count}"


def is_foreign(path: Path) -> bool:
    """Whether a file exists at `path` that no run wrote."""
    return os.path.lexists(path) and not _comment_of(path)


def are_complete(base: Path, mark: str) -> bool:
    """Whether all tables of a picture are there, made from what `mark` stands for. False where none is."""
    if _comment_of(place(base)) == comment(mark, 1):
        return True
    pages = re.compile(re.escape(base.name) + r"\.\d+" + re.escape(SUFFIX))
    paths = base.parent.iterdir() if base.parent.is_dir() else ()
    comments = [_comment_of(path) for path in paths if pages.fullmatch(path.name)]
    return comments.count(comment(mark, len(comments))) == len(comments) > 0


def _comment_of(path: Path) -> str:
    """What a table says of its maker; "" where a file is no table of a run."""
    try:
        if not path.is_file():  # opening a pipe would block
            return ""
        with path.open(encoding="ascii") as file:
            found = re.search(rf"^# ({MAKER} [0-9a-f]* \d+)$", file.read(_HEAD), re.MULTILINE)
    except (OSError, ValueError):
        return ""
    return found[1] if found else ""
