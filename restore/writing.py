"""Files that appear whole or not at all, and errors that name the file that could not be written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
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
            draft.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        if not special:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
