"""`restore generate`: pictures from seeds into folders of their classes, each whole or not at all, with a manifest of their seeds."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import partial
from itertools import islice, repeat
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from restore import weights as catalogue
from restore.images import CODECS, check_no_picture
from restore.images.metadata import ImageHeader
from restore.inference.generator import BLOCK, Generator
from restore.inference.loading import InferenceOptions
from restore.limits import check_local, nearest
from restore.parallel import in_order
from restore.pipeline.batch import Interrupted
from restore.pipeline.manifest import Manifest
from restore.pipeline.manifest_records import digest
from restore.pipeline.records import Event, Record, Report
from restore.pipeline.report_writer import Reporter, ReportFile
from restore.pipeline.result_store import kept_warning
from restore.runtime import choose
from restore.tasks import contact_grid
from restore.tasks.generation_options import GenerationOptions
from restore.writing import atomic_write, is_environment_error, reason, with_path

MANIFEST = "manifest.csv"
WRITERS = 4
"""Threads that encode and flush; they mostly wait for the disk."""


@dataclass(frozen=True)
class Planned:
    """One picture that is to be made.

    Attributes:
        path: below the output folder.
        label: its class; "" without classes.
        seed: of its noise; of the first end of an interpolation.
        end: the seed of the other end; None outside an interpolation.
        fraction: of the way to the other end.
    """

    path: Path
    label: str
    seed: int
    end: int | None = None
    fraction: float = 0.0

    @property
    def content(self) -> str:
        """A hash of what the picture is made from."""
        return digest(f"{self.seed} {self.end} {self.fraction!r} {self.label}".encode())


def plan(options: GenerationOptions, labels: Sequence[str]) -> list[Planned]:
    """The pictures of a run: seeds from `options.seed` on, or the way between two seeds."""

    def folder(label: str) -> Path:
        return Path(label) if label else Path()

    if options.interpolate is not None:
        first, last = options.interpolate
        label = options.label or (labels[first % len(labels)] if labels else "")
        fractions = np.linspace(0, 1, options.count)
        names = [f"{first}-{last}-{index:04d}.png" for index in range(options.count)]
        return [Planned(folder(label) / name, label, first, last, float(each)) for name, each in zip(names, fractions, strict=True)]
    planned = []
    for seed in range(options.seed, options.seed + options.count):
        label = options.label or (labels[seed % len(labels)] if labels else "")
        planned.append(Planned(folder(label) / f"{seed:08d}.png", label, seed))
    return planned


def generate(
    weights: str | PathLike[str],
    out: str | PathLike[str],
    options: Mapping[str, Any] | None = None,
    *,
    device: str = "auto",
    precision: str = "fp32",
    report: str | PathLike[str] | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Report:
    """Make pictures from seeds and write them below `out`, e.g. ``generate("digits", "generated/", {"count": 100})``.

    A picture is done when its whole file is there; a later run with the same weights and settings skips it.

    Args:
        weights: a name that `restore weights list` shows, a file or a run's folder.
        out: the folder; pictures of a class lie in the class's folder, as in the training set.
        options: the fields of `GenerationOptions`, all of them optional.
        device, precision: see `restore.runtime.choose`; float32 gives the same pictures on every machine, up to its rounding.
        report: a file that gets one JSON line for each picture.
        on_event: called once with the plan and then once for each picture.

    Raises:
        ValueError: the weights are of another task, the class or an option is unknown, or `out` cannot be written or is in use.
        Interrupted: the user stopped the run; its `report` has the finished pictures.
    """
    check_local(f"--out {out}", out)
    known = [entry.name for entry in fields(GenerationOptions)]
    if unknown := [key for key in options or {} if key not in known]:
        raise ValueError(f"unknown option {unknown[0]!r}: use {', '.join(known)}{nearest(unknown[0], known)}")
    chosen, folder, name = GenerationOptions(**(options or {})), Path(out), Path(weights)
    runtime = choose(device, precision)
    generator = Generator.load(name, InferenceOptions(runtime))
    generator.number(chosen.label)
    planned = plan(chosen, generator.labels)
    _refuse_side_files(folder, planned, chosen, None if report is None else Path(report))
    made = Report(planned=len(planned), work="network")
    settings: dict[str, object] = {
        "task": "generate", "weights": catalogue.fingerprint(catalogue.find(name)), "truncation": chosen.truncation,
        "precision": runtime.precision,
    }  # fmt: skip
    with ExitStack() as stack:
        manifest = stack.enter_context(Manifest(folder, settings))
        file = stack.enter_context(ReportFile(Path(report), made)) if report is not None else None
        try:
            _run(generator, planned, manifest, chosen, Reporter(made, on_event, file))
        finally:  # a run that is stopped lists what it made
            _finish(folder, planned, chosen, made, name.name)
    return made


def _refuse_side_files(out: Path, planned: Sequence[Planned], options: GenerationOptions, report: Path | None) -> None:
    """Raise ValueError if the manifest, the grid or the report would replace a file that is not theirs, or each other."""
    manifest = out / MANIFEST
    if os.path.lexists(manifest) and not _is_manifest(manifest):
        raise ValueError(f"{manifest} is a file that no run of restore made: move it, or name another --out")
    taken = {os.path.realpath(out / one.path): "one of the pictures" for one in planned} | {os.path.realpath(manifest): "the manifest"}
    for side_file in (options.grid, report):
        if side_file is None:
            continue
        place = os.path.realpath(side_file)
        if place in taken:
            raise ValueError(f"{side_file} is {taken[place]} of this run: name another file")
        taken[place] = "the grid"
    if report is not None:
        check_no_picture(report)
    if options.grid is None:
        return
    if options.grid.suffix.lower() != ".png":
        raise ValueError(f"the grid is a PNG file: name {options.grid.with_suffix('.png')}")
    if Path(os.path.realpath(options.grid)).is_relative_to(os.path.realpath(out)):
        raise ValueError(
            f"{options.grid} lies inside the folder {out}, where it would count as one of the pictures: name a grid outside it"
        )
    if os.path.lexists(options.grid) and not options.overwrite and not contact_grid.is_one(options.grid):
        raise ValueError(f"{options.grid} is a file that no run of restore made: move it, name another --grid, or give --overwrite")


def _is_manifest(path: Path) -> bool:
    """Whether a run wrote this manifest."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return tuple(next(csv.reader(file), ())) == COLUMNS
    except (OSError, ValueError, csv.Error):
        return False


