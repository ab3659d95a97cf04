"""Finds the pictures of a run and the path of each result. It reads only the first bytes of each file."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from restore.images import COLOUR_SUFFIXES, SUFFIXES, TARGETS, Look, codecs, error_maps, foreign_formats, look, naming

PRIVATE = ".restore"
"""The folder under `out` with a run's private files."""


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
    """Find the pictures of `inputs` (files and folders) and the path of each result under `out`.

    Results keep the tree of an input folder. The result of an input file goes directly into `out`; such files are always tried. Names that
    differ only in case or in the composition of accents count as equal, so a result folder can be copied to any disk. `naming.results`
    gives the results of such pictures different names. Of an input folder, the maps of `--confidence` are left out.

    Args:
        colours: the results are in colour: `a.pgm` becomes `a.ppm`.

    Raises:
        ValueError: there are no inputs, the format is unknown, or `out` lies in one of the inputs.
    """
    if not inputs:
        raise ValueError("there is nothing to restore: name at least one file or folder")
    name = None if format is None else codecs.format_name(format)
    inputs, out = [Path(path) for path in inputs], Path(out)
    for path in inputs:
        _refuse_out_in_input(path, out)
    jobs: dict[tuple[str, str], Job] = {}
    ignored: Counter[str] = Counter()
    for path in inputs:
        for job in _jobs(path, out):
            if isinstance(job, Look):
                ignored[job.what] += 1
            else:
                jobs.setdefault((os.path.normpath(Path.cwd() / job.source), str(job.relative)), job)
    maps = error_maps.beside_pictures([job.source for job in jobs.values()]) - set(inputs)
    ordered = sorted((job for job in jobs.values() if job.source not in maps), key=lambda job: str(job.source))
    objects = {what: ignored[what] for what in sorted(ignored) if what}
    targets = _with_targets(ordered, out, name, COLOUR_SUFFIXES if colours else {})
    return Plan(tuple(targets), ignored[""], objects, len(maps))


def _refuse_out_in_input(path: Path, out: Path) -> None:
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


def _jobs(path: Path, out: Path) -> Iterator[Job | Look]:
    """The jobs of one input, still without targets; for files that are not pictures, their `Look`."""
    kind = _kind(path)
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


def _with_targets(jobs: Sequence[Job], out: Path, format: str | None, other: Mapping[str, str]) -> Iterator[Job]:
    """The jobs with their targets. Jobs that would overwrite an input get an error."""
    folders = [bool(job.error) and job.source.is_dir() for job in jobs]
    files = [job for job, is_folder in zip(jobs, folders, strict=True) if not is_folder]
    suffixes = None if format is None else TARGETS[format].suffixes
    named = iter(naming.results([job.relative for job in files], suffixes, {(PRIVATE,)}, other=other))
    sources = {naming.key(Path(os.path.realpath(job.source))): job.source for job in files if not job.error}
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
        yield job


def _renamed(name: naming.Named, files: Sequence[Job]) -> tuple[str, ...]:
    if name.instead_of is None:
        return ()
    rival = f"that of {files[name.rival].source}" if name.rival >= 0 else "a folder of results"
    return (f"The result is named {name.path.name}, because {rival} would have the same name {name.instead_of.name}.",)
