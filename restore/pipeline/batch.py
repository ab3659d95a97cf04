"""A folder of pictures through a task: decoding, network and encoding overlap, one bad picture never stops the rest.

The network runs in the calling thread, so that Ctrl-C reaches it between two calls; decoding and encoding run in a few
helper threads, and a limiter by pixels keeps memory flat whatever the folder holds.
"""

from __future__ import annotations

import gc
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from restore.images import codecs
from restore.machine import free_memory
from restore.pipeline import contact_sheet
from restore.pipeline.concurrency import MemoryLimiter, Workers
from restore.pipeline.discovery import Job, plan
from restore.pipeline.item import SMALLEST, Item, RunContext, TakesPlan, Work, WritesSideFiles
from restore.pipeline.manifest import Manifest
from restore.pipeline.report import Event, Report, Row
from restore.writing import reason

__all__ = ["BatchOptions", "Event", "Interrupted", "Report", "Row", "Work", "run"]

SAMPLES_IN_FLIGHT = 48_000_000
"""Pixels (of all frames in flight) between opening and writing; a larger picture goes alone. About 0.6 GB in gray."""
BYTES_A_SAMPLE = 100
"""That a pixel in flight may take, in colour: stored, shown, restored and on its way into a file, and as much again for the network."""
WAITING = 2
"""Encoding threads beside those that compute: they wait until the disk has what is written, and the next picture need not."""
MANY, SMALL_FILES = 8, 2 << 20
"""Pictures that are opened ahead where their files together are smaller than this many bytes."""
GRACE = 1.0
"""Seconds that an interrupted run gives to the pictures that are being written."""


