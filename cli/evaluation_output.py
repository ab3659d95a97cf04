"""Shows a comparison: a progress bar on a terminal, then a table with means and intervals; or JSON lines."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from restore.metrics import METRICS
from restore.metrics.comparison import PictureScores, Problem, range_text, saved_scores, text
from restore.metrics.comparison.intervals import METHOD

from .json_lines import JsonLines, discard
from .printable import printable

if TYPE_CHECKING:
    from restore.metrics.comparison import Comparison, MetricSummary
    from restore.metrics.comparison.intervals import Interval


class EvaluationOutput:
    """Shows the events of `compare`. Tables and JSON lines go to standard output, the progress bar to standard error."""

    def __init__(self, reference: Path, *, json_lines: bool) -> None:
        self.reference, self.json_lines = reference, json_lines
        self.unwritten: list[str] = []
        self._lines = JsonLines()
        self._progress: Progress | None = None

    def started(self, comparison: Comparison, total: int) -> None:
        """Write the protocol, and show the progress bar."""
        if self.json_lines:
            self._lines.write(saved_scores.first_line(comparison, self.reference))
        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        if console.is_terminal:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(compact=True),
            )
            self._progress = Progress(*columns, console=console, transient=True, refresh_per_second=5)
            self._progress.add_task("comparing", total=total)
            self._progress.start()

    def happened(self, event: PictureScores | Problem) -> None:
        """Show one event."""
        problem = isinstance(event, Problem)
        if self._progress and not problem:
            self._progress.advance(self._progress.task_ids[0])
        if self.json_lines:
            self._lines.write(_problem_line(event) if isinstance(event, Problem) else saved_scores.line_of(event))

    def close(self) -> None:
        """Remove the progress bar. It may be called more than once."""
        if self._progress:
            self._progress.stop()
            self._progress = None

    def finish(self, comparison: Comparison) -> None:
        """Print the table or the summary's JSON line; what cannot be written goes to `unwritten`."""
        self.close()
        if self.json_lines:
            self._lines.write({"summary": summary_of(comparison)})
            self.unwritten += [self._lines.problem] if self._lines.problem else []
        elif comparison.pictures:
            self._print_tables(comparison)

    def _print_tables(self, comparison: Comparison) -> None:
        try:
            _print(_picture_table(comparison))
            typer.echo()
            _print(_contender_table(comparison), left=2)
            typer.echo()
            _print(_protocol_table(comparison), left=2)
        except OSError as error:
            discard(sys.stdout)
            self.unwritten.append(f"cannot write the table to standard output: {(error.strerror or str(error)).lower()}")


def summary_of(comparison: Comparison) -> dict[str, object]:
    """The means and intervals as JSON-able values."""
    summaries = comparison.summary()
    return {
        "compared": len(comparison.complete),
        "identical": comparison.identical(),
        "mean": saved_scores.plain(comparison.means()),
        "contenders": [_contender_summary(comparison, summaries, index) for index in range(len(comparison.contenders))],
        "partial": comparison.partial,
        "left_out": comparison.left_out,
        "seconds": {name: round(value, 3) for name, value in comparison.seconds.items()},
    }


def _contender_summary(comparison: Comparison, summaries: dict[str, MetricSummary], index: int) -> dict[str, object]:
    found: dict[str, object] = {"contender": comparison.contenders[index], "identical": comparison.identical(index)}
    for name, summary in summaries.items():
        difference = {"difference": _plain(summary.differences[index])} if index else {}
        found[name] = {"pictures": summary.count, **_plain(summary.means[index]), **difference}
    return found


def _plain(interval: Interval) -> dict[str, object]:
    mean = interval.mean if math.isfinite(interval.mean) else None
    return {"mean": mean, "interval": None if interval.low is None else [interval.low, interval.high]}


def _problem_line(problem: Problem) -> dict[str, object]:
    line: dict[str, object] = {"picture": problem.name, "error": problem.reason}
    return {**line, "contender": problem.contender} if problem.contender else line


def _picture_table(comparison: Comparison) -> list[list[str]]:
    """A row for each picture and the means; with several contenders, a column for each of them and each metric."""
    single = len(comparison.contenders) == 1
    head = [name if single else f"{name} [{index + 1}]" for name in comparison.metrics for index in range(len(comparison.contenders))]
    rows = [["picture", *head]]
    for picture in comparison.pictures:
        cells = [text(scores.get(name) if scores else None, METRICS[name]) for name in comparison.metrics for scores in picture.scores]
        rows.append([picture.name, *cells])
    means = [comparison.means(index) for index in range(len(comparison.contenders))]
    rows.append([comparison.mean_of, *(text(mean.get(name), METRICS[name]) for name in comparison.metrics for mean in means)])
    return rows


def _contender_table(comparison: Comparison) -> list[list[str]]:
    """A row for each contender and metric: the mean, its interval, and the difference to the first contender."""
    single = len(comparison.contenders) == 1
    head = ["contender", "metric", "pictures", "mean", "95 % interval"]
    rows = [head if single else [*head, "difference to [1]", "95 % interval"]]
    for name, summary in comparison.summary().items():
        metric = METRICS[name]
        for index, label in enumerate(comparison.contenders):
            mean, difference = summary.means[index], summary.differences[index]
            cells = [
                label if single else f"[{index + 1}] {label}",
                name,
                str(summary.count),
                text(mean.mean, metric),
                range_text(mean, metric),
            ]
            if not single:
                signed = f"{difference.mean:+z.{2 if metric.unit else 4}f}" if index and summary.count else "-"
                cells += [signed, range_text(difference, metric, signed=True) if index else "-"]
            rows.append(cells)
    return rows


def _protocol_table(comparison: Comparison) -> list[list[str]]:
    return [["protocol", ""], *([name, words] for name, words in [*comparison.protocol.in_words(), ("95 % interval", METHOD)])]


def _print(lines: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print a table: the first `left` columns are left-aligned, the others right-aligned."""
    lines = [[printable(cell) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width) for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip() if left == len(cells) else "  ".join(cells))
