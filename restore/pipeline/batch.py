"""A run over files and folders: every picture through a step, and a report. One bad picture never stops the rest."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from restore.images import codecs
from restore.pipeline import contact_sheet
from restore.pipeline.discovery import Job, plan
from restore.pipeline.executors import EXECUTORS
from restore.pipeline.manifest import Manifest
from restore.pipeline.process import RunContext
from restore.pipeline.report import Event, Record, Report
from restore.pipeline.reporter import Reporter, ReportFile
from restore.pipeline.step import Step
from restore.writing import reason

__all__ = ["BatchOptions", "Event", "Interrupted", "Record", "Report", "run"]


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
        preview: where to write the before | after | difference contact sheet (PNG).
        report: where to write one JSON line a picture, as they come.
        workers: helper threads that decode, and as many that encode.
        max_pixels: refuse larger pictures; None is the limit of `images.read`.
        salvage: restore what is there of pictures with missing pixels, rather than refuse them.
        executor: a key of `EXECUTORS`.
    """

    overwrite: bool = False
    format: str | None = None
    preview: Path | None = None
    report: Path | None = None
    workers: int = field(default_factory=_helpers)
    max_pixels: int | None = None
    salvage: bool = False
    executor: str = "threaded"

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise ValueError(f"unknown executor {self.executor!r}: there are {', '.join(EXECUTORS)}")


class Interrupted(KeyboardInterrupt):
    """The user stopped the run; `report` says what was done until then."""

    def __init__(self, report: Report) -> None:
        super().__init__("interrupted")
        self.report = report


def run(
    step: Step[Any],
    inputs: Sequence[Path],
    out: Path,
    options: BatchOptions | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Report:
    """Restore the pictures of `inputs` (files and folders) into the folder `out`.

    A picture is done when its result is whole under `out`; a later run with the same content and settings skips it.
    What goes wrong with a picture is that picture's record in the report.

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
    step.plan(planned.jobs)
    settings = {"task": step.name, "format": options.format, **step.settings()}
    if options.salvage:  # not otherwise: what was done before this option was there stays done
        settings["salvage"] = True
    with ExitStack() as stack:
        manifest = stack.enter_context(Manifest(out, settings))
        file = stack.enter_context(ReportFile(options.report, report)) if options.report else None
        tell = on_event or (lambda event: None)
        tell(Event("plan", report.planned))
        _execute(step, planned.jobs, manifest, options, Reporter(report, tell, file))
        _conclude(step, report)
        if options.preview and not report.interrupted:
            _preview(options.preview, report, f"restore {step.name}")
    if report.interrupted:
        raise Interrupted(report)
    return report


def _execute(step: Step[Any], jobs: Sequence[Job], manifest: Manifest, options: BatchOptions, reporter: Reporter) -> None:
    """Run every job; on KeyboardInterrupt mark the report."""
    context = RunContext(
        step=step,
        manifest=manifest,
        overwrite=options.overwrite,
        format=options.format,
        max_pixels=options.max_pixels,
        salvage=options.salvage,
        settings=json.dumps(step.settings(), sort_keys=True, default=str),
        stopped=threading.Event(),
    )
    start = time.perf_counter()
    try:
        EXECUTORS[options.executor](options.workers).run(context, jobs, reporter)
    except KeyboardInterrupt:
        reporter.report.interrupted = True
    finally:
        reporter.report.wall = time.perf_counter() - start


def _conclude(step: Step[Any], report: Report) -> None:
    """Ask the step for its remarks. That it fails over them, for a damaged file that no picture asked for, ends no run."""
    try:
        report.remarks.extend(step.remarks())
        report.unwritten.extend(step.unwritten())
    except Exception as error:
        report.remarks.append(f"what else there is to say of this run cannot be printed: {reason(error)}")


def _preview(path: Path, report: Report, title: str) -> None:
    try:
        report.remarks += contact_sheet.write(path, report.records, title)
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
