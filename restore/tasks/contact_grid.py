"""The contact sheet of generated pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from restore.images import own_files, read
from restore.writing import atomic_write

COLUMNS, ROWS = 10, 10
MAKER = "restore generate"
GAP = 2
"""Pixels between two pictures of the grid."""


def is_one(path: Path) -> bool:
    """Whether a run wrote this contact sheet."""
    return own_files.is_made_by(MAKER, path)


def write(path: Path, files: Sequence[Path]) -> None:
    """Write a contact sheet of some pictures, as 8-bit PNG.

    Raises:
        OSError: a picture cannot be read, or the sheet cannot be written.
    """
    pictures = [read(file).frame(0).displayed() for file in files]
    height, width = pictures[0].shape[:2]
    columns = min(COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = np.zeros((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), np.uint8)
    for index, picture in enumerate(pictures):
        top, left = (GAP + place * (length + GAP) for place, length in zip(divmod(index, columns), (height, width), strict=True))
        sheet[top : top + height, left : left + width] = np.rint(picture * 255).astype(np.uint8)
    with atomic_write(path) as draft:
        Image.fromarray(sheet).save(draft, "PNG", pnginfo=own_files.png_text(MAKER))
