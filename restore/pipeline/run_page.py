"""The web page of a run: inputs against results, what the report says about each picture, and what failed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from restore import html_report
from restore.html_report import Cell, Chart, Column, Figure, Layer, Listing, Page, Row, Table
from restore.pipeline.records import Record, Report, number

FEWEST_FIGURES, MOST_FIGURES = 8, 48
"""Limits for the number of pictures that are shown; between them, it is one picture in eight, which costs a few percent of a run's time."""
SETTING = 3
"""Previews of at most 640 pixels: larger ones take longer to encode."""


def write(path: Path, report: Report, task: str, settings: Mapping[str, object]) -> list[str]:
    """Write the page atomically. Inputs and results are read from their files, one by one.

    Args:
        path: the page's file.
        report: of the finished run.
        task: name of the step.
        settings: see `Step.settings`.

    Returns:
        Remarks for the user: pictures that could not be shown.

    Raises:
        OSError: it cannot be written.
    """
    return html_report.write(path, page_of(report, task, settings))


def page_of(report: Report, task: str, settings: Mapping[str, object]) -> Page:
    """The page's content."""
    names = _names(report.records)
    written = [record for record in report.records if record.output is not None]
    shown = {record.input: place for place, record in enumerate(written)}
    failed = [(names[record.input], record.error) for record in report.records if record.status == "failed"]
    figures = [_figure(names[record.input], record) for record in written]
    return Page(
        title=f"restore {task}", summary=_summary(report),
        facts=[("task", task), *((name, json.dumps(value, default=str)) for name, value in settings.items())], facts_heading="Settings",
        charts=_charts(written, report.work), figures=figures, order="in the order of the run",
        most_figures=max(FEWEST_FIGURES, min(MOST_FIGURES, len(written) // 8)), evenly=True, setting=SETTING,
        pictures=_pictures(written, names, shown, report.work),
        listings=[Listing("Failed", failed), Listing("Remarks", [("", remark) for remark in report.remarks])],
    )  # fmt: skip


def _names(records: Sequence[Record]) -> dict[Path, str]:
    """The paths below the folder that all inputs have in common."""
    try:
        common = os.path.commonpath([record.input.parent for record in records]) if records else ""
    except ValueError:  # absolute and relative paths, or two drives
        return {record.input: str(record.input) for record in records}
    return {record.input: os.path.relpath(record.input, common) if common else str(record.input) for record in records}


def _summary(report: Report) -> Table:
    rows = [
        ("restored", str(report.done)), ("skipped", str(report.skipped)), ("failed", str(report.failed)), ("warnings", str(report.warned)),
        ("time", f"{report.wall:.1f} s"), ("pictures per second", f"{report.images_per_second:.3g}"),
        (f"the {report.work} was busy", f"{report.busy_fraction:.0%}"),
    ]  # fmt: skip
    return Table("Run", (Column("what"), Column("value")), [Row((Cell(name), Cell(value))) for name, value in rows])


def _charts(records: Sequence[Record], work: str) -> list[Chart]:
    noise = [value for record in records for value in _numbers(_stat(record, "noise_level"))]
    seconds = [record.seconds[work] for record in records if record.status == "done"]
    return [Chart("noise level", "sigma of 255", {"noise": noise}), Chart(f"{work} time", "seconds", {"seconds": seconds})]


def _pictures(records: Sequence[Record], names: Mapping[Path, str], shown: Mapping[Path, int], work: str) -> Table:
    heads = [
        Column("picture"), Column("size", "pixels"), Column("noise level", "sigma of 255"), Column("weights", numeric=False),
        Column("decode", "seconds"), Column(work, "seconds"), Column("encode", "seconds"), Column("warnings", numeric=False),
    ]  # fmt: skip
    rows = []
    for record in records:
        height, width = record.size or (0, 0)
        noise = _numbers(_stat(record, "noise_level"))
        cells = [
            Cell(names[record.input]), Cell(f"{width} x {height}" if record.size else "-", height * width),
            Cell(_words(_stat(record, "noise_level")), max(noise) if noise else None), Cell(_words(_stat(record, "weights"))),
            *(_seconds(record, stage) for stage in ("decode", work, "encode")),
            Cell(" ".join(record.warnings), marked=True),
        ]  # fmt: skip
        rows.append(Row(tuple(cells), shown[record.input]))
    return Table("Restored pictures", tuple(heads), rows)


def _figure(name: str, record: Record) -> Figure:
    assert record.output is not None
    stats = [f"{key} {number(value)}" for key, value in record.stats.items() if value is not None]
    time = "already done" if record.status == "skipped" else f"{record.work} {record.seconds[record.work]:.2f} s"
    lines = (*stats, time, *(f"warning: {text}" for text in record.warnings))
    return Figure(name, lines, (Layer("input", record.input), Layer("result", record.output)), 0)


def _seconds(record: Record, stage: str) -> Cell:
    return Cell("already done") if record.status == "skipped" else Cell(f"{record.seconds[stage]:.2f}", record.seconds[stage])


def _stat(record: Record, key: str) -> object:
    """A stat of the task; of the first step that has it, if there are several steps."""
    if key in record.stats:
        return record.stats[key]
    steps = [value for value in record.stats.values() if isinstance(value, dict)]
    return next((step[key] for step in steps if key in step), None)


def _numbers(value: object) -> list[float]:
    """The numbers of a stat that is a number, or a list or dictionary of them."""
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [float(value)]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [one for each in inner for one in _numbers(each)]


def _words(value: object) -> str:
    return "-" if value is None else number(value)
