"""Where a run reads and where it writes: folders of this machine and URLs. Nothing else tells them apart."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from restore.pipeline.discovery import LocalSource, Source, refuse_in_input, refuse_out_in_input
from restore.pipeline.manifest import Manifest
from restore.pipeline.remote import READ_ONLY, RemoteFolder, is_url
from restore.pipeline.remote_manifest import RemoteManifest
from restore.pipeline.remote_source import RemoteSource
from restore.pipeline.result_store import ResultStore
from restore.pipeline.sharding import Shard


@dataclass(frozen=True)
class Places:
    """The inputs and the output of a run.

    Attributes:
        inputs: in the user's order.
        out: the output folder; for a URL, a path that stands for it.
        stage: folder of this machine for copies of objects; None if all places are folders of this machine.
        remote_inputs: whether an input is a URL.
        remote_out: the output's folder in another store, or None.
    """

    inputs: tuple[Source, ...]
    out: Path
    stage: Path | None
    remote_inputs: bool
    remote_out: RemoteFolder | None

    def results(self, settings: dict[str, object], shard: Shard | None) -> ResultStore:
        """The store of the results, for `with`."""
        if self.remote_out is None or self.stage is None:
            return Manifest(self.out, settings, shard)
        return RemoteManifest(self.remote_out, self.out, self.stage / "drafts", settings)


@contextmanager
def opened(inputs: Sequence[Path | str], out: Path | str, side_folders: Sequence[tuple[str, Path]] = ()) -> Iterator[Places]:
    """Check that the places fit together and yield them. Copies of objects are removed afterwards.

    Args:
        inputs: files, folders and URLs.
        out: the output folder or its URL.
        side_folders: where the step writes other files than results: each option with the folder that it names.

    Raises:
        ValueError: an input contains the output or the other way round, a folder of other files lies in an input, a store is unknown or
            read-only, or its package is missing.
    """
    folders = [_local(path) for path in inputs]
    remote = {index: RemoteFolder.at(str(path)) for index, path in enumerate(inputs) if folders[index] is None}
    local_out = _local(out)
    remote_out = _writable(RemoteFolder.at(str(out))) if local_out is None else None
    for index, path in enumerate(folders):
        if path is not None and local_out is not None:
            refuse_out_in_input(path, local_out)
        if path is not None:
            refuse_in_input(path, side_folders)
        if path is None and remote_out is not None:
            _refuse_overlap(remote[index], remote_out)
    stage = Path(tempfile.mkdtemp(prefix="restore-")) if remote or remote_out is not None else None
    try:
        out_path = local_out if local_out is not None else (stage or Path()) / "out"
        sources = tuple(
            LocalSource(path) if path is not None else RemoteSource(remote[index], stage or Path()) for index, path in enumerate(folders)
        )
        yield Places(sources, out_path, stage, bool(remote), remote_out)
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)


def _local(path: Path | str) -> Path | None:
    """A folder of this machine, also of a file:// URL; None for other URLs."""
    for scheme in ("file://", "local://"):
        if str(path).startswith(scheme):
            return Path(str(path)[len(scheme) :])
    return None if is_url(path) else Path(path)


def _writable(folder: RemoteFolder) -> RemoteFolder:
    if folder.protocol in READ_ONLY:
        raise ValueError(f"{folder.url} can only be read: name a folder or a bucket such as s3://bucket/clean")
    return folder


def _refuse_overlap(source: RemoteFolder, out: RemoteFolder) -> None:
    """Raise ValueError if one of two places of a store lies in the other."""
    if source.fs != out.fs:
        return
    if f"{source.root}/".startswith(f"{out.root}/"):
        raise ValueError(f"the output {out.url} contains the input {source.url}: name one outside it")
    if f"{out.root}/".startswith(f"{source.root}/"):
        raise ValueError(f"the output {out.url} lies inside the input {source.url}: name one outside it")