def _run(generator: Generator, planned: Sequence[Planned], manifest: Manifest, options: GenerationOptions, reporter: Reporter) -> None:
    """Make what is not done yet.

    Raises:
        Interrupted: the user stopped the run.
    """
    reporter.on_event(Event("plan", len(planned)))
    start = time.perf_counter()
    write = partial(_write, manifest=manifest, bits=generator.bits, overwrite=options.overwrite)
    try:
        for record in in_order(write, _made(generator, planned, manifest, options), WRITERS):
            reporter(record)
    except KeyboardInterrupt:
        reporter.report.interrupted = True
        raise Interrupted(reporter.report) from None
    finally:
        reporter.report.wall = time.perf_counter() - start


Made = tuple[Planned, np.ndarray | None, float]
"""A picture's plan, its pixels (S, S, C), or None where it is done already, and the seconds that it took."""


def _made(generator: Generator, planned: Sequence[Planned], manifest: Manifest, options: GenerationOptions) -> Iterator[Made]:
    """The pictures in the order of the plan, made in blocks."""
    waiting = iter(planned)
    if options.interpolate is not None:
        due = {one for one in planned if options.overwrite or not manifest.is_done(manifest.out / one.path, one.content)}
        pictures = generator.between(*options.interpolate, options.count, options.label, options.truncation) if due else repeat(None)
        for one in waiting:
            start = time.perf_counter()
            pixels = next(pictures)  # a whole block of them at once
            yield one, pixels if one in due else None, time.perf_counter() - start
        return
    # the first block ends where the generator's own blocks do
    size = BLOCK - options.seed % BLOCK
    while block := list(islice(waiting, size)):
        size = BLOCK
        needed = [one.seed for one in block if options.overwrite or not manifest.is_done(manifest.out / one.path, one.content)]
        start = time.perf_counter()
        made = dict(zip(needed, generator(needed, options.label, options.truncation), strict=True)) if needed else {}
        seconds = (time.perf_counter() - start) / max(1, len(needed))
        yield from ((one, made.get(one.seed), seconds) for one in block)


