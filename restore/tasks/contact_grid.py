"""The contact sheet of generated pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from restore.images import read
from restore.writing import atomic_write

COLUMNS, ROWS = 10, 10
MARK = "Software", "restore generate"
"""The text in a contact sheet that says who made it: other files are not replaced."""
GAP = 2
"""Pixels between two pictures of the grid."""


def is_one(path: Path) -> bool:
    """Whether a run wrote this contact sheet."""
    try:
        with Image.open(path) as sheet:
            return sheet.info.get(MARK[0]) == MARK[1]
    except Exception:  # whatever a foreign file raises: it is not ours
        return False


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
        mark = PngInfo()
        mark.add_text(*MARK)
        Image.fromarray(sheet).save(draft, "PNG", pnginfo=mark)
