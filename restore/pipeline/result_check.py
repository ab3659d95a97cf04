"""Opens each result before it is committed. A result that cannot be read is a failure."""

from __future__ import annotations

from pathlib import Path

from restore import images
from restore.images import Picture
from restore.images.errors import MAX_PIXELS, decoder_message

MAX_DECODED = 32_000_000
"""Pixels of a result that are also decoded, in whole frames from the first. Decoding takes a fiftieth of the network's time."""


def check(path: Path, picture: Picture, expected: tuple[int, int]) -> None:
    """Open a result, and decode its frames up to MAX_DECODED pixels.

    Args:
        path: the result, still under its temporary name.
        picture: the input.
        expected: (height, width) of the result's first frame.

    Raises:
        ValueError: it cannot be read, or its size or number of frames is wrong.
        MemoryError: there is not enough memory to read it.
    """
    pixels = expected[0] * expected[1]
    try:
        result = images.read(path, max_pixels=max(MAX_PIXELS, pixels))
        if result.size != expected or result.frames != picture.frames:
            (height, width), count = result.size, result.frames
            raise ValueError(f"it has {count} frame(s) of {width} x {height} pixels, not {picture.frames} of {expected[1]} x {expected[0]}")
        for index in range(min(result.frames, MAX_DECODED // max(1, pixels))):
            result.frame(index)
    except ValueError as error:
        cause = decoder_message(error).removeprefix(f"{path.name}: ")
        raise ValueError(f"its result cannot be read and was not kept ({cause})") from error
