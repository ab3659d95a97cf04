"""Finds the pictures of a run and the path of each result. It reads only the first bytes of each file."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from restore.images import COLOUR_SUFFIXES, SUFFIXES, TARGETS, Look, codecs, error_maps, file_kind, foreign_formats, look, naming
from restore.pipeline.sharding import Shard
from restore.writing import real

PRIVATE = ".restore"
"""The folder under `out` with a run's private files."""


class Origin(Protocol):
    """An object of another store. It is read to a file of this machine when its turn comes."""

    @property
    def url(self) -> str:
        """Its address, for people."""

    @property
    def size(self) -> int:
        """In bytes; -1 if unknown."""

    @property
    def version(self) -> str:
        """Another one where the content has changed; "" if unknown."""

    def fetch(self, path: Path) -> None:
        """Read it to a file. Raises OSError."""


@dataclass(frozen=True)
class Job:
    """One picture to restore: read `source`, write `target`. A non-empty `error` says why it must fail."""

    source: Path
    target: Path
    error: str = ""
    relative: Path = Path()
    """The source's path below its input folder; only its name if the input is a file."""
    warnings: tuple[str, ...] = ()
    """Warnings about the result's name, one sentence each."""
    origin: Origin | None = None
    """Where `source` comes from, if it is no file of this machine."""
    shares_stem: bool = False
    """Whether another result of its folder has the same name but for the suffix."""
    content: str = ""
    """The hash of the source (`manifest_records.digest_file`); "" before a run has read it."""
    mark: str = ""
    """The hash of all that the pixels of the result depend on, for its side files; "" as `content` is."""

    @property
    def name(self) -> str:
        """The picture's path or URL, for people."""
        return str(self.source) if self.origin is None else self.origin.url


class Source(Protocol):
    """One input of a run."""

    @property
    def path(self) -> Path:
        """The input as a path, to compare names; that of a URL exists nowhere."""

    def jobs(self, out: Path, shard: Shard | None) -> Iterator[Job | Look]:
        """Its pictures, still without targets; for files that are not pictures, their `Look`. `shard` leaves out what it does not hold."""


@dataclass(frozen=True)
class Plan:
    """The jobs of a run, sorted by source.

    Attributes:
        ignored: number of files in the input folders that are not pictures.
        objects: number of DICOM objects without pictures, by kind ("SR", "DICOMDIR", ...).
        maps: number of files in the input folders that `--confidence` wrote beside a picture.
    """

    jobs: tuple[Job, ...]
    ignored: int
    objects: Mapping[str, int] = field(default_factory=dict)
    maps: int = 0


def plan(inputs: Sequence[Path], out: Path, format: str | None = None, *, colours: bool = False) -> Plan:
    """`plan_sources` for files and folders of this machine.

    Raises:
        ValueError: there are no inputs, the format is unknown, or `out` lies in one of the inputs.
    """
    for path in inputs:
        refuse_out_in_input(Path(path), Path(out))
    return plan_sources([LocalSource(Path(path)) for path in inputs], Path(out), format, colours=colours)


def plan_sources(
    inputs: Sequence[Source], out: Path, format: str | None = None, *, colours: bool = False, shard: Shard | None = None
) -> Plan:
    """Find the pictures of the inputs and the path of each result under `out`.

    Results keep the tree of an input folder. The result of an input file goes directly into `out`; such files are always tried. Names that
    differ only in case or in the composition of accents count as equal, so a result folder can be copied to any disk. `naming.results`
    gives the results of such pictures different names. Of an input folder, the maps of `--confidence` are left out.

    Args:
        colours: the results are in colour: `a.pgm` becomes `a.ppm`.
        shard: plan the pictures of this shard only, by `Shard.holds_name`. Memory then grows with the shard, not with the inputs.

    Raises:
        ValueError: there are no inputs, or the format is unknown.
    """
    if not inputs:
        raise ValueError("there is nothing to restore: name at least one file or folder")
    name = None if format is None else codecs.format_name(format)
    jobs: dict[tuple[str, str], Job] = {}
    ignored: Counter[str] = Counter()
    for source in inputs:
        for job in source.jobs(out, shard):
            if isinstance(job, Look):
                ignored[job.what] += 1
            else:
                jobs.setdefault((os.path.normpath(Path.cwd() / job.source), str(job.relative)), job)
    named = error_maps.beside_pictures([Path(job.name) for job in jobs.values()]) - {source.path for source in inputs}
    maps = {path for path in named if error_maps.says_so(path)}
    ordered = sorted((job for job in jobs.values() if Path(job.name) not in maps), key=lambda job: job.name)
    objects = {what: ignored[what] for what in sorted(ignored) if what}
    targets = [*_with_targets(ordered, out, name, COLOUR_SUFFIXES if colours else {}, alone=shard is not None)]
    stems = [naming.key(job.target.with_name(file_kind.stem(job.target.name))) for job in targets]
    count = Counter(stems)
    targets = [replace(job, shares_stem=count[stem] > 1) for job, stem in zip(targets, stems, strict=True)]
    return Plan(tuple(targets), ignored[""], objects, len(maps))


def refuse_out_in_input(path: Path, out: Path) -> None:
    """Raise ValueError if the folder `out` lies in an input, or holds it."""
    source, target = Path(os.path.realpath(path)), Path(os.path.realpath(out))
    if target.exists() and not target.is_dir():
        raise ValueError(f"the output {out} is a file: name a folder")
    if source.is_dir():
        if target == source:
            raise ValueError(f"the output folder is the input folder {path}: name another one")
        if target.is_relative_to(source):
            raise ValueError(f"the output folder {out} lies inside the input folder {path}: name one outside it")
    elif target == source.parent or target == Path(os.path.realpath(path.parent)):
        raise ValueError(f"the output folder {out} contains {path} and would overwrite it: name another one")


