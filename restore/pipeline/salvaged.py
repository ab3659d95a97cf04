"""Results of pictures with missing pixels (`--salvage`): which they are, and what a report says of them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from restore import images
from restore.images import ImageError, Picture
from restore.pipeline.result_store import ResultStore

PART = "pixels of it are missing: its result is of what was there, restored with --salvage"
"""What the report says of a picture whose result a run skips."""


def is_salvaged(picture: Picture, max_pixels: int | None) -> bool:
    """Whether a picture that was opened with `salvage` would be refused without, by its header or one of its frames.

    Whatever is salvaged has a warning, so others are not decoded again.

    Raises:
        OSError, MemoryError: the picture cannot be read now.
    """
    if not picture.warnings:
        return False
    try:
        again = images.read(picture.path, max_pixels=max_pixels)
        for index in range(again.frames):
            again.frame(index)
    except ImageError:
        return True
    return False


def left_behind(manifest: ResultStore, target: Path) -> list[str]:
    """What the report says of a picture that failed, where an earlier run has salvaged it."""
    with suppress(OSError):  # the store does not answer: the picture's own error says more
        if manifest.is_salvaged(target):
            return [f"{target.name} is still what an earlier run with --salvage restored: pixels of that picture are missing"]
    return []
