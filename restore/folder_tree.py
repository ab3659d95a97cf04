"""The folders and files below a folder. Links to folders are followed, also where `Path.rglob` and `**` would leave them out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def files(root: Path) -> Iterator[Path]:
    """Everything below `root` that is no folder, but for what is hidden or lies in a hidden folder."""
    for folder in folders(root):
        for entry in _entries(folder):
            if not entry.name.startswith(".") and not _is_folder(entry):
                yield Path(entry.path)


def folders(root: Path, *, hidden: bool = False, top: Path | None = None) -> Iterator[Path]:
    """`root` and the folders below it. One that is among its own ancestors, through a link, is a loop and is left out.

    Args:
        root: without it there is nothing below.
        hidden: whether folders whose names begin with a dot are folders too.
        top: a folder above `root`; the folders between them are ancestors too.
    """
    above = tuple(os.path.realpath(folder) for folder in root.parents if top is not None and folder.is_relative_to(top))
    pending: list[tuple[Path, tuple[str, ...]]] = [(root, above)]
    while pending:
        folder, above = pending.pop()
        real = os.path.realpath(folder)
        if real in above:
            continue
        yield folder
        inner = [entry.path for entry in _entries(folder) if (hidden or not entry.name.startswith(".")) and _is_folder(entry)]
        pending += [(Path(path), (*above, real)) for path in inner]


def glob(root: Path, pattern: str) -> Iterator[Path]:
    """`root.glob(pattern)`, but `**` follows links to folders, and at the end of a pattern it stands for every file.

    Raises:
        ValueError: the pattern is invalid.
    """
    yield from _below(root, pattern, root)


def _below(folder: Path, pattern: str, top: Path) -> Iterator[Path]:
    """`glob` from a folder on; `top` is the one where the whole pattern begins."""
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from folder.glob(pattern)
        return
    cut = parts.index("**")
    first, rest = "/".join(parts[:cut]), "/".join(parts[cut + 1 :]) or "*"
    for start in folder.glob(first) if first else [folder]:
        for inner in folders(start, hidden=True, top=top):
            yield from _below(inner, rest, top)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder; none where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself
        return False