def refuse_in_input(path: Path, folders: Sequence[tuple[str, Path]]) -> None:
    """Raise ValueError if a place for other files than results, with its option, lies in an input: a later run would read them."""
    if not folders:
        return
    source = real(path)
    for option, folder in folders:
        if source.is_dir() and source in real(folder).parents:
            what = "file" if option == "--preview" else "folder"
            raise ValueError(f"{folder} lies inside the input folder {path}: choose a {what} outside the inputs for {option}")


@dataclass(frozen=True)
class LocalSource:
    """A file or a folder of this machine. Of a shard, all pictures are planned; so `shard` leaves nothing out."""

    path: Path

    def jobs(self, out: Path, shard: Shard | None) -> Iterator[Job | Look]:
        """See `Source.jobs`."""
        path, kind = self.path, _kind(self.path)
        if kind != "folder":
            yield Job(path, out, "" if kind == "file" else kind, Path(path.name))
            return
        for source, entry in _walk(path, Path(os.path.realpath(out))):
            if isinstance(entry, Look) and not entry.is_picture:
                yield entry
            else:
                relative = source.relative_to(path)
                yield Job(source, out, entry if isinstance(entry, str) else "", relative if relative.name else Path(path.name))


def _walk(root: Path, out: Path) -> Iterator[tuple[Path, Look | str]]:
    """Every file under `root` with its `Look`, or with the reason why it cannot be read.

    Links to folders are followed. A folder among its own ancestors is a loop. Hidden files and folders are not pictures.
    """
    pending: list[tuple[Path, tuple[str, ...]]] = [(root, ())]
    out_of_bounds = not Path(os.path.realpath(root)).is_relative_to(out)
    while pending:
        folder, above = pending.pop()
        real = os.path.realpath(folder)
        if real in above:
            yield folder, f"a link that leads back to its own folder {real}"
            continue
        if Path(real) == out or (out_of_bounds and Path(real).is_relative_to(out)):
            yield folder, "a link that leads into the output folder"
            continue
        try:
            paths = sorted(folder.iterdir())
        except OSError as error:
            yield folder, f"cannot list the folder: {(error.strerror or str(error)).lower()}"
            continue
        for path in paths:
            kind = "" if path.name.startswith(".") else _kind(path)
            if kind == "folder":
                pending.append((path, (*above, real)))
            else:
                yield path, _classify(path, kind)


def _classify(path: Path, kind: str) -> Look | str:
    """Classify an entry of an input folder; see `_walk`. `kind` is "" for a hidden entry."""
    if not kind:
        return Look("other")
    named = codecs.suffix_of(path.name).lower() in SUFFIXES or path.suffix.lower() in foreign_formats.SUFFIXES
    if kind != "file":
        return kind if named or (not path.suffix and "link" in kind) else Look("other")
    try:
        return look(path)
    except OSError as error:
        return (error.strerror or str(error)).lower() if named or not path.suffix else Look("other")
    except Exception:  # reading it will fail with a clear message, which becomes its record's error
        return Look("picture")


def _kind(path: Path) -> str:
    """ "file", "folder", or the reason why `path` is neither."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link that leads back to itself"
        if isinstance(error, FileNotFoundError):
            is_link = path.is_symlink()
            return f"a link that leads nowhere (to {path.readlink()})" if is_link else "no such file or folder"
        return (error.strerror or str(error)).lower()
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "not a regular file (a pipe, a socket or a device)"


def _with_targets(jobs: Sequence[Job], out: Path, format: str | None, other: Mapping[str, str], *, alone: bool) -> Iterator[Job]:
    """The jobs with their targets. Jobs that would overwrite an input get an error, and numbered ones if other jobs are planned `alone`."""
    folders = [bool(job.error) and job.source.is_dir() for job in jobs]
    files = [job for job, is_folder in zip(jobs, folders, strict=True) if not is_folder]
    suffixes = None if format is None else TARGETS[format].suffixes
    named = iter(naming.results([job.relative for job in files], suffixes, {(PRIVATE,)}, other=other))
    sources = {naming.key(Path(os.path.realpath(job.source))): job.source for job in files if not job.error and job.origin is None}
    base = Path(os.path.realpath(out))
    for job, is_folder in zip(jobs, folders, strict=True):
        if is_folder:
            yield replace(job, target=out / job.relative)
            continue
        name = next(named)
        job = replace(job, target=out / name.path, warnings=_renamed(name, files))
        victim = sources.get(naming.key(base / name.path))
        if victim is not None and not job.error:
            job = replace(job, error=f"its result {name.path} would overwrite the input {victim}: name another output folder")
        if alone and name.instead_of is not None and name.path.name != job.relative.name + (suffixes or ("",))[0] and not job.error:
            job = replace(job, error=f"another picture's result has its name {name.instead_of}, and shards cannot number: rename it")
        yield job


def _renamed(name: naming.Named, files: Sequence[Job]) -> tuple[str, ...]:
    if name.instead_of is None:
        return ()
    rival = f"that of {files[name.rival].source}" if name.rival >= 0 else "a folder of results"
    return (f"The result is named {name.path.name}, because {rival} would have the same name {name.instead_of.name}.",)
