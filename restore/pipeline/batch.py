"""Runs a step over the pictures in files and folders and returns a report. A bad picture never stops the others."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from restore.images import check_no_picture, codecs
from restore.pipeline import contact_sheet, places, run_page, side_images
from restore.pipeline.batch_context import BatchContext
from restore.pipeline.batch_options import BatchOptions
from restore.pipeline.discovery import Job, plan_sources, refuse_in_input
from restore.pipeline.executors import EXECUTORS, Executor
from restore.pipeline.places import Places
from restore.pipeline.records import Event, Record, Report
from restore.pipeline.remote import is_url
from restore.pipeline.report_writer import Reporter, ReportFile
from restore.pipeline.sharding import Shard
from restore.pipeline.step import AnyStep
from restore.writing import reason

__all__ = ["BatchOptions", "Event", "Interrupted", "Record", "Report", "run"]


class Interrupted(KeyboardInterrupt):
    """The user stopped the run. `report` has the records of the pictures that were finished."""

    def __init__(self, report: Report) -> None:
        super().__init__("interrupted")
        self.report = report


def run(
    step: AnyStep,
    inputs: Sequence[Path | str],
    out: Path | str,
    options: BatchOptions | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Report:
    """Restore the pictures of `inputs` (files and folders, or URLs such as s3://bucket/scans) into the folder `out`.

    A picture is done when its complete result is under `out`. A later run with the same content and settings skips it. Errors of a picture
    are in its record of the report.

    Args:
        step: restores the pictures.
        inputs: files, folders and URLs.
        out: the folder or the URL for the results.
        options: see `BatchOptions`.
        on_event: called in this thread, once with the plan and then once for each picture, in the order of the plan.

    Raises:
        ValueError: the inputs, `out` and the options do not fit together; nothing was written.
        Interrupted: the user stopped the run; its `report` has the finished pictures.
    """
    options = options or BatchOptions()
    if options.executor not in EXECUTORS:
        raise ValueError(f"unknown executor {options.executor!r}: use one of {', '.join(EXECUTORS)}")
    executor = EXECUTORS[options.executor](options.workers)
    with places.opened(inputs, out, step.side_folders) as opened:
        report = _run(step, opened, options, executor, on_event or (lambda event: None))
    if report.interrupted:
        raise Interrupted(report)
    return report


def _run(step: AnyStep, where: Places, options: BatchOptions, executor: Executor, notify: Callable[[Event], None]) -> Report:
    early = options.shard if where.remote_inputs else None
    planned = plan_sources(where.inputs, where.out, options.format, colours=step.colours, shard=early)
    _refuse_side_files(planned.jobs, where, options)
    _refuse_drawings(where, options)
    side_images.refuse_collisions(planned.jobs, step.side_images)
    options = replace(options, format=None if options.format is None else codecs.format_name(options.format))
    jobs = planned.jobs if options.shard is None or early else _part(planned.jobs, where.out, options.shard)
    report = Report(planned=len(jobs), ignored=planned.ignored, objects=dict(planned.objects), maps=planned.maps, work=step.work)
    if step.learns_from_inputs and jobs:
        notify(Event("learn", report.planned))
    step.plan(planned.jobs)
    settings = {"task": step.name, "format": options.format, **step.settings()}
    if options.salvage:
        settings["salvage"] = True  # affects the results of pictures with missing pixels only
    with ExitStack() as stack:
        manifest = stack.enter_context(where.results(settings, options.shard))
        file = stack.enter_context(ReportFile(options.report, report)) if options.report else None
        notify(Event("plan", report.planned))
        context = BatchContext(
            step, manifest, options, json.dumps(step.settings(), sort_keys=True, default=str), where.stage, _real(planned.jobs)
        )
        _execute(executor, context, jobs, Reporter(report, notify, file))
        _collect_remarks(step, report)
        if shard := options.shard:
            total = "" if early else f" of {len(planned.jobs)}"
            report.remarks.append(f"shard {shard.index} of {shard.count}: {len(jobs)}{total} pictures")
        if (sheet := options.preview) and not report.interrupted:
            _side_output("preview", sheet, report, lambda: contact_sheet.write(sheet, report.records, f"restore {step.name}"))
        if (page := options.html) and not report.interrupted:
            _side_output("page", page, report, lambda: run_page.write(page, report, step.name, step.settings()))
    return report


def _real(jobs: Sequence[Job]) -> frozenset[str]:
    """The real paths of the pictures of this machine; each folder is resolved once."""
    local = [job.source for job in jobs if job.origin is None]
    folders = {folder: os.path.realpath(folder) for folder in {path.parent for path in local}}
    return frozenset(str(Path(folders[path.parent], path.name)) for path in local)


def _part(jobs: Sequence[Job], out: Path, shard: Shard) -> tuple[Job, ...]:
    """The jobs of one shard. All are planned first, so that every shard gives the results the same names."""
    return tuple(job for job in jobs if shard.holds(job.target.relative_to(out)))


def _execute(executor: Executor, context: BatchContext, jobs: Sequence[Job], reporter: Reporter) -> None:
    """Run every job. A KeyboardInterrupt sets `interrupted` in the report."""
    start = time.perf_counter()
    try:
        executor.run(context, jobs, reporter)
    except KeyboardInterrupt:
        reporter.report.interrupted = True
    finally:
        reporter.report.wall = time.perf_counter() - start


def _collect_remarks(step: AnyStep, report: Report) -> None:
    """Add the step's remarks to the report. An error there, such as a damaged mask that no picture uses, does not stop the run."""
    try:
        report.remarks.extend(step.remarks())
        report.unwritten.extend(step.unwritten())
    except Exception as error:
        report.remarks.append(f"the remarks of this run are not available: {reason(error)}")


def _side_output(what: str, path: Path, report: Report, write: Callable[[], list[str]]) -> None:
    """Write a file that shows the run, and take its remarks into the report. The results are written, so no error here fails the run."""
    try:
        report.remarks += write()
    except OSError as error:
        report.unwritten.append(f"cannot write the {what} {path}: {error.strerror or error}")
    except KeyboardInterrupt:
        report.interrupted = True
    except Exception as error:
        report.unwritten.append(f"cannot draw the {what} {path}: {reason(error)}")


def _refuse_drawings(where: Places, options: BatchOptions) -> None:
    """Raise ValueError if a drawing needs pictures that are not on this machine."""
    for name, path in (("--preview", options.preview), ("--html", options.html)):
        if path and where.stage is not None:
            raise ValueError(f"{name} reads inputs and results of this machine, not URLs: leave it out, or use folders")


def _refuse_side_files(jobs: Sequence[Job], where: Places, options: BatchOptions) -> None:
    """Raise ValueError if the report, the preview or the page would overwrite a picture, or each other, or become an input."""
    side_files = [path for path in (options.report, options.preview, options.html) if path]
    for path in side_files:
        if is_url(path) or re.match(r"[a-z0-9+]{2,}:/", str(path)):  # a Path has one slash only
            raise ValueError(f"{path} is a URL: name a file of this machine for the report")
    pictures = {os.path.realpath(path) for job in jobs if side_files for path in (job.source, job.target)}
    for path in side_files:
        if os.path.realpath(path) in pictures:
            raise ValueError(f"{path} is one of the pictures of this run: name another file")
        if path != options.preview:
            check_no_picture(path)
    sheet = options.preview
    for source in where.inputs if sheet else ():
        refuse_in_input(source.path, (("--preview", sheet),) if sheet else ())
    if sheet and sheet.is_dir():
        raise ValueError(f"{sheet} is a folder: name a file")
    if sheet and sheet.is_file() and not contact_sheet.is_one(sheet):
        raise ValueError(f"{sheet} is a file that no preview of restore made: move it, or name another --preview")
    if len({os.path.realpath(path) for path in side_files}) < len(side_files):
        raise ValueError(f"{side_files[-1]} is named twice: the report, the preview and the page need a name each")
