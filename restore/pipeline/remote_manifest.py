"""The manifest of an output folder in another store: the same records as those of a folder of this machine, as small objects.

A record is put before its result, as on a disk. A run that is killed between the two leaves a record whose hash is not that of the object,
and the next run restores the picture again. Nothing locks the folder: two runs at once restore pictures twice, but each object stays whole.
"""

from __future__ import annotations

import json
import shutil
import threading
from copy import copy
from hashlib import file_digest
from itertools import chain, count
from pathlib import Path

from restore.pipeline.discovery import PRIVATE, Origin
from restore.pipeline.manifest import DONE, KEPT, REPLACED
from restore.pipeline.manifest_records import (
    VERSION,
    SettingsDigests,
    digest_file,
    parsed_record,
    record_name,
    record_text,
    recorded_content,
    recorded_rival,
)
from restore.pipeline.remote import RemoteFolder, StoredObject
from restore.pipeline.result_store import Seen
from restore.writing import reason, with_path


class RemoteManifest:
    """See `ResultStore`.

    Args:
        folder: the output folder.
        out: stands for it in the targets of jobs; nothing is written there.
        drafts: folder of this machine for unfinished results.
        settings: see `Manifest`.
    """

    def __init__(self, folder: RemoteFolder, out: Path, drafts: Path, settings: dict[str, object]) -> None:
        self.folder, self.out, self.drafts = folder, out, drafts
        self.settings = SettingsDigests.of(settings)
        self._looked_up = _Lookups()

    def __enter__(self) -> RemoteManifest:
        """Write the private folder's mark, so that a run that may not write ends before its first picture.

        Raises:
            ValueError: nothing can be written to the folder.
        """
        try:
            self.folder.write(f"{PRIVATE}/manifest.json", json.dumps({"version": VERSION}).encode() + b"\n")
        except OSError as error:
            raise ValueError(f"cannot write to {self.folder.url}: {reason(error)}; check the bucket's name and the credentials") from error
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.drafts, ignore_errors=True)

    def known_content(self, target: Path, origin: Origin) -> str:
        """See `ResultStore.known_content`."""
        record = self._record(target)
        self._looked_up.keep(target, record)
        return recorded_content(record, origin)

    def is_done(self, target: Path, content: str) -> bool:
        """See `ResultStore.is_done`. The store's own checksum is compared; where it has none, the result is read."""
        kept = self._looked_up.taken(target)
        record = self._record(target) if kept is None else kept
        if not record or record["input"] != content or not self.settings.accept(record["settings"]):
            return False
        checksum = self.folder.md5(self._relative(target))
        if checksum is None:
            return False
        return checksum == record["md5"] if checksum and "md5" in record else self._output(target) == record["output"]

    def is_salvaged(self, target: Path) -> bool:
        """See `ResultStore.is_salvaged`."""
        return "salvaged" in self._record(target) and self.folder.has(self._relative(target))

    def rival(self, target: Path, source: Path) -> str:
        """See `ResultStore.rival`."""
        other = recorded_rival(self._record(target), source)
        return other if other and self.folder.has(self._relative(target)) else ""

    def is_unmanaged(self, target: Path) -> bool:
        """See `ResultStore.is_unmanaged`."""
        return self.folder.has(self._relative(target)) and not self.folder.has(self._path(target))

    def temporary(self, target: Path) -> Path:
        """See `ResultStore.temporary`.

        Raises:
            OSError: this machine's disk is full.
        """
        try:
            self.drafts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise with_path(error, self.drafts) from error
        return self.drafts / (self._name(target) + target.suffix[:16])

    def set_aside(self, target: Path) -> Path | None:
        """See `ResultStore.set_aside`.

        Raises:
            OSError: the store does not answer, or takes no copy.
        """
        relative, record = self._relative(target), self._record(target)
        checksum = self.folder.md5(relative)
        if not record or checksum is None or (checksum and checksum in (record.get("md5"), record.get("replaced_md5"))):
            return None
        copied = self._copy(target)
        try:
            if not copied.stat().st_size or digest_file(copied) in (record["output"], record.get("replaced")):
                return None
            kept = f"{PRIVATE}/{REPLACED}/{relative}{KEPT}"
            free = next(name for name in chain([kept], (f"{kept}-{n}" for n in count(2))) if not self.folder.has(name))
            self.folder.put(copied, free)
        finally:
            copied.unlink(missing_ok=True)
        return self.out / free

    def commit(self, temporary: Path, target: Path, content: str, seen: Seen | None = None) -> None:
        """See `ResultStore.commit`.

        Raises:
            OSError: the store does not take it; the error names the URL.
        """
        relative = self._relative(target)
        with temporary.open("rb") as file:
            md5 = file_digest(file, "md5").hexdigest()
        before = self._record(target)
        record = json.loads(record_text(relative, content, digest_file(temporary), self.settings.of_result(seen), seen, before))
        record |= {"md5": md5, "replaced_md5": before.get("md5", "")}
        try:
            self.folder.write(self._path(target), json.dumps(record, sort_keys=True, indent=1).encode() + b"\n")
            self.folder.put(temporary, relative)
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), f"{self.folder.url}/{relative}") from error

    def readable(self, text: str) -> str:
        """The message with URLs instead of the paths that stand for them."""
        return text.replace(str(self.out), self.folder.url)

    def for_worker(self, name: str) -> RemoteManifest:
        """See `ResultStore.for_worker`."""
        other = copy(self)
        other.drafts, other._looked_up = self.drafts / name, _Lookups()
        return other

    def _record(self, target: Path) -> dict[str, str]:
        """The record of `target`; empty if there is none, or if it is not usable."""
        content = self.folder.read(self._path(target))
        return (None if content is None else parsed_record(content)) or {}

    def _output(self, target: Path) -> str:
        """The hash of the result in the store."""
        copied = self._copy(target)
        try:
            return digest_file(copied)
        finally:
            copied.unlink(missing_ok=True)

    def _copy(self, target: Path) -> Path:
        """A copy of the result in the store, as a file of this machine."""
        copied = self.temporary(target).with_suffix(".check")
        self.folder.fetch(StoredObject(f"{self.folder.root}/{self._relative(target)}", -1, ""), copied)
        return copied

    def _relative(self, target: Path) -> str:
        return target.relative_to(self.out).as_posix()

    def _path(self, target: Path) -> str:
        return f"{PRIVATE}/{DONE}/{self._name(target)}.json"

    def _name(self, target: Path) -> str:
        return record_name(target.relative_to(self.out))


class _Lookups:
    """Records between `known_content` and `is_done` of the same picture, so that each is read once."""

    def __init__(self) -> None:
        self._records: dict[Path, dict[str, str]] = {}
        self._lock = threading.Lock()

    def keep(self, target: Path, record: dict[str, str]) -> None:
        with self._lock:
            self._records[target] = record

    def taken(self, target: Path) -> dict[str, str] | None:
        with self._lock:
            return self._records.pop(target, None)

    def __reduce__(self) -> tuple[type[_Lookups], tuple[()]]:
        return _Lookups, ()
