"""Files that appear whole or not at all, and whose fault it is where one cannot be written.

Every result, record, report, page and card is written by `atomic_write` or moved into place by `replace_durably`. Its content is on the
disk before its name is, so a power cut leaves the old file or the new one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG))
_NO_HANDLES = frozenset((errno.EMFILE, errno.ENFILE))
_CANNOT_FLUSH = frozenset((errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EPERM, errno.EISDIR))
"""What file systems that know no flushing of such a file, or of a folder, answer."""


def is_environment_error(error: BaseException) -> bool:
    """Whether an error is the machine's or the user's own (no space, a read-only disk, no more open files, an interrupt).

    All else that a file leads to is that file's fault: it costs the file its line, whatever its type. A MemoryError is too, for one picture
    may be too large where the next one is not.
    """
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        return True
    return isinstance(error, OSError) and error.errno in _NO_ROOM | _NO_HANDLES


def with_path(error: OSError, path: Path) -> OSError:
    """The same error, named after the file that the user knows: "no space left on device: out/a.png"."""
    return OSError(error.errno, error.strerror or str(error), str(path))


def reason(error: BaseException) -> str:
    """`error` as one line for a user."""
    if isinstance(error, MemoryError):
        text = f"not enough memory{f': {error}' if str(error) else ''}"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror.lower() + (f": {error.filename}" if error.filename else "")
    elif isinstance(error, ValueError) and str(error):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def flush(path: Path) -> None:
    """Return when a file's content, or a folder's names, are on the disk.

    Raises:
        OSError: the disk is full or failing.
    """
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
    finally:
        os.close(handle)


def replace_durably(draft: Path, path: Path) -> None:
    """Let a whole draft take the place of `path`, on the same disk: its content first, then its name.

    Raises:
        OSError: the disk is full or failing, or a folder stands in the way; what stood at `path` may stand there still.
    """
    flush(draft)
    draft.replace(path)
    flush(path.parent)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give the path of a draft beside `path`, which takes its place once the block is through, and goes if that fails.

    Folders above it are made. A device or a pipe is written to itself, never replaced.

    Raises:
        OSError: it cannot be written (a full disk, a file in the way); the error names `path`, not the draft.
    """
    special = path.exists() and not path.is_file()
    draft = path if special else path.with_name(f".{path.name[-100:]}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        if not special:
            replace_durably(draft, path)
    except OSError as error:
        raise with_path(error, path) from error
    finally:
        if not special:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
