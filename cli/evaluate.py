"""`restore evaluate`: scores results against references."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import SOME_FAILED, leave_interrupted, say, stoppable
from .json_lines import JsonLines, discard
from .printable import printable

if TYPE_CHECKING:
    from restore.metrics.comparison import Comparison, PictureScores, Problem


def evaluate(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Folder of restored pictures, or one picture.")],
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="Folder of reference pictures, or one picture.")],
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table as a web page.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each picture.")] = False,
) -> None:
    """Score results against references of the same names by PSNR, SSIM and LPIPS.

    Exit code 1: a picture has no partner or cannot be compared, or the report cannot be written.

    restore evaluate clean/ reference/ --report report.html
    """
    from restore.metrics import comparison as comparing

    lines = JsonLines()
    with stoppable() as stopped_by:
        try:
            comparison = comparing.compare(results, reference, on_event=(lambda event: _write_json(lines, event)) if json else None)
        except KeyboardInterrupt:
            say("restore: interrupted")
            leave_interrupted(stopped_by)
    unwritten: list[str] = []
    if json:
        lines.write({"summary": _summary(comparison)})
    elif comparison.pictures:
        unwritten += _print_table(comparison)
    for name, why in comparison.left_out.items():
        say(f"{name} is left out: {why}")
    for problem in comparison.problems:
        say(f"not compared: {printable(problem.name)}: {problem.reason}")
    unwritten += [lines.problem] if lines.problem else []
    if report is not None:
        try:
            comparing.write_html(report, comparison, f"{results} against {reference}")
            say(f"report: {report}")
        except OSError as error:
            unwritten.append(f"cannot write the report {report}: {(error.strerror or str(error)).lower()}")
    for text in unwritten:
        say(text)
    if comparison.problems or unwritten:
        raise typer.Exit(SOME_FAILED)


def _summary(comparison: Comparison) -> dict[str, object]:
    """The means as JSON-able values."""
    return {
        "compared": len(comparison.pictures), "identical": comparison.identical, "mean": _plain(comparison.means()),
        "left_out": comparison.left_out,
    }  # fmt: skip


def _print_table(comparison: Comparison) -> list[str]:
    """Print a line for each picture and the means; return what could not be written."""
    from restore.metrics import METRICS
    from restore.metrics import comparison as comparing

    def cells(scores: Mapping[str, float]) -> list[str]:
        return [comparing.text(scores.get(name), METRICS[name]) for name in comparison.metrics]

    rows = [[picture.name, *cells(picture.scores)] for picture in comparison.pictures]
    try:
        _table([["picture", *comparison.metrics], *rows, [comparison.mean_of, *cells(comparison.means())]])
    except OSError as error:
        discard(sys.stdout)
        return [f"cannot write the table to standard output: {(error.strerror or str(error)).lower()}"]
    return []


def _table(lines: list[list[str]]) -> None:
    lines = [[printable(line[0]), *line[1:]] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)),
        ]
        typer.echo("  ".join(cells))


def _write_json(lines: JsonLines, event: PictureScores | Problem) -> None:
    from restore.metrics.comparison import Problem

    if isinstance(event, Problem):
        lines.write({"picture": event.name, "error": event.reason})
    else:
        lines.write({"picture": event.name, "scores": _plain(event.scores)})


def _plain(scores: dict[str, float]) -> dict[str, float | None]:
    """Replace infinite scores by null, because JSON has no infinity: the PSNR of identical pictures is null."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}
