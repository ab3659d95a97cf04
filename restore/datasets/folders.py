"""Which files a DATASET holds: a path or a name under data/, its include patterns, and its train/test split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from restore.images import SUFFIXES, looked


def locate(dataset: str | Path, roots: Sequence[Path] = (Path("data"),)) -> Path:
    """The folder of a DATASET given as a path or as a name under one of `roots`.

    Raises:
        ValueError: there is none; the text lists the names there are.
    """
    for candidate in (Path(dataset), *(root / str(dataset) for root in roots)):
        if candidate.is_dir():
            return candidate
    names = sorted(entry.name for root in roots if root.is_dir() for entry in root.iterdir() if entry.is_dir())
    raise ValueError(
        f"no dataset {str(dataset)!r}: neither a folder nor one of the names under data/ ({', '.join(names) or 'none'})"
    )


def pictures(root: Path, include: Sequence[str] = ()) -> list[Path]:
    """Every picture file under `root` that can be read, by content (see `images.look`), sorted by its relative path.

    Args:
        root: the folder, walked to its depth.
        include: glob patterns relative to `root`; empty for all.

    Raises:
        ValueError: nothing there, or a pattern that matches nothing (most likely mistyped).
    """
    if not include:
        found = {path for path in _visible(root) if _is_picture(path)}
    else:
        found = set()
        for pattern in include:
            if Path(pattern).is_absolute():
                raise ValueError(f"the include pattern {pattern!r} must be relative to {root}")
            matched = {path for path in root.glob(pattern) if _is_picture(path)}
            if not matched:
                raise ValueError(f"{root}: no picture matches the include pattern {pattern!r}")
            found |= matched
    if not found:
        unread = ", ".join(f"{count} times {what}" for what, count in passed_over(root).items())
        but = f"; it holds {unread}: convert them to PNG or TIFF first" if unread else "; give a folder that does"
        raise ValueError(f"{root} holds no picture that can be read ({', '.join(sorted(SUFFIXES))}){but}")
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def split(files: Sequence[Path], root: Path, *, share: float, seed: int) -> tuple[list[Path], list[Path]]:
    """Divide files into training and test: by `train/` and `test/` folders under `root` if both are there, else by a seeded draw.

    A file's side in the draw depends on its own name and the seed only, so that adding pictures moves none across. One at least is left
    to train on.

    Args:
        share: share of the files that goes to the test side, 0..1.
    """
    named = {side: [path for path in files if path.relative_to(root).parts[0] == side] for side in ("train", "test")}
    if all(named.values()):
        return named["train"], named["test"]

    def draw(path: Path) -> float:
        text = f"{seed}/{path.relative_to(root).as_posix()}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64

    test = [path for path in files if draw(path) < share]
    if not test and share > 0 and len(files) > 1:
        test = [min(files, key=draw)]
    if len(test) == len(files):
        test.remove(max(files, key=draw))
    held = set(test)
    return [path for path in files if path not in held], test


def passed_over(root: Path) -> dict[str, int]:
    """The pictures under `root` of formats that nothing here reads, by what they are ("a GIF picture")."""
    found = Counter(seen.what for path in _visible(root) if path.is_file() and (seen := looked(path)).kind == "foreign")
    return {what: found[what] for what in sorted(found)}


def _visible(root: Path) -> Iterator[Path]:
    """What lies under `root`, hidden files and folders left out."""
    return (path for path in root.rglob("*") if not any(part.startswith(".") for part in path.relative_to(root).parts))


def _is_picture(path: Path) -> bool:
    return path.is_file() and looked(path).kind == "picture"
