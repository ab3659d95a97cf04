"""A run's folder: one training writes it at a time, and the half-written files of a killed one are removed."""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)

LOCK = ".lock"
BUSY = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}
"""Errors of the system for a lock that another process holds."""
DRAFT = re.compile(r"\.(checkpoint(-previous)?\.pt|config\.toml|held_out\.json|log\.jsonl|\w+\.png|.+\.(safetensors|md))\..+")
"""Names of half-written files: see `restore.writing.atomic_write`."""

_held: set[int] = set()


def _release() -> None:
    """In a forked process: the lock belongs to the training, not to its children, which may outlive it."""
    for number in _held:
        with suppress(OSError):
            os.close(number)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Within, no other training can write `folder`; it is created if it does not exist.

    The system releases the lock when the process ends, however it ends. On a file system without locks, a warning says so and the training
    continues.

    Raises:
        ValueError: another training writes it.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    _held.add(number)
    try:
        if _locked(number, folder):
            sweep(folder)
        yield
    finally:
        _held.discard(number)
        os.close(number)


def _locked(number: int, folder: Path) -> bool:
    """Whether an open file could be locked; warns where the file system has no locks."""
    try:
        import fcntl  # not on Windows

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, ImportError) as error:
        if isinstance(error, OSError) and error.errno in BUSY:
            raise ValueError(f"another training writes {folder}: wait for it, stop it, or give another --out") from error
        log.warning("%s cannot be locked (%s): make sure that no second training writes it", folder, error)
        return False
    return True


def sweep(folder: Path) -> None:
    """Remove the half-written files of a killed training from `folder`."""
    for path in (*folder.glob(".*"), *(folder / "previews").glob(".*")):
        if DRAFT.fullmatch(path.name) and path.is_file():
            with suppress(OSError):
                path.unlink()