def _helpers() -> int:
    """Decoding and encoding threads, of each: few, for the network wants the cores; more where there are many."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, cores // 2))


@dataclass(frozen=True)
class BatchOptions:
    """How a run goes about it; nothing here changes what a picture looks like but `format` and `salvage`.

    Attributes:
        overwrite: restore again what is done, and replace files that are not ours.
        format: png, jpeg, tiff, ...: write everything so; None keeps each picture's own.
        preview: where to write the before|after|difference contact sheet (PNG).
        report: where to write one JSON line a picture, as they come.
        workers: helper threads that decode, and as many that encode.
        max_pixels: refuse larger pictures; None is the limit of `images.read`.
        salvage: restore what is there of pictures with missing pixels, rather than refuse them.
    """

    overwrite: bool = False
    format: str | None = None
    preview: Path | None = None
    report: Path | None = None
    workers: int = field(default_factory=_helpers)
    max_pixels: int | None = None
    salvage: bool = False


class Interrupted(KeyboardInterrupt):
    """The user stopped the run; `report` says what was done until then."""

    def __init__(self, report: Report) -> None:
        super().__init__("interrupted")
        self.report = report


def run(
    work: Work,
    inputs: Sequence[Path],
    out: Path,
    options: BatchOptions | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Report:
    """Restore the pictures of `inputs` (files and folders) into the folder `out`.

    A picture is done when its result is whole under `out`; a later run with the same content and settings skips it.
    What goes wrong with a picture is that picture's row in the report.

    Args:
        on_event: called in this thread, once with the plan and then once a picture, in the order of the plan.

    Raises:
        ValueError: the inputs, `out` or the options make no sense together; nothing was written.
        Interrupted: KeyboardInterrupt came; its `report` holds what was done.
    """
    options = options or BatchOptions()
    inputs, out = [Path(path) for path in inputs], Path(out)
    planned = plan(inputs, out, options.format)
    _refuse_side_files(planned.jobs, options)
    options = replace(options, format=None if options.format is None else codecs.format_name(options.format))
    report = Report(planned=len(planned.jobs), ignored=planned.ignored, objects=dict(planned.objects))
    if isinstance(work, TakesPlan):
        work.planned(planned.jobs)
    settings = {"task": work.name, "format": options.format, **work.settings()}
    if options.salvage:  # not otherwise: what was done before this option was there stays done
        settings["salvage"] = True
    with ExitStack() as stack:
        manifest = stack.enter_context(Manifest(out, settings))
        rows = stack.enter_context(_Lines(options.report, report)) if options.report else None
        tell = on_event or (lambda event: None)
        tell(Event("plan", report.planned))
        _drive(work, planned.jobs, manifest, options, _Reporter(report, tell, rows))
        _hear_out(work, report)
        if options.preview and not report.interrupted:
            _preview(options.preview, report, f"restore {work.name}")
    if report.interrupted:
        raise Interrupted(report)
    return report


def _hear_out(work: Work, report: Report) -> None:
    """Take what the work has to tell in the end. That it fails over it, for a damaged file that no picture asked for, ends no run."""
    notes = getattr(work, "notes", None)
    try:
        report.notes.extend(notes() if notes else ())
        report.unwritten.extend(work.unwritten() if isinstance(work, WritesSideFiles) else ())
    except Exception as error:
        report.notes.append(f"what else there is to say of this run cannot be printed: {reason(error)}")


def _drive(work: Work, jobs: Sequence[Job], manifest: Manifest, options: BatchOptions, tell: _Reporter) -> None:
    """Send every job through the line; on KeyboardInterrupt finish what is nearly written and mark the report."""
    workers = max(1, options.workers)
    line = RunContext(
        step=work,
        manifest=manifest,
        limiter=MemoryLimiter(max(1, min(SAMPLES_IN_FLIGHT, free_memory() // BYTES_A_SAMPLE))),
        decoders=Workers(workers, "decode"),
        encoders=Workers(workers + WAITING, "encode"),
        stopped=threading.Event(),
        overwrite=options.overwrite,
        format=options.format,
        max_pixels=options.max_pixels,
        salvage=options.salvage,
        settings=json.dumps(work.settings(), sort_keys=True, default=str),
    )
    report = tell.report
    start = time.perf_counter()
    in_flight: deque[Item] = deque()
    coming: deque[Item] = deque()
    line = replace(line, relieve=lambda: _relieve(line.limiter, in_flight, coming))
    try:
        for item in _ahead(line, jobs, workers + 1, coming):
            in_flight.append(item)
            item.ready.result()
            item.restore()
            while in_flight and in_flight[0].finished.done():
                tell(in_flight.popleft())
        while in_flight:
            in_flight[0].finished.result()
            tell(in_flight.popleft())
    except KeyboardInterrupt:
        report.interrupted = True
        _wind_up(line, in_flight, tell)
    finally:
        report.wall = time.perf_counter() - start
        line.stopped.set()
        for item in in_flight:
            item.cancel()
        line.decoders.stop(0 if report.interrupted else None)
        line.encoders.stop(0 if report.interrupted else None)


def _wind_up(line: RunContext, in_flight: deque[Item], tell: _Reporter) -> None:
    """Give the pictures that have left the network a moment to be written; forbid the rest."""
    deadline = time.monotonic() + GRACE
    if in_flight and not in_flight[-1].handed_over:
        in_flight[-1].cancel()
    line.decoders.stop(0)
    line.encoders.stop(max(0.0, deadline - time.monotonic()))
    line.stopped.set()
    for item in in_flight:
        if item.finished.done():
            tell(item)


def _relieve(limiter: MemoryLimiter, in_flight: Sequence[Item], coming: Sequence[Item]) -> None:
    """Make room for the last of `in_flight`: let fewer pictures in from now on, those behind it go, and those before it be written."""
    limiter.limit = max(SMALLEST, limiter.limit // 2)
    for item in coming:
        item.let_go()
    for item in list(in_flight)[:-1]:
        item.finished.result()
    gc.collect()


def _ahead(line: RunContext, jobs: Sequence[Job], count: int, started: deque[Item]) -> Iterator[Item]:
    """The jobs' items in order, `count` of them started before they are asked for, more of small files: those wait in `started`.

    So a row of files that are skipped or refused at once costs no time that the network could work in.
    """
    sizes: deque[int] = deque()
    for ticket, job in enumerate(jobs):
        started.append(Item(line, ticket, job))
        started[-1].start()
        sizes.append(_bytes(job.source))
        while len(started) > (MANY if sum(sizes) < SMALL_FILES else count):
            sizes.popleft()
            yield started.popleft()
    while started:
        yield started.popleft()


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _Reporter:
    """Takes final rows into the report, the report file and the caller's ear."""

    def __init__(self, report: Report, on_event: Callable[[Event], None], file: _Lines | None) -> None:
        self.report, self.on_event, self.file = report, on_event, file

    def __call__(self, item: Item) -> None:
        if not item.finished.result():
            return
        row = item.row
        self.report.rows.append(row)
        if self.file:
            self.file.write(row.as_json())
        self.on_event(Event("row", self.report.planned, len(self.report.rows), row))


class _Lines:
    """The report's file. One that cannot be written, now or later, ends no run: the report says so in the end."""

    def __init__(self, path: Path, report: Report) -> None:
        self.path, self.report = path, report
        self._file: IO[str] | None = None

    def __enter__(self) -> _Lines:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            self._give_up(error)
        return self

    def write(self, line: str) -> None:
        """Put one line into the file at once."""
        if self._file is None:
            return
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            self._give_up(error)

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.report.unwritten.append(f"cannot write the report {self.path}: {error.strerror or error}")
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what is left in its buffer cannot be written either
                file.close()


def _preview(path: Path, report: Report, title: str) -> None:
    try:
        report.notes += contact_sheet.write(path, report.rows, title)
    except OSError as error:
        report.unwritten.append(f"cannot write the preview {path}: {error.strerror or error}")
    except KeyboardInterrupt:
        report.interrupted = True
    except Exception as error:  # whatever it is that a sheet cannot be made of: the results are there
        report.unwritten.append(f"cannot make the preview {path}: {reason(error)}")


def _refuse_side_files(jobs: Sequence[Job], options: BatchOptions) -> None:
    """The report and the preview must not fall on a picture, before or after."""
    wanted = [path for path in (options.report, options.preview) if path]
    pictures = {os.path.realpath(path) for job in jobs if wanted for path in (job.source, job.target)}
    for path in wanted:
        if path.is_dir():
            raise ValueError(f"{path} is a folder: name a file")
        if os.path.realpath(path) in pictures:
            raise ValueError(f"{path} is one of the pictures of this run: name another file")
