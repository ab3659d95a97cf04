"""The errors of reading and writing pictures. Each message names the file, the fault and what helps."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from restore.available_memory import free_memory

MAX_PIXELS = 500_000_000
"""Pixels of one frame that `read` accepts by default (a picture of 22,000 x 22,000)."""
PIXELS_SETTING = "RESTORE_MAX_PIXELS"
"""The environment's name of another limit."""
_SURELY_FREE = 1 << 20
"""Bytes below which nobody asks how many are free: a stack may have thousands of small pages."""


@dataclass(frozen=True)
class Limits:
    """What `read` accepts.

    Attributes:
        max_pixels: refuse larger frames.
        salvage: accept a picture with missing pixels and warn, instead of refusing it.
    """

    max_pixels: int = MAX_PIXELS
    salvage: bool = False


_COMPLAINTS = (
    *(ValueError, TypeError, LookupError, RuntimeError, SyntaxError),
    *(ArithmeticError, AttributeError, EOFError, struct.error, zlib.error),
)
"""What decoders raise for broken files."""
_NOT_THE_FILES_FAULT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class ImageError(ValueError):
    """A picture that can't be read, or can't be written as asked. The message names the file and what helps."""


def image_error(path: Path, why: str) -> ImageError:
    """An ImageError that names the file."""
    return ImageError(f"{path.name}: {why}")


def pixel_limit() -> int:
    """Pixels of one frame that `read` accepts: MAX_PIXELS, or what the environment says.

    Raises:
        ImageError: the environment's text is no whole number above 0.
    """
    text = os.environ.get(PIXELS_SETTING, "").strip()
    if not text:
        return MAX_PIXELS
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ImageError(f"{PIXELS_SETTING}={text[:50]!r} in the environment must be a whole number of pixels above 0")
    return int(text)


def check_size(path: Path, height: int, width: int, max_pixels: int) -> None:
    """Raise ImageError for a header that claims more pixels than are allowed or fit into memory. Call it before decoding."""
    if height <= 0 or width <= 0:
        raise ImageError(f"{path.name}: the header says {width} x {height} pixels; the file is damaged")
    if height * width > max_pixels:
        raise ImageError(
            f"{path.name}: the header says {width} x {height} pixels, over the limit of {max_pixels:,}; if the file is really that large, "
            f"raise the limit in the environment, {PIXELS_SETTING}={height * width}"
        )
    if height * width > _SURELY_FREE and height * width > (free := free_memory()):
        raise ImageError(
            f"{path.name}: the header says {width} x {height} pixels, which {free >> 20:,} MB of free memory cannot hold; "
            "free some, or use a larger machine"
        )


SALVAGE = ", or restore what is there with --salvage"
"""The end of messages about pictures that can be read in part; training and comparing take whole ones."""


def missing_rows(path: Path, kind: str, row: int, height: int, count: int | None = None) -> ImageError:
    """An ImageError for a picture whose rows from `row` on are missing, or `count` of them."""
    what = f"truncated {kind} ({missing_share(row, height, count)})"
    return image_error(path, f"{what}; copy it again{SALVAGE}")


def salvage_warning(row: int, height: int, fill: str, count: int | None = None) -> str:
    """The warning for a picture whose rows from `row` on are missing, or `count` of them, and read as `fill`."""
    return f"{missing_share(row, height, count)}: they are {fill}, the rest was restored"


def missing_share(row: int, height: int, count: int | None = None) -> str:
    """The percentage of missing rows, where all rows from `row` (counted from 0) on are missing, or `count` of them."""
    percent = 100 * (height - row if count is None else count) / height
    return f"{percent:{'.0f' if percent >= 1 else '.1g'}} % of its rows are missing, from row {row + 1} of {height} on"


def decoder_message(error: BaseException) -> str:
    """The first line of a decoder's message, or the name of its error."""
    text = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)  # LibRaw's are bytes
    lines = text.strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


@contextlib.contextmanager
def as_image_error(path: Path, kind: str) -> Iterator[None]:
    """Turn what a decoder raises for a broken file into an ImageError, and errors for a missing or forbidden file too."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except OSError as error:
        if error.errno in _NOT_THE_FILES_FAULT:
            raise
        raise _blamed(path, kind, error) from error
    except _COMPLAINTS as error:
        raise _blamed(path, kind, error) from error


def _blamed(path: Path, kind: str, error: BaseException) -> ImageError:
    if isinstance(error, FileNotFoundError):
        return ImageError(f"{path.name}: there is no such file")
    if isinstance(error, PermissionError):
        return ImageError(f"{path.name}: no permission to read it")
    return ImageError(f"{path.name}: damaged or unsupported {kind} ({decoder_message(error)}); export it again")


class _Quiet:
    """Silence warnings while any thread is inside. Nested and concurrent uses restore the filters exactly once.

    `warnings.catch_warnings` alone leaves wrong filters behind when two threads exit in another order than they entered.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._catch: warnings.catch_warnings[None] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._catch = warnings.catch_warnings()
                self._catch.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._catch is not None:
                self._catch.__exit__(None, None, None)
                self._catch = None


quiet = _Quiet()
"""`with quiet:` around decoders that warn of oddities which no user can change. They log them as well."""
