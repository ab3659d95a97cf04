"""An input of another store: its pictures as jobs, each with an `Origin` that is read to a file when its turn comes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from restore.images import SUFFIXES, Look, codecs, foreign_formats, look
from restore.pipeline.discovery import Job
from restore.pipeline.manifest_records import digest
from restore.pipeline.remote import RemoteFolder, StoredObject
from restore.pipeline.sharding import Shard
from restore.writing import reason

HEAD = 4096
"""Bytes at the start of an object that tell whether it is a picture; of DICOM, also whether it has pixels."""


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """An object with its store; see `Origin`."""

    folder: RemoteFolder
    entry: StoredObject

    @property
    def url(self) -> str:
        """See `Origin.url`."""
        relative = self.folder.relative(self.entry.name)
        return f"{self.folder.url}/{relative}" if relative else self.folder.url

    @property
    def size(self) -> int:
        """See `Origin.size`."""
        return self.entry.size

    @property
    def version(self) -> str:
        """See `Origin.version`."""
        return self.entry.version

    def fetch(self, path: Path) -> None:
        """See `Origin.fetch`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.folder.fetch(self.entry, path)
        except (FileNotFoundError, PermissionError) as error:
            raise ValueError(_said(error)) from error


@dataclass(frozen=True)
class RemoteSource:
    """A folder or an object of another store.

    An object whose suffix is that of a format is taken for a picture. Of the others, the first bytes decide, as for files of this machine.

    Attributes:
        folder: the input.
        stage: the folder of this machine for the pictures that are being restored.
    """

    folder: RemoteFolder
    stage: Path

    @property
    def path(self) -> Path:
        """See `Source.path`."""
        return Path(self.folder.url)

    def jobs(self, out: Path, shard: Shard | None) -> Iterator[Job | Look]:
        """See `Source.jobs`."""
        folder = self.folder
        try:
            if not folder.is_folder():
                name = folder.url.rpartition("/")[2]
                if shard is None or shard.holds_name(name):
                    yield self._job(folder.entry(), name, out)
                return
        except OSError as error:
            yield self._refused(folder.root, _said(error), out)
            return
        for entry in folder.objects():
            if isinstance(entry, OSError):
                yield self._refused(str(entry.filename), f"cannot list the folder: {_said(entry)}", out)
                continue
            relative = folder.relative(entry.name)
            if shard is not None and not shard.holds_name(relative):
                continue
            kind = self._look(entry, relative)
            if kind.is_picture:
                yield self._job(entry, relative, out)
            else:
                yield kind

    def _job(self, entry: StoredObject, relative: str, out: Path) -> Job:
        origin = RemoteObject(self.folder, entry)
        bad = any(part in ("", ".", "..") for part in relative.split("/")) or "\0" in relative
        error = f"its key {relative!r} is no path of a file: rename the object" if bad else ""
        path = Path(relative.replace("\0", "?").strip("/") or "object")
        return Job(self._staged(origin.url, path.name), out, error, path, origin=origin)

    def _refused(self, name: str, error: str, out: Path) -> Job:
        relative = Path(self.folder.relative(name) or self.folder.url.rpartition("/")[2] or "objects")
        origin = RemoteObject(self.folder, StoredObject(name, -1, ""))
        return Job(self._staged(origin.url, relative.name), out, error, relative, origin=origin)

    def _staged(self, url: str, name: str) -> Path:
        return self.stage / digest(url.encode("utf-8", "surrogateescape"))[:24] / name

    def _look(self, entry: StoredObject, relative: str) -> Look:
        """Classify an object: by its suffix, or by its first bytes."""
        name = relative.rpartition("/")[2]
        if any(part.startswith(".") and part not in (".", "..") for part in relative.split("/")):
            return Look("other")
        suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122  # a Path for each of ten million names would take longer
        if codecs.suffix_of(name).lower() in SUFFIXES or suffix in foreign_formats.SUFFIXES:
            return Look("picture")
        path = self._staged(RemoteObject(self.folder, entry).url, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.folder.start(entry.name, HEAD))
            return look(path)
        except OSError:
            return Look("other" if suffix else "picture")
        except Exception:  # reading it will fail with a clear message, which becomes its record's error
            return Look("picture")
        finally:
            path.unlink(missing_ok=True)


def _said(error: OSError) -> str:
    """An error of a store in words, without the object's name."""
    if isinstance(error, FileNotFoundError):
        return "no such object or folder"
    if isinstance(error, PermissionError):
        return f"access denied: check the credentials ({error.strerror or error})"
    return reason(OSError(error.errno, error.strerror or str(error)))
