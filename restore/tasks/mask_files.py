"""The mask files of `restore inpaint`: which belongs to a picture, and where those that were used are written.

A mask is named like its picture and is a PNG, or a TIFF with a page a frame. Where two pictures would share a mask's name, the rule of
`naming.results` gives each its own (`a.png`, `a.bmp.png`), and a saved mask is candidates again by the same rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from restore.images import discovery, looked, naming
from restore.pipeline.discovery import Job
from restore.writing import atomic_write

PAGE, PAGES = ".png", ".tif"


class MaskNames:
    """What the masks of a run's pictures are called, relative to their folder."""

    def __init__(self) -> None:
        self._names: dict[Path, tuple[Path, bool]] = {}

    def plan(self, jobs: Sequence[Job]) -> None:
        """Give the mask of every picture of a run its name, whatever format the results are written in."""
        named = naming.results([job.relative for job in jobs], (PAGE,))
        for job, name in zip(jobs, named, strict=True):
            self._names[job.source] = (name.path, name.instead_of is not None)

    def of(self, source: Path, relative: Path) -> tuple[Path, bool]:
        """A picture's mask as a PNG, and whether another name would be the plain one."""
        return self._names.get(source) or (relative.with_name(naming.plain(relative.name, (PAGE,))), False)


def find(folder: Path, source: Path, relative: Path, names: MaskNames) -> Path:
    """The mask in `folder` of a picture: of its own name, or as `--save-masks` calls it, or else of its stem.

    Raises:
        ValueError: there is none, or more than one.
    """
    name, renamed = names.of(source, relative)
    saved = [folder / name, folder / name.with_name(discovery.stem(name.name) + PAGES)]
    own = [folder / relative]
    for path in (*saved, *own) if renamed else (*own, *saved):
        if path.is_file() and looked(path).is_picture:
            return path
    parent, stem = folder / relative.parent, discovery.stem(relative.name)
    # a folder may hold stems with brackets, which a glob would take for patterns
    entries = sorted(parent.iterdir()) if parent.is_dir() else []
    candidates = [path for path in entries if path.is_file() and discovery.stem(path.name) == stem and looked(path).is_picture]
    if not candidates:
        raise ValueError(f"no mask: {parent} holds none called {stem} with a picture's suffix")
    if len(candidates) > 1:
        raise ValueError(f"more than one mask: {', '.join(path.name for path in candidates)} in {parent}")
    return candidates[0]


def compare(path: Path, size: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """ValueError where a mask is not of its picture's size, (height, width) both."""
    if size != expected:
        raise ValueError(f"its mask {path} is {size[1]} x {size[0]} pixels, the picture {expected[1]} x {expected[0]}")


def pictures(folder: Path) -> list[Path]:
    """Every mask under a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and looked(path).is_picture)


def write(masks: Sequence[np.ndarray], target: Path) -> None:
    """Write the masks of a picture's frames, (H, W) bool each, whole or not at all: a PNG, or a TIFF with a page a frame.

    Args:
        target: the PNG's name; the TIFF gets its stem.

    Raises:
        OSError: it cannot be written; the error names it.
    """
    pages = [mask.astype(np.uint8) * np.uint8(255) for mask in masks]
    if len(pages) > 1:
        target = target.with_name(discovery.stem(target.name) + PAGES)
    with atomic_write(target) as draft:
        if len(pages) == 1:
            Image.fromarray(pages[0]).save(draft, "PNG")
            return
        with tifffile.TiffWriter(draft) as file:
            for page in pages:
                file.write(page, photometric="minisblack", compression="zlib", contiguous=False, metadata=None)
