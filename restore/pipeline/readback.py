"""A result is opened again before it takes its place: one that cannot be read is a failure, not a result."""

from __future__ import annotations

from pathlib import Path

from restore import images
from restore.images import Picture
from restore.images.errors import MAX_PIXELS, reason

CHEAP = 32_000_000
"""Pixels of a result that are decoded as well, in whole frames from the first on; decoding takes a fiftieth of the network's time."""


def check(path: Path, picture: Picture, scale: float) -> None:
    """Open a result, and decode as many of its frames as is cheap.

    Args:
        path: the result, still under its temporary name.
        picture: what was restored.
        scale: how many times as high and wide the result is.

    Raises:
        ValueError: it cannot be read, or is of another size or number of frames.
        MemoryError: there is none left to read it with.
    """
    expected = tuple(round(side * scale) for side in picture.size)
    pixels = expected[0] * expected[1]
    try:
        made = images.read(path, max_pixels=max(MAX_PIXELS, pixels))
        if made.size != expected or made.frames != picture.frames:
            (height, width), found = made.size, made.frames
            raise ValueError(f"it has {found} frame(s) of {width} x {height} pixels, not {picture.frames} of {expected[1]} x {expected[0]}")
        for index in range(min(made.frames, CHEAP // max(1, pixels))):
            made.frame(index)
    except ValueError as error:
        said = reason(error).removeprefix(f"{path.name}: ")
        raise ValueError(f"its result cannot be read again, and was not kept ({said})") from error
