"""`restore evaluate`: how near results come to what they should be."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import SOME_FAILED, leave_interrupted, say, stoppable
from .json_lines import JsonLines, discard
from .text import printable

if TYPE_CHECKING:
    from restore.metrics.report import Problem, Row


def evaluate(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Folder of restored pictures, or one picture.")],
    reference: Annotated[
        Path, typer.Argument(metavar="REFERENCE", help="Folder of what they should be, or one picture.")
    ],
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table as a web page.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a picture on standard output.")] = False,
) -> None:
    """Score results against references of the same names: PSNR, SSIM and LPIPS of each picture, and their means.

    Exit code 1 where a picture has no partner or cannot be compared, or the report cannot be written.

    restore evaluate clean/ reference/ --report report.html
    """
    from restore.metrics import METRICS
    from restore.metrics import report as comparing

    lines = JsonLines()
    with stoppable() as stopped_by:
        try:
            found = comparing.compare(results, reference, on_event=(lambda event: _tell_json(lines, event)) if json else None)
        except KeyboardInterrupt:
            say("restore: interrupted")
            leave_interrupted(stopped_by)
    unwritten = []
    if json:
        summary = {"compared": len(found.rows), "identical": found.identical, "mean": _plain(found.means()), "left_out": found.left_out}
        lines.write({"summary": summary})
    elif found.rows:
        texts = [
            [row.name, *(comparing.text(row.scores.get(name), METRICS[name]) for name in found.metrics)]
            for row in found.rows
        ]
        means = found.means()
        mean = [
            found.mean_of,
            *(comparing.text(means.get(name), METRICS[name]) for name in found.metrics),
        ]
        try:
            _table([["picture", *found.metrics], *texts, mean])
        except OSError as error:
            unwritten.append(f"cannot write the table to standard output: {(error.strerror or str(error)).lower()}")
            discard(sys.stdout)
    for name, why in found.left_out.items():
        say(f"{name} is left out: {why}")
    for problem in found.problems:
        say(f"not compared: {printable(problem.name)}: {problem.reason}")
    unwritten += [lines.problem] if lines.problem else []
    if report is not None:
        try:
            comparing.write_html(report, found, f"{results} against {reference}")
            say(f"report: {report}")
        except OSError as error:
            unwritten.append(f"cannot write the report {report}: {(error.strerror or str(error)).lower()}")
    for text in unwritten:
        say(text)
    if found.problems or unwritten:
        raise typer.Exit(SOME_FAILED)


def _table(lines: list[list[str]]) -> None:
    lines = [[printable(line[0]), *line[1:]] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)),
        ]
        typer.echo("  ".join(cells))


def _tell_json(lines: JsonLines, event: Row | Problem) -> None:
    from restore.metrics.report import Problem

    if isinstance(event, Problem):
        lines.write({"picture": event.name, "error": event.reason})
    else:
        lines.write({"picture": event.name, "scores": _plain(event.scores)})


def _plain(scores: dict[str, float]) -> dict[str, float | None]:
    """JSON knows no infinity: the PSNR of identical pictures is null."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}
