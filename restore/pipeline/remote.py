"""Folders of other stores, such as s3://bucket/xray: what is in them, reading an object to a file, and putting a file as an object.

fsspec knows the stores and their credentials. An object appears whole or not at all in those that `WHOLE_PUTS` names; elsewhere it is
put under a temporary name and renamed, which is as atomic as the rename of that store.
"""

from __future__ import annotations

import base64
import errno
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import fsspec
from fsspec import AbstractFileSystem

from restore.pipeline.retrying import retried
from restore.writing import reason

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "http": "http", "https": "http"}
"""Protocol -> the extra of this suite that installs its package."""
WHOLE_PUTS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})
"""Protocols of stores in which a put is atomic."""
READ_ONLY = frozenset({"http", "https"})
IDENTITIES = ("ETag", "etag", "generation", "md5Hash", "LastModified", "mtime", "created")
"""What stores call that which changes with an object's content; the first one is used."""
PAGE = 1000
"""Objects of one listing request, as many as S3 gives."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One entry of a listing.

    Attributes:
        name: the store's whole name.
        size: in bytes; -1 if the store does not say.
        version: another one where the content has changed; "" if the store does not say.
    """

    name: str
    size: int
    version: str


def is_url(path: str | Path) -> bool:
    """Whether a text names a place of another store."""
    return bool(URL.match(str(path)))


@dataclass(frozen=True)
class RemoteFolder:
    """A folder, or one object, of another store.

    Attributes:
        url: as the user wrote it, without a slash at its end.
        root: the store's name for it.
        fs: the store.
        index: whether the URL ended with a slash: for HTTP, a page that lists files.
    """

    url: str
    root: str
    fs: AbstractFileSystem
    index: bool

    @classmethod
    def at(cls, url: str) -> RemoteFolder:
        """The folder at a URL. Nothing is asked of the store yet.

        Raises:
            ValueError: no store has such URLs, or its package is missing.
        """
        protocol = url.partition("://")[0].lower()
        try:
            fs, root = fsspec.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            extra = EXTRAS.get(protocol)
            mend = f"pip install 'restore-suite[{extra}]'" if extra else reason(error)
            raise ValueError(f"{url} needs a package for {protocol}: {mend}") from error
        except ValueError as error:
            raise ValueError(f"{url} names no store ({reason(error)}): use s3://, gs://, https:// or a folder") from error
        return cls(url.rstrip("/"), str(root).rstrip("/"), fs, url.endswith("/"))

    @property
    def protocol(self) -> str:
        """The URL's protocol, in lower case."""
        return self.url.partition("://")[0].lower()

    def relative(self, name: str) -> str:
        """A store's name below this folder."""
        return name.removeprefix(self.root).lstrip("/")

    def is_folder(self) -> bool:
        """Whether it is a folder.

        Raises:
            OSError: there is nothing, or the store does not answer.
        """
        if self.protocol in READ_ONLY:
            return self.index
        return bool(retried(self.fs.info, self.root)["type"] == "directory")

    def entry(self, name: str | None = None) -> StoredObject:
        """The entry of one object; of the URL itself by default.

        Raises:
            OSError: it does not exist, or the store does not answer.
        """
        return _found(retried(self.fs.info, name or self.root))

    def objects(self) -> Iterator[StoredObject | OSError]:
        """Everything under this folder. A folder that cannot be listed gives its error, whose `filename` is the folder's name."""
        return LISTINGS.get(self.protocol, _walked)(self)

    def start(self, name: str, count: int) -> bytes:
        """The first `count` bytes of an object."""
        return bytes(retried(self.fs.cat_file, name, start=0, end=count))

    def fetch(self, entry: StoredObject, path: Path) -> None:
        """Read an object to a file.

        Raises:
            OSError: it does not exist, the store does not answer, or fewer bytes came than the listing said.
        """

        def get() -> None:
            self.fs.get_file(entry.name, str(path))
            if entry.size >= 0 and (size := path.stat().st_size) != entry.size:
                raise OSError(errno.EIO, f"{size:,} bytes came instead of {entry.size:,}")

        retried(get)

    def read(self, relative: str) -> bytes | None:
        """The content of an object below this folder; None if it does not exist."""
        try:
            return bytes(retried(self.fs.cat_file, self._name(relative)))
        except FileNotFoundError:
            return None

    def has(self, relative: str) -> bool:
        """Whether there is an object with this name below this folder."""
        return self.md5(relative) is not None

    def md5(self, relative: str) -> str | None:
        """The MD5 of an object's content in hexadecimal; "" if the store does not say it, None if the object does not exist."""
        try:
            info = retried(self.fs.info, self._name(relative))
        except FileNotFoundError:
            return None
        return None if info.get("type") == "directory" else _md5(info)

    def put(self, path: Path, relative: str) -> None:
        """Write a file as an object below this folder, whole or not at all."""
        name = self._name(relative)
        if self.protocol in WHOLE_PUTS:
            retried(self.fs.put_file, str(path), name)
            return
        draft = self._name(f".restore/tmp/{path.name}")
        for folder in (draft, name):
            retried(self.fs.makedirs, folder.rpartition("/")[0], exist_ok=True)
        retried(self.fs.put_file, str(path), draft)
        retried(self.fs.mv, draft, name)

    def write(self, relative: str, content: bytes) -> None:
        """Write a small object whose reader tells a broken one."""
        name = self._name(relative)
        if self.protocol not in WHOLE_PUTS:
            retried(self.fs.makedirs, name.rpartition("/")[0], exist_ok=True)
        retried(self.fs.pipe_file, name, content)

    def _name(self, relative: str) -> str:
        return f"{self.root}/{relative}"


