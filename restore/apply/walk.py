"""Which files a run reads and where each result goes: nothing is opened here but a header of unnamed files."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from restore.images import FORMATS, SUFFIXES, by_name, is_dicom

PRIVATE = ".restore"
"""The folder under `out` that a run keeps for itself."""

FORMAT_SUFFIXES = {name: row.suffixes for name, row in FORMATS.items() if name != "dicom"}
"""The formats that a picture can be converted to, and the suffixes that tell them; the first one is given."""
_ALIASES = {"jpg": "jpeg", "tif": "tiff", "ppm": "pgm", "pnm": "pgm"}


@dataclass(frozen=True)
class Job:
    """One picture to restore: read `source`, write `target`. A non-empty `error` says why it cannot be tried."""

    source: Path
    target: Path
    error: str = ""
    relative: Path = Path()
    """The source's place below the input that it was found in; its name alone where it was named itself."""


@dataclass(frozen=True)
class Plan:
    """The jobs of a run, sorted by source, and how many files of the walked folders are no pictures."""

    jobs: tuple[Job, ...]
    ignored: int


def plan(inputs: Sequence[Path], out: Path, format: str | None = None) -> Plan:
    """Walk `inputs` (files and folders) and say where under `out` each picture's result goes.

    A folder's tree is mirrored; a file named on its own goes straight into `out`. Names that differ only in case or
    in the composition of accents count as the same, so a result folder can be copied to any disk: the first source
    in sorted order keeps the name, the others carry an error.

    Raises:
        ValueError: nothing to read, an unknown format, or `out` lies in one of the inputs.
    """
    if not inputs:
        raise ValueError("nothing to restore: name at least one file or folder")
    name = format_name(format)
    inputs, out = [Path(path) for path in inputs], Path(out)
    for path in inputs:
        _refuse_out_in_input(path, out)
    jobs: dict[tuple[str, str], Job] = {}
    ignored = 0
    for path in inputs:
        for job in _jobs(path, out, name):
            if job is None:
                ignored += 1
            else:
                jobs.setdefault((os.path.normpath(Path.cwd() / job.source), str(job.target)), job)
    ordered = sorted(jobs.values(), key=lambda job: str(job.source))
    return Plan(tuple(_without_collisions(ordered, out)), ignored)


def format_name(format: str | None) -> str | None:
    """The name in FORMAT_SUFFIXES of what the user calls `format` (png, JPG, .tif); ValueError where there is none."""
    if format is None:
        return None
    name = _ALIASES.get(format.lower().lstrip("."), format.lower().lstrip("."))
    if name not in FORMAT_SUFFIXES:
        raise ValueError(f"unknown format {format!r}: use one of {', '.join(FORMAT_SUFFIXES)}")
    return name


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
        raise ValueError(f"the output folder {out} is where {path} lies and would overwrite it: name another one")


def _jobs(path: Path, out: Path, format: str | None) -> Iterator[Job | None]:
    """The jobs of one input; None for each file that is no picture."""
    kind = _kind(path)
    if kind != "folder":
        yield Job(path, out / _named(path.name, format), "" if kind == "file" else kind, Path(path.name))
        return
    for source, error in _walk(path, Path(os.path.realpath(out))):
        if error is None:
            yield None
        else:
            relative = source.relative_to(path)
            yield Job(source, out / relative.parent / _named(relative.name or path.name, format), error, relative)


def _walk(root: Path, out: Path) -> Iterator[tuple[Path, str | None]]:
    """Every file under `root` with "" (try it), a reason (it cannot be read) or None (it is no picture).

    Links to folders are followed, so a loop is found by meeting a folder among its own ancestors. Hidden files and
    folders are no pictures.
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
                yield path, _verdict(path, kind)


def _verdict(path: Path, kind: str) -> str | None:
    """What to do with an entry of a walked folder: see `_walk`. `kind` is "" for a hidden entry."""
    named = by_name(path)
    if not kind or named is False:
        return None
    if named:
        return "" if kind == "file" else kind
    if kind != "file":
        return kind if "link" in kind else None
    try:
        return "" if is_dicom(path) else None
    except OSError as error:
        return (error.strerror or str(error)).lower()


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


def _named(name: str, format: str | None) -> str:
    """`name` with the suffix of `format`; a suffix that is no picture's (1.2.840, or none) stays and is added to."""
    if format is None:
        return name
    path, wanted = Path(name), FORMAT_SUFFIXES[format]
    if path.suffix.lower() in wanted:
        return name
    return (path.stem if path.suffix.lower() in SUFFIXES else name) + wanted[0]


def _without_collisions(jobs: Sequence[Job], out: Path) -> Iterator[Job]:
    """The jobs, with an error on each whose target an earlier one holds, lies inside of, or is a folder of."""
    sources = {_key(Path(os.path.realpath(job.source))): job.source for job in jobs if not job.error}
    held: dict[tuple[str, ...], str] = {(PRIVATE,): "the run itself"}
    folders: dict[tuple[str, ...], str] = {}
    base = Path(os.path.realpath(out))
    for job in jobs:
        if job.error:
            yield job
            continue
        relative = job.target.relative_to(out)
        key = _key(relative)
        above = [key[:length] for length in range(1, len(key))]
        rival = next((held[part] for part in (key, *above) if part in held), folders.get(key))
        if rival:
            yield replace(job, error=f"its result {relative} would take the place of that of {rival}")
        elif (victim := sources.get(_key(base / relative))) is not None:
            yield replace(job, error=f"its result {relative} would overwrite the input {victim}")
        else:
            held[key] = str(job.source)
            folders.update((part, str(job.source)) for part in above if part not in folders)
            yield job


def _key(path: Path) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in path.parts)
