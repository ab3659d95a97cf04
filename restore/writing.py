"""Atomic, durable file writes, and the classification of write errors.

`atomic_write` and `replace_durably` write every result, record, report, page and card. The content is on the disk before the name, so a
power cut leaves either the old or the new file.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG))
_NO_HANDLES = frozenset((errno.EMFILE, errno.ENFILE))
_CANNOT_FLUSH = frozenset((errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EPERM, errno.EISDIR))
"""Errors of file systems that cannot flush a file or a folder."""

DRAFT = re.compile(r"\.(.+)\.(\d{1,9})", re.DOTALL)
"""The name of a draft: that of its file and the number of its process."""
RECENT = 60.0
"""Seconds."""


def is_environment_error(error: BaseException) -> bool:
    """Whether the machine or the user caused an error: no space, a read-only disk, too many open files, an interrupt.

    All other errors belong to the file being processed, and only that file fails. This includes MemoryError, because the next picture may
    be smaller.
    """
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        return True
    return isinstance(error, OSError) and error.errno in _NO_ROOM | _NO_HANDLES


def has_no_room(error: OSError) -> bool:
    """Whether a disk is full or takes nothing. A copy that fails so has the name of what was copied."""
    return error.errno in _NO_ROOM


def with_path(error: OSError, path: Path) -> OSError:
    """The same error with the path that the user knows: "no space left on device: out/a.png"."""
    return OSError(error.errno, error.strerror or str(error), str(path))


def reason(error: BaseException) -> str:
    """Format `error` as one line for a user."""
    if isinstance(error, MemoryError):
        text = f"not enough memory{f': {error}' if str(error) else ''}"
        text += "; free some, or use a machine with more" if "llocate" in text else ""  # NumPy's and torch's messages name no mend
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror.lower() + (f": {error.filename}" if error.filename else "")
    elif isinstance(error, ValueError) and str(error):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def real(path: Path) -> Path:
    """The path without links; as far as they lead where one leads back to itself, for which `Path.resolve` raises RuntimeError."""
    return Path(os.path.realpath(path))


def flush(path: Path) -> None:
    """Flush a file's content or a folder's names to the disk.

    Raises:
        OSError: the disk is full or failing.
    """
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
    finally:
        os.close(handle)


def replace_durably(draft: Path, path: Path) -> None:
    """Rename a complete draft to `path`, on the same disk, and flush its content first and its name second.

    Raises:
        OSError: the disk is full or failing, or `path` is a folder. The old file may still be at `path`.
    """
    flush(draft)
    draft.replace(path)
    flush(path.parent)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield the path of a draft next to `path`. It replaces `path` after the block; after an error it is removed.

    Missing parent folders are created. Devices and pipes are written directly and never replaced.

    Raises:
        OSError: it cannot be written, for example because the disk is full; the error names `path`, not the draft.
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


def sweep_drafts(paths: Iterable[Path]) -> None:
    """Remove the drafts that killed processes left of `atomic_write` of some files.

    A draft of a process that runs on this machine stays, and so does one of the last minute, which another machine may be writing.
    """
    import psutil  # here, for the command line must start quickly

    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(path.name[-100:])
    for folder, known in names.items():
        for draft in folder.glob(".*"):
            parts = DRAFT.fullmatch(draft.name)
            if parts is None or parts[1] not in known or psutil.pid_exists(int(parts[2])):
                continue
            with suppress(OSError):
                if draft.is_file() and not draft.is_symlink() and time.time() - draft.stat().st_mtime > RECENT:
                    draft.unlink()
