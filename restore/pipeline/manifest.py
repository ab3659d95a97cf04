"""The manifest of an output folder: records which results are done, and commits complete results by a rename."""

from __future__ import annotations

import errno
import os
import shutil
from copy import copy
from itertools import chain, count
from pathlib import Path

from restore.pipeline.discovery import PRIVATE, Origin
from restore.pipeline.manifest_records import (
    SettingsDigests,
    digest_file,
    parsed_record,
    record_name,
    record_text,
    recorded_content,
    recorded_rival,
)
from restore.pipeline.result_store import Seen
from restore.pipeline.sharding import Shard
from restore.writing import replace_durably, with_path

try:
    import fcntl
except ImportError:  # Windows has no fcntl: nothing prevents two runs into one folder
    fcntl = None  # type: ignore[assignment]  # a module is replaced by None

DONE, DRAFTS, REPLACED = "done", "tmp", "replaced"
KEPT = ".edited"
"""Ends the names of edited results that are kept, so that programs that walk the folder do not take them for results."""
LONGEST_NAME = 240
"""Bytes of a name that takes the end KEPT and a number."""
LONGEST = 1 << 17
"""Limit for the characters read from a record. Records have some hundred, plus names of a few thousand at most."""


class Manifest:
    """The records of one output folder: `out/.restore/done/`, one small JSON file for each result.

    A record holds the hashes of the input's content, the settings and the result. A result is done while all three match. The result's hash
    is compared instead of its size or date. So a rerun verifies every byte that it skips, copies of the folder stay valid, and the check
    costs no more than reading the input. The record is written before the result is renamed into place. If the process is killed between
    the two, the result's hash does not match and the picture is restored again. An empty or unreadable record, as after a power cut, is
    stale. A file without a record is unmanaged and is replaced only with `overwrite`, and so is the result of another picture that still
    exists (`rival`). A result that somebody has edited since is made again, but the edited file is kept (`set_aside`). Contents are on the
    disk before their names.

    Use it as a context manager: it locks the folder against a second run and removes the temporary files of a killed one. Shards of one run
    share the folder; each is locked against a second run of itself, and all of them against a run without shards.

    Args:
        out: the output folder.
        settings: all values besides the input that affect a result (JSON-able); see `SettingsDigests.of` for `salvage`.
        shard: the shard of the run that writes; None for the whole run.
    """

    def __init__(self, out: Path, settings: dict[str, object], shard: Shard | None = None) -> None:
        self.out, self.shard = Path(out), shard
        self.drafts = Path(out) / PRIVATE / (DRAFTS if shard is None else f"{DRAFTS}-{shard.name}")
        self.private = self.out / PRIVATE
        self.settings = SettingsDigests.of(settings)
        self._locks: list[int] = []

    def __enter__(self) -> Manifest:
        """Lock the folder. A read-only folder of an earlier run is accepted, so its results can be skipped.

        Raises:
            ValueError: another run has locked the folder, it cannot be written, or its private folder is a link.
        """
        for folder in (self.private, self.private / DONE, self.private / REPLACED, self.drafts):
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
        self._release()

    def known_content(self, target: Path, origin: Origin) -> str:
        """The hash of an object's content if an earlier run has read the same version of it; else ""."""
        return recorded_content(self._record(target), origin)

    def is_done(self, target: Path, content: str) -> bool:
        """Whether `target` is the result of these settings for an input with the hash `content`."""
        record = self._record(target)
        if record is None or record["input"] != content or not self.settings.accept(record["settings"]):
            return False
        return bool(record["output"]) and record["output"] == digest_file(target)

    def is_salvaged(self, target: Path) -> bool:
        """See `ResultStore.is_salvaged`."""
        return "salvaged" in (self._record(target) or {}) and target.is_file()

    def rival(self, target: Path, source: Path) -> str:
        """See `ResultStore.rival`."""
        return recorded_rival(self._record(target), source) if os.path.lexists(target) else ""

    def is_unmanaged(self, target: Path) -> bool:
        """Whether a file exists at `target` that no run has recorded."""
        return os.path.lexists(target) and not os.path.lexists(self._path(target))

    def temporary(self, target: Path) -> Path:
        """The temporary path for `target`. Its name has a fixed length.

        Raises:
            OSError: the disk is full or read-only; the error names `target`.
        """
        try:
            self.drafts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise with_path(error, target) from error
        return self.drafts / (self._name(target) + target.suffix[:16])

    def set_aside(self, target: Path) -> Path | None:
        """Move the file at `target` to `.restore/replaced/` if somebody has edited it.

        Then its hash is neither that of its record nor that of the result which the record replaced; a run that was killed before the
        rename leaves that one. Records of earlier versions do not name it: there, an edited file is younger than its record.

        Returns:
            Where it is now; None if there is no such file.

        Raises:
            OSError: it cannot be moved.
        """
        record = self._record(target)
        if record is None or target.is_symlink() or not target.is_file():  # replacing a link leaves what it leads to
            return None
        found = target.stat()
        if not found.st_size or ("replaced" not in record and found.st_mtime_ns <= self._path(target).stat().st_mtime_ns):
            return None
        if digest_file(target) in (record["output"], record.get("replaced")):
            return None
        kept = self.private / REPLACED / target.relative_to(self.out)
        base = (kept.name if len(os.fsencode(kept.name)) < LONGEST_NAME else f"{self._name(target)}{kept.suffix[:16]}") + KEPT
        names = chain([base], (f"{base}-{n}" for n in count(2)))
        free = next(path for name in names if not os.path.lexists(path := kept.with_name(name)))
        try:
            free.parent.mkdir(parents=True, exist_ok=True)
            replace_durably(target, free)
        except OSError as error:
            raise with_path(error, free) from error
        return free

    def commit(self, temporary: Path, target: Path, content: str, seen: Seen | None = None) -> None:
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
        settings = self.settings.of_result(seen)
        record = record_text(name, content, digest_file(temporary), settings, seen, self._record(target))
        draft = temporary.with_name(temporary.name + ".json")
        try:
            draft.write_text(record, encoding="ascii")
            replace_durably(draft, self._path(target))
        except OSError as error:
            raise with_path(error, self._path(target)) from error
        try:
            replace_durably(temporary, target)
        except OSError as error:
            raise with_path(error, target) from error

    def readable(self, text: str) -> str:
        """The message as it is: its paths are the user's."""
        return text

    def for_worker(self, name: str) -> Manifest:
        """The same folder for another process of this run. It locks nothing: this process holds the folder."""
        other = copy(self)
        other.drafts, other._locks = self.drafts / name, []
        return other

    def _record(self, target: Path) -> dict[str, str] | None:
        """The record of `target`; None if there is none, or if it is not usable."""
        path = self._path(target)
        try:
            if not path.is_file():  # opening a pipe would block
                return None
            with path.open(encoding="ascii") as file:
                return parsed_record(file.read(LONGEST))
        except (OSError, ValueError):
            return None

    def _path(self, target: Path) -> Path:
        return self.private / DONE / f"{self._name(target)}.json"

    def _name(self, target: Path) -> str:
        return record_name(target.relative_to(self.out))

    def _hold(self) -> None:
        """Lock the folder, and a shard's own file in it. What cannot be opened or locked, as in a read-only folder, stays unlocked."""
        if fcntl is None:
            return
        locks = [(self.private, os.O_RDONLY, fcntl.LOCK_EX if self.shard is None else fcntl.LOCK_SH)]
        if self.shard is not None:
            locks.append((self.private / f"shard-{self.shard.name}.lock", os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX))
        for path, flags, kind in locks:
            try:
                self._locks.append(os.open(path, flags | os.O_NOFOLLOW, 0o666))
            except OSError:
                continue
            try:
                fcntl.flock(self._locks[-1], fcntl.LOCK_NB | kind)
            except OSError as error:
                if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                    self._release()
                    what = "another run" if path == self.private else "another run of this shard"
                    raise ValueError(f"{what} is writing to {self.out}: wait for it, or name another folder") from None

    def _release(self) -> None:
        for lock in self._locks:
            os.close(lock)
        self._locks.clear()

    def _sweep(self) -> None:
        """Remove temporary files: a shard its own, a whole run all of them, also those of killed shards."""
        shutil.rmtree(self.drafts, ignore_errors=True)  # a thread may still write to it after Ctrl-C
        if self.shard is None:
            for folder in self.private.glob(f"{DRAFTS}-*-of-*"):
                shutil.rmtree(folder, ignore_errors=True)
