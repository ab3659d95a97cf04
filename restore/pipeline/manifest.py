"""The manifest of an output folder: records which results are done, and commits complete results by a rename."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from pathlib import Path

from restore.pipeline.discovery import PRIVATE
from restore.writing import replace_durably, with_path

try:
    import fcntl
except ImportError:  # Windows has no fcntl: nothing prevents two runs into one folder
    fcntl = None  # type: ignore[assignment]  # a module is replaced by None

VERSION = 1
DONE, DRAFTS = "done", "tmp"
LONGEST = 1 << 16
"""Limit for the characters read from a record. Records have some hundred, plus a name of a few thousand at most."""


class Manifest:
    """The records of one output folder: `out/.restore/done/`, one small JSON file for each result.

    A record holds the hashes of the input's content, the settings and the result. A result is done while all three match. The result's hash
    is compared instead of its size or date. So a rerun verifies every byte that it skips, copies of the folder stay valid, and the check
    costs no more than reading the input. The record is written before the result is renamed into place. If the process is killed between
    the two, the result's hash does not match and the picture is restored again. An empty or unreadable record, as after a power cut, is
    stale. A file without a record is unmanaged and is replaced only with `overwrite`. Contents are on the disk before their names.

    Use it as a context manager: it locks the folder against a second run and removes the temporary files of a killed one.
    """

    def __init__(self, out: Path, settings: dict[str, object]) -> None:
        """`settings` are all values besides the input that affect a result (JSON-able)."""
        self.out = Path(out)
        self.private = self.out / PRIVATE
        self.settings = digest(json.dumps([VERSION, settings], sort_keys=True, default=str).encode())
        self._lock: int | None = None

    def __enter__(self) -> Manifest:
        """Lock the folder. A read-only folder of an earlier run is accepted, so its results can be skipped.

        Raises:
            ValueError: another run has locked the folder, it cannot be written, or its private folder is a link.
        """
        for folder in (self.private, self.private / DONE, self.private / DRAFTS):
            if folder.is_symlink():
                raise ValueError(f"{folder} is a link, but a run's private folder must not be one: remove it")
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
        """Whether `target` is the result of these settings for an input with the hash `content`."""
        record = self._record(target)
        if record is None or (record["input"], record["settings"]) != (content, self.settings):
            return False
        return bool(record["output"]) and record["output"] == digest_file(target)

    def is_unmanaged(self, target: Path) -> bool:
        """Whether a file exists at `target` that no run has recorded."""
        return os.path.lexists(target) and not os.path.lexists(self._path(target))

    def temporary(self, target: Path) -> Path:
        """The temporary path for `target`. Its name has a fixed length.

        Raises:
            OSError: the disk is full or read-only; the error names `target`.
        """
        try:
            (self.private / DRAFTS).mkdir(exist_ok=True)
        except OSError as error:
            raise with_path(error, target) from error
        return self.private / DRAFTS / (self._name(target) + target.suffix[:16])

    def commit(self, temporary: Path, target: Path, content: str) -> None:
        """Record the result and rename it into place.

        Raises:
            ValueError: the target's folder leads out of the output folder through a link.
            OSError: it cannot be written, for example because the disk is full.
        """
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise with_path(error, target.parent) from error
        if not Path(os.path.realpath(target.parent)).is_relative_to(os.path.realpath(self.out)):
            raise ValueError(f"the folder {target.parent} is a link that leads out of the output folder")
        if target.is_dir() and not target.is_symlink():
            raise ValueError(f"a folder exists at the path of the result {target}: move it")
        name = target.relative_to(self.out).as_posix()
        record = {"input": content, "name": name, "output": digest_file(temporary), "settings": self.settings}
        draft = temporary.with_name(temporary.name + ".json")
        try:
            draft.write_text(json.dumps(record, sort_keys=True, indent=1) + "\n", encoding="ascii")
            replace_durably(draft, self._path(target))
        except OSError as error:
            raise with_path(error, self._path(target)) from error
        try:
            replace_durably(temporary, target)
        except OSError as error:
            raise with_path(error, target) from error

    def _record(self, target: Path) -> dict[str, str] | None:
        """The record of `target`; None if there is none, or if it is not usable."""
        path = self._path(target)
        try:
            if not path.is_file():  # opening a pipe would block
                return None
            with path.open(encoding="ascii") as file:
                record = json.loads(file.read(LONGEST))
        except (OSError, ValueError, RecursionError):
            return None
        required = ("input", "settings", "output")
        return record if isinstance(record, dict) and all(isinstance(record.get(key), str) for key in required) else None

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
        shutil.rmtree(self.private / DRAFTS, ignore_errors=True)  # a thread may still write to it after Ctrl-C


def digest(data: bytes) -> str:
    """The hash of a content: BLAKE2b of 32 bytes, in hexadecimal."""
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def digest_file(path: Path) -> str:
    """`digest` of a file's content; "" if it does not exist or is not a regular file (a pipe or a device has no end).

    Raises:
        OSError: the file exists but cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
    except FileNotFoundError:
        return ""
