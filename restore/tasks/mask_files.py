"""Mask files of `restore inpaint`: finds the mask of a picture and writes the masks that were used.

A mask has its picture's name and is a PNG, or a TIFF with one page for each frame. If two pictures would have the same mask name,
`naming.results` gives them different ones (`a.png`, `a.bmp.png`). Finding a saved mask uses the same rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from restore.images import ImageError, file_kind, looked, naming
from restore.pipeline.discovery import Job
from restore.writing import atomic_write

PAGE, PAGES = ".png", ".tif"


class MaskNames:
    """The mask names of a run's pictures, relative to the masks' folder."""

    def __init__(self) -> None:
        self._names: dict[Path, tuple[Path, bool]] = {}

    def plan(self, jobs: Sequence[Job]) -> None:
        """Name the mask of every picture of a run. The format of the results does not matter."""
        named = naming.results([job.relative for job in jobs], (PAGE,))
        for job, name in zip(jobs, named, strict=True):
            self._names[job.source] = (name.path, name.instead_of is not None)

    def of(self, source: Path, relative: Path) -> tuple[Path, bool]:
        """The name of a picture's mask as a PNG, and whether it differs from the plain name."""
        return self._names.get(source) or (relative.with_name(naming.plain(relative.name, (PAGE,))), False)


def find(folder: Path, source: Path, relative: Path, names: MaskNames) -> Path:
    """Find a picture's mask in `folder`: by the picture's name, by the name that `--save-masks` gives, or else by the stem.

    Raises:
        ValueError: there is no mask, or more than one.
    """
    name, renamed = names.of(source, relative)
    saved = [folder / name, folder / name.with_name(file_kind.stem(name.name) + PAGES)]
    own = [folder / relative]
    for path in (*saved, *own) if renamed else (*own, *saved):
        if path.is_file() and looked(path).is_picture:
            return path
    parent, stem = folder / relative.parent, file_kind.stem(relative.name)
    # no glob: it would read brackets in a stem as a pattern
    entries = sorted(parent.iterdir()) if parent.is_dir() else []
    candidates = [path for path in entries if path.is_file() and file_kind.stem(path.name) == stem and looked(path).is_picture]
    if not candidates:
        raise ValueError(f"no mask: {parent} contains no picture called {stem}")
    if len(candidates) > 1:
        raise ValueError(f"more than one mask: {', '.join(path.name for path in candidates)} in {parent}")
    return candidates[0]


def compare(path: Path, size: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raise ValueError if a mask's size, (height, width), is not the expected one."""
    if size != expected:
        raise ValueError(f"its mask {path} is {size[1]} x {size[0]} pixels, the picture {expected[1]} x {expected[0]}")


def pictures(folder: Path) -> list[Path]:
    """Every mask under a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and looked(path).is_picture)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Say of an error of a mask's file that it is the mask's: the file has the picture's name."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"its mask {path}: {str(error).removeprefix(f'{path.name}: ')}") from error


def write(masks: Sequence[np.ndarray], target: Path) -> None:
    """Write the masks of a picture's frames atomically: a PNG, or a TIFF with one page for each frame.

    Args:
        masks: (H, W) bool for each frame.
        target: the PNG's path; a TIFF has the same stem.

    Raises:
        OSError: it cannot be written; the error names the file.
    """
    pages = [mask.astype(np.uint8) * np.uint8(255) for mask in masks]
    if len(pages) > 1:
        target = target.with_name(file_kind.stem(target.name) + PAGES)
    with atomic_write(target) as draft:
        if len(pages) == 1:
            Image.fromarray(pages[0]).save(draft, "PNG")
            return
        with tifffile.TiffWriter(draft) as file:
            for page in pages:
                file.write(page, photometric="minisblack", compression="zlib", contiguous=False, metadata=None)