def _write(made: Made, manifest: Manifest, bits: int, overwrite: bool) -> Record:
    """Write one picture; its record.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    one, pixels, seconds = made
    target = manifest.out / one.path
    stats: dict[str, object] = {"seed": one.seed, "label": one.label or None}
    if pixels is None:
        return Record(one.path, target, "skipped", stats=stats)
    start = time.perf_counter()
    try:
        if manifest.is_unmanaged(target):
            raise ValueError(f"{target} is a file that no run of restore made: move it, or name another --out")
        temporary = manifest.temporary(target)
        stored = quantised(pixels, bits)
        CODECS["png"].write(temporary, iter([stored]), ImageHeader("png", pixels.shape[:2], bits))
        kept = None if overwrite else manifest.set_aside(target)
        warnings = [] if kept is None else [kept_warning(target, str(kept))]
        manifest.commit(temporary, target, one.content)
    except Exception as error:
        if isinstance(error, OSError) and is_environment_error(error):  # it names the temporary file
            raise with_path(error, target) from error
        return Record(one.path, None, "failed", error=reason(error), stats=stats)
    times = {"network": seconds, "encode": time.perf_counter() - start}
    return Record(one.path, target, "done", times, (pixels.shape[0], pixels.shape[1]), 1, bits, "png", stats, warnings=warnings)


def quantised(pixels: np.ndarray, bits: int) -> np.ndarray:
    """(H, W, C) float32 in [0, 1] -> (H, W) or (H, W, 3), uint8 or uint16."""
    stored = np.rint(pixels * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    return np.ascontiguousarray(stored[:, :, 0] if stored.shape[2] == 1 else stored)


def _finish(out: Path, planned: Sequence[Planned], options: GenerationOptions, report: Report, name: str) -> None:
    """Write the manifest, and the grid if it is asked for. No error there undoes the pictures; it is in the report."""
    whole = {record.input for record in report.records if record.status != "failed"}
    written = [one for one in planned if one.path in whole]
    try:
        with atomic_write(out / MANIFEST) as draft:
            draft.write_text(manifest_text(out / MANIFEST, written, options, name), encoding="utf-8", newline="")
    except OSError as error:
        report.unwritten.append(f"cannot write the manifest {out / MANIFEST}: {error.strerror or error}")
    if options.grid is None or report.interrupted or not written:
        return
    try:
        contact_grid.write(options.grid, [out / one.path for one in written[: contact_grid.COLUMNS * contact_grid.ROWS]])
    except OSError as error:
        report.unwritten.append(f"cannot write the grid {options.grid}: {error.strerror or error}")


COLUMNS = ("path", "label", "seed", "end", "fraction", "truncation", "weights")


def manifest_text(path: Path, written: Sequence[Planned], options: GenerationOptions, name: str) -> str:
    """The manifest: one row a picture, those of earlier runs in the folder included; a CSV file of labels for `data.labels` too."""
    rows = {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            rows = {row["path"]: row for row in csv.DictReader(file) if row.get("path")}
    for one in written:
        values = (one.path.as_posix(), one.label, one.seed, "" if one.end is None else one.end, one.fraction, options.truncation, name)
        rows[one.path.as_posix()] = dict(zip(COLUMNS, map(str, values), strict=True))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[key] for key in sorted(rows))
    return text.getvalue()