def _found(info: Mapping[str, object]) -> StoredObject:
    size = info.get("size")
    version = next((f"{key} {info[key]}" for key in IDENTITIES if info.get(key)), "")
    return StoredObject(str(info["name"]), size if isinstance(size, int) else -1, version)


def _md5(info: Mapping[str, object]) -> str:
    """The content's MD5, where the store says it: an ETag of S3 is one if the object came in one part and is not encrypted by a key."""
    tag = str(info.get("ETag") or "").strip('"').lower()
    if re.fullmatch("[0-9a-f]{32}", tag):
        return tag
    return base64.b64decode(str(info.get("md5Hash") or "")).hex()  # Google Cloud Storage


def _walked(folder: RemoteFolder) -> Iterator[StoredObject | OSError]:
    """Folder by folder. The memory is that of the largest folder."""
    pending = [folder.root]
    while pending:
        here = pending.pop()
        try:
            entries = retried(folder.fs.ls, here, detail=True)
        except OSError as error:
            error.filename = here
            yield error
            continue
        for info in sorted(entries, key=lambda entry: str(entry["name"]), reverse=True):
            name = str(info["name"]).rstrip("/")
            if name == here.rstrip("/"):  # stores without folders keep an empty object for one
                continue
            if info["type"] == "directory":
                pending.append(name + "/" * (folder.protocol in READ_ONLY))
            else:
                yield _found(info)


def _paged(folder: RemoteFolder) -> Iterator[StoredObject | OSError]:
    """S3, page by page: the memory does not depend on the number of objects."""
    bucket, _, prefix = folder.root.partition("/")
    request = {"Bucket": bucket, "Prefix": prefix + "/" * bool(prefix), "MaxKeys": PAGE}
    while True:
        try:
            page = retried(folder.fs.call_s3, "list_objects_v2", **request)
        except OSError as error:
            error.filename = folder.root
            yield error
            return
        for entry in page.get("Contents", ()):
            if not entry["Key"].endswith("/"):
                yield StoredObject(f"{bucket}/{entry['Key']}", int(entry["Size"]), f"ETag {entry['ETag']}")
        if not page.get("IsTruncated"):
            return
        request["ContinuationToken"] = page["NextContinuationToken"]


LISTINGS: Mapping[str, Callable[[RemoteFolder], Iterator[StoredObject | OSError]]] = {"s3": _paged, "s3a": _paged}
"""Protocol -> how its folders are listed, where it is not folder by folder."""
