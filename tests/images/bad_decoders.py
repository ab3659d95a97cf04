"""Decoders that do what broken ones do; called by name in a decoding process."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from restore.images.errors import ImageError


def fine() -> tuple[Any, ...]:
    return np.arange(6, dtype=">u2").reshape(2, 3), "x", (1, None), np.zeros((0, 4))


def loop(*_: object) -> None:
    """Keeps Python's lock, as a codec in C does: no signal handler runs any more."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def crash() -> None:
    ctypes.string_at(0)


def eat() -> int:
    return sum(len(part) for part in [bytearray(1 << 26) for _ in range(100)])


def refuse() -> None:
    raise ImageError("a.png: no")


def complain() -> None:
    raise KeyError("\ud800 odd")


def chatter() -> int:
    sys.stdout.write("not an answer")
    sys.stdout.flush()
    return os.write(1, b"nor this")


def modules() -> list[str]:
    return [name for name in ("torch", "restore.api") if name in sys.modules]


def pid() -> int:
    return os.getpid()


def marked(folder: str, *_: object) -> None:
    """Tell that it has begun, and by which process, then loop."""
    (Path(folder) / "begun").write_text(str(os.getpid()))
    while True:
        loop()
        time.sleep(0)


def text_of(path: Path) -> str:
    """The text of a file."""
    return path.read_text()
