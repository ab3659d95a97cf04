"""The files of a DATASET: a path or a name under data/, its include patterns, and its training and held-out parts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from restore import folder_tree
from restore.images import SUFFIXES, looked
from restore.writing import real

HELD_OUT = ("val", "valid", "validation", "test")
"""Folders whose images are never trained on, in the order in which previews take them."""

RUN_FILES = ("config.toml", "log.jsonl")
"""What the folder of a training run holds; such a folder below a dataset is no part of it."""


def locate(dataset: str | Path, roots: Sequence[Path] = (Path("data"),)) -> Path:
    """Return the folder of a DATASET given as a path or as a name under one of `roots`.

    Raises:
        ValueError: there is none; the text lists the names that exist.
    """
    for candidate in (Path(dataset), *(root / str(dataset) for root in roots)):
        try:
            if candidate.is_dir():
                return candidate
        except OSError as error:  # a name that no folder can have
            raise ValueError(f"no dataset {str(dataset)[:100]!r}: {error.strerror}") from error
    names = sorted(entry.name for root in roots if root.is_dir() for entry in root.iterdir() if entry.is_dir())
    raise ValueError(f"no dataset {str(dataset)!r}: neither a folder nor one of the names under data/ ({', '.join(names) or 'none'})")


def pictures(root: Path, include: Sequence[str] = ()) -> list[Path]:
    """Return every readable image file under `root`, recognised by content and sorted by its relative path.

    Args:
        root: the folder, searched recursively; links to folders are followed.
        include: glob patterns relative to `root`; empty for all.

    Raises:
        ValueError: no image, or a pattern that matches nothing (most likely mistyped).
    """
    if not include:
        found = {path for path in _visible(root) if _is_picture(path)}
    else:
        found = set()
        for pattern in include:
            matched = matching(root, pattern)
            if not matched:
                raise ValueError(f"{root}: no picture matches the include pattern {pattern!r}")
            found |= matched
    if not found:
        unread = ", ".join(f"{count} times {what}" for what, count in passed_over(root).items())
        but = f"; it holds {unread}: convert them to PNG or TIFF first" if unread else "; give a folder that does"
        raise ValueError(f"{root} holds no picture that can be read ({', '.join(sorted(SUFFIXES))}){but}")
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def matching(root: Path, pattern: str) -> set[Path]:
    """Return the image files under `root` that a glob pattern matches.

    Raises:
        ValueError: the pattern is invalid, or leads out of `root`.
    """
    if Path(pattern).anchor or ".." in Path(pattern).parts:
        raise ValueError(f"the include pattern {pattern!r} must be relative to {root}, without '..'")
    try:
        return {path for path in _outside_runs(folder_tree.glob(root, pattern), root) if _is_picture(path)}
    except (ValueError, IndexError, OSError) as error:  # IndexError: Python 3.11 for "."
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"the include pattern {pattern[:200]!r} is none: {reason}") from error


def split(files: Sequence[Path], root: Path, *, fraction: float, seed: int) -> tuple[list[Path], list[Path]]:
    """Divide files into training and held-out: by folders of these names under `root`, else by a seeded draw.

    Files under `val/`, `valid/`, `validation/` or `test/` are never trained on. The held-out files are those of the first of these
    folders that exists. If there is such a folder, `train/` is trained on, or everything else where there is no `train/`.

    In the draw, a file's side depends on its own name and the seed only, so that adding images moves no other across. At least one file
    is left to train on. Of a file that links show on several paths, no path is trained on if one is held out.

    Args:
        fraction: fraction of the files that is held out, 0..1, where no folder decides.

    Raises:
        ValueError: all files lie in held-out folders.
    """
    parts = [path.relative_to(root).parts for path in files]
    sides = [own[0].lower() if len(own) > 1 else "" for own in parts]
    held_out = next((side for side in HELD_OUT if side in sides), None)
    if held_out is not None:
        train = [path for path, side in zip(files, sides, strict=True) if side == "train"]
        train = train or [path for path, side in zip(files, sides, strict=True) if side not in HELD_OUT]
        if not train:
            raise ValueError(f"{root} holds pictures in {held_out}/ alone, which is held out: to train on them give {root / held_out}")
        return train, [path for path, side in zip(files, sides, strict=True) if side == held_out]

    def draw(path: Path) -> float:
        text = f"{seed}/{path.relative_to(root).as_posix()}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64

    test = [path for path in files if draw(path) < fraction]
    if not test and fraction > 0 and len(files) > 1:
        test = [min(files, key=draw)]
    if len(test) == len(files):
        test.remove(max(files, key=draw))
    places = _real_paths(files)
    held = {places[path] for path in test}
    train = [path for path in files if places[path] not in held]
    return (train, test) if train else ([*files], [])


def _real_paths(files: Sequence[Path]) -> dict[Path, Path]:
    """Where each file really lies; a folder is resolved once for all its files."""
    parents = {folder: real(folder) for folder in {path.parent for path in files}}
    return {path: real(path) if path.is_symlink() else parents[path.parent] / path.name for path in files}


def passed_over(root: Path) -> dict[str, int]:
    """Count the images under `root` in formats that cannot be read, by what they are ("a QOI picture")."""
    found = Counter(seen.what for path in _visible(root) if path.is_file() and (seen := looked(path)).kind == "foreign")
    return {what: found[what] for what in sorted(found)}


def _visible(root: Path) -> Iterator[Path]:
    """Every file under `root`, also behind links to folders, but hidden files and folders, and training runs."""
    return _outside_runs(folder_tree.files(root), root)


def _outside_runs(paths: Iterable[Path], root: Path) -> Iterator[Path]:
    """Leave out what lies in the folder of a training run below `root`: its previews are no pictures to learn from."""
    runs: dict[Path, bool] = {}

    def in_run(folder: Path) -> bool:
        if folder == root or root not in folder.parents:
            return False
        if folder not in runs:
            runs[folder] = all((folder / name).is_file() for name in RUN_FILES) or in_run(folder.parent)
        return runs[folder]

    return (path for path in paths if not in_run(path.parent))


def _is_picture(path: Path) -> bool:
    """Whether a file is an image; a damaged header is reported when the file is read."""
    if not path.is_file():
        return False
    try:
        return looked(path).kind == "picture"
    except Exception:  # a damaged header may raise anything
        return path.suffix.lower() in SUFFIXES
