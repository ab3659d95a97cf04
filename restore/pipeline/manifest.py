"""What is already done under an output folder, and the only way a file gets there: whole, by a rename."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

from restore.pipeline.discovery import PRIVATE
from restore.writing import blamed, replace_durably

try:
    import fcntl
except ImportError:  # Windows: two runs into one folder are then the user's own look-out
    fcntl = None  # type: ignore[assignment]  # a module's name

VERSION = 1
DONE, DRAFTS = "done", "tmp"
LONGEST = 1 << 16
"""Characters of a record that are read: ours have some hundred, and a name of a few thousand at most."""


class Manifest:
    """The records of one output folder: `out/.restore/done/`, one small JSON file for each result.

    A record holds the hash of the input's content, of the settings, and of the result. A result counts as done while
    all three still hold: the result's own hash is compared, not its size or date, for a rerun then vouches for every
    byte it skips, survives copying, and costs no more than reading the input did anyway. The record is written
    before the result is renamed into place: killed between the two, the result's hash is wrong and it is made again.
    A record that is empty or unreadable is ours all the same, and stale: a power cut leaves such ones. A file without
    any record is not ours and is never replaced unasked. Result and record are on the disk before they have their names.

    Use as a context manager: it holds the folder against a second run, and sweeps the temporary files of a killed one.
    """

    def __init__(self, out: Path, settings: dict[str, Any]) -> None:
        """`settings` is everything but the input that decides what a result looks like (JSON-able)."""
        self.out = Path(out)
        self.private = self.out / PRIVATE
        self.settings = digest(json.dumps([VERSION, settings], sort_keys=True, default=str).encode())
        self._lock: int | None = None

    def __enter__(self) -> Manifest:
        """Raises ValueError when another run holds the folder, it cannot be written, or its private folder is a link.

        A folder of an earlier run may have become read-only: what is done is still known there.
        """
        for folder in (self.private, self.private / DONE, self.private / DRAFTS):
            if folder.is_symlink():
                raise ValueError(f"{folder} is a link, and what a run keeps for itself must not lead elsewhere: take it away")
        try:
            (self.private / DONE).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"cannot write to the output folder {self.out}: {error.strerror}") from error
        self._hold()
        self._sweep()
        return self

    def __exit__(self, *_: object) -> None:
        self._sweep()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def is_done(self, target: Path, content: str) -> bool:
        """Whether `target` holds what these settings make of an input whose content hashes to `content`."""
        record = self._record(target)
        if record is None or (record["input"], record["settings"]) != (content, self.settings):
            return False
        return bool(record["output"]) and record["output"] == digest_file(target)

    def is_unmanaged(self, target: Path) -> bool:
        """Whether something stands at `target` that no run of ours has put there."""
        return os.path.lexists(target) and not os.path.lexists(self._path(target))

    def temporary(self, target: Path) -> Path:
        """Where to write what is to become `target`: a name of fixed length, whatever the target's.

        Raises:
            OSError: the disk is full or read-only; the error names `target`.
        """
        try:
            (self.private / DRAFTS).mkdir(exist_ok=True)
        except OSError as error:
            raise blamed(error, target) from error
        return self.private / DRAFTS / (self._name(target) + target.suffix[:16])

    def commit(self, temporary: Path, target: Path, content: str) -> None:
        """Record the result and rename it into place.

        Raises:
            ValueError: the target's folder leads out of the output folder through a link.
            OSError: the disk is full, a folder stands in the way, and the like.
        """
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise blamed(error, target.parent) from error
        if not Path(os.path.realpath(target.parent)).is_relative_to(os.path.realpath(self.out)):
            raise ValueError(f"the folder {target.parent} is a link that leads out of the output folder")
        if target.is_dir() and not target.is_symlink():
            raise ValueError(f"a folder stands where the result {target} should go")
        name = target.relative_to(self.out).as_posix()
        record = {"input": content, "name": name, "output": digest_file(temporary), "settings": self.settings}
        draft = temporary.with_name(temporary.name + ".json")
        try:
            draft.write_text(json.dumps(record, sort_keys=True, indent=1) + "\n", encoding="ascii")
            replace_durably(draft, self._path(target))
        except OSError as error:
            raise blamed(error, self._path(target)) from error
        try:
            replace_durably(temporary, target)
        except OSError as error:
            raise blamed(error, target) from error

    def _record(self, target: Path) -> dict[str, str] | None:
        """What is recorded of `target`; None where there is no record, or one that holds nothing usable."""
        path = self._path(target)
        try:
            if not path.is_file():  # a pipe would be waited for
                return None
            with path.open(encoding="ascii") as file:
                record = json.loads(file.read(LONGEST))
        except (OSError, ValueError, RecursionError):
            return None
        wanted = ("input", "settings", "output")
        return record if isinstance(record, dict) and all(isinstance(record.get(key), str) for key in wanted) else None

    def _path(self, target: Path) -> Path:
        return self.private / DONE / f"{self._name(target)}.json"

    def _name(self, target: Path) -> str:
        return digest(os.fsencode(target.relative_to(self.out)))[:32]

    def _hold(self) -> None:
        if fcntl is None:
            return
        try:
            self._lock = os.open(self.private, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if self._lock is not None and error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(self._lock)
                self._lock = None
                raise ValueError(f"another run is writing to {self.out}: wait for it, or name another folder") from None

    def _sweep(self) -> None:
        shutil.rmtree(self.private / DRAFTS, ignore_errors=True)  # a thread left behind by Ctrl-C may still be in it


def digest(data: bytes) -> str:
    """The hash by which contents are told apart: BLAKE2b of 32 bytes, in hexadecimal."""
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def digest_file(path: Path) -> str:
    """`digest` of a file's content, read in pieces; "" where there is no such file, or a pipe or a device, which has no end.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
    except FileNotFoundError:
        return ""
