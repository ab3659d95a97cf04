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

from restore.images import ImageError, file_kind, looked, naming, own_files
from restore.pipeline.discovery import Job
from restore.writing import atomic_write, real

PAGE, PAGES = ".png", ".tif"
MAKER = "restore inpaint"


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
    candidates = _of_stem(parent, stem)
    if not candidates:
        raise ValueError(f"no mask: {parent} contains no picture called {stem}{_hint(folder, source, relative)}")
    if len(candidates) > 1:
        raise ValueError(f"more than one mask: {', '.join(path.name for path in candidates)} in {parent}")
    return candidates[0]


def _of_stem(folder: Path, stem: str) -> list[Path]:
    """The pictures of this stem in a folder, sorted."""
    # no glob: it would read brackets in a stem as a pattern
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in entries if path.is_file() and file_kind.stem(path.name) == stem and looked(path).is_picture]


def _hint(folder: Path, source: Path, relative: Path) -> str:
    """The end of a message, if the mask lies below `folder` as the picture lies below one of its input's parents.

    Only these places are looked at: a tree of masks may be huge.
    """
    outer = source.absolute().parts[1 : -len(relative.parts)]
    for start in reversed(range(len(outer))):
        if outer[start] == "..":
            break
        base = folder.joinpath(*outer[start:])
        found = [path for path in _of_stem(base / relative.parent, file_kind.stem(relative.name)) if real(path) != real(source)]
        if found:
            return f", but {found[0]} is one: --masks {base}"
    return ""


def compare(path: Path, size: tuple[int, ...], expected: tuple[int, ...], *, turned: bool = False) -> None:
    """Raise ValueError if a mask's size, (height, width), is not the expected one; `turned` as in `ImageInfo`."""
    if size == expected:
        return
    swapped = turned and size == expected[::-1]
    why = " (it is turned by its EXIF orientation: draw the mask on the turned picture)" if swapped else ""
    raise ValueError(f"its mask {path} is {size[1]} x {size[0]} pixels, the picture {expected[1]} x {expected[0]}{why}")


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


def refuse_folder(folder: Path, jobs: Sequence[Job], names: MaskNames, masks: Path | None) -> None:
    """Check that saved masks replace nothing that a run reads or writes.

    Args:
        folder: of the saved masks.
        jobs: all pictures of the run.
        names: of the masks.
        masks: the file or folder of the masks that are used, if any.

    Raises:
        ValueError: the folder holds inputs or the masks that are used, or a mask would have the place of a result.
    """
    if masks is not None and (real(folder) == real(masks) or (masks.is_file() and real(folder) == real(masks).parent)):
        raise ValueError(f"{folder} holds the masks that are used: choose another folder for --save-masks")
    results = {real(job.target) for job in jobs}
    inputs = {real(job.source).parent for job in jobs}
    for job in jobs:
        page = real(folder / names.of(job.source, job.relative)[0])
        if page.parent in inputs:
            raise ValueError(f"{page.parent} holds inputs: choose a folder outside the inputs for --save-masks")
        if page in results or _of_pages(page) in results:
            raise ValueError(f"a mask would have the place of the result {job.target}: choose another folder for --save-masks")


def place(masks: Sequence[np.ndarray], page: Path) -> Path:
    """Where the masks of a picture's frames are written: `page`, a PNG's path, or a TIFF of the same stem for several."""
    return page if len(masks) == 1 else _of_pages(page)


def places(page: Path) -> tuple[Path, Path]:
    """Where the masks of a picture can be; see `place`."""
    return page, _of_pages(page)


def is_own(path: Path, mark: str = "") -> bool:
    """Whether a run wrote this mask, for what `mark` stands for (see `Job.mark`) if it is given, and nobody has edited it since."""
    return own_files.is_made_by(MAKER, path, mark)


def _of_pages(page: Path) -> Path:
    return page.with_name(file_kind.stem(page.name) + PAGES)


def write(masks: Sequence[np.ndarray], target: Path, mark: str) -> None:
    """Write the masks of a picture's frames atomically: a PNG, or a TIFF with one page for each frame.

    Args:
        masks: (H, W) bool for each frame.
        target: see `place`.
        mark: what they were made from; see `Job.mark`.

    Raises:
        OSError: it cannot be written; the error names the file.
    """
    pages = [mask.astype(np.uint8) * np.uint8(255) for mask in masks]
    with atomic_write(target) as draft:
        if len(pages) == 1:
            Image.fromarray(pages[0]).save(draft, "PNG", pnginfo=own_files.png_text(MAKER, mark))
            return
        software = own_files.signature(MAKER, mark)
        with tifffile.TiffWriter(draft) as file:
            for page in pages:
                file.write(page, photometric="minisblack", compression="zlib", contiguous=False, metadata=None, software=software)
