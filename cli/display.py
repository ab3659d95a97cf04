"""Displays a run: a progress bar on a terminal, else one line for each picture; JSON lines for programs; a summary at the end."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from restore.pipeline.records import number

from .json_lines import JsonLines, discard
from .printable import printable

if TYPE_CHECKING:
    from restore.pipeline.batch import Event, Record, Report

_SHOWN_FAILURES = 20
_STYLES = {"done": "green", "skipped": "dim", "failed": "red"}


class Display:
    """Displays a run's events. JSON lines go to standard output, everything else to standard error. `verb` says what the run does."""

    def __init__(self, *, quiet: bool = False, json_lines: bool = False, verb: str = "restoring") -> None:
        self.quiet, self.json_lines, self.verb = quiet, json_lines, verb
        self.console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._progress: Progress | None = None
        self._counts: Counter[str] = Counter()
        self._lines = JsonLines()

    def opening(self) -> None:
        """Show that the run is starting: importing torch and loading weights takes some seconds."""
        if self.console.is_terminal and not self.quiet:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(compact=True),
                console=self.console,
                transient=True,
                refresh_per_second=5,
            )
            self._task = self._progress.add_task("getting ready", total=None, rate="")
            self._progress.start()

    def event(self, event: Event) -> None:
        """Show one event of `restore.pipeline.batch.run`."""
        if event.kind == "plan":
            self._plan(event.total)
        elif event.kind == "learn":
            self._learn(event.total)
        elif event.record is not None:
            self._record(event, event.record)

    def close(self) -> None:
        """Remove the progress bar. It may be called more than once."""
        if self._progress:
            self._progress.stop()
            self._progress = None

    def finish(self, report: Report) -> None:
        """Show the summary, the failures and the remarks."""
        self.close()
        if self.json_lines:
            self._lines.write({"summary": report.summary()})
            if self._lines.problem:
                report.unwritten.append(self._lines.problem)
        if self.quiet:
            for text in report.unwritten:
                self._print(printable(text), "red")
            return
        self._show(summary(report))
        failures = [record for record in report.records if record.status == "failed"]
        for record in failures[:_SHOWN_FAILURES]:
            self._print(f"  failed  {printable(record.name)}: {printable(record.error)}", "red")
        if len(failures) > _SHOWN_FAILURES:
            self._print(f"  ... and {len(failures) - _SHOWN_FAILURES} more; --report FILE lists them all")
        for remark in report.remarks:
            self._print(f"  {printable(remark)}")
        for text in report.unwritten:
            self._print(f"  {printable(text)}", "red")

    def _learn(self, total: int) -> None:
        if self._progress:
            self._progress.update(self._task, description="adapting the weights")
        elif not self.quiet:
            self._print(f"adapting the weights to {total} picture{'' if total == 1 else 's'} first: this takes minutes")

    def _plan(self, total: int) -> None:
        if self._progress:
            self._progress.update(self._task, total=total, description=self.verb)
        elif not self.quiet:
            self._print(f"{self.verb} {total} picture{'' if total == 1 else 's'}")

    def _record(self, event: Event, record: Record) -> None:
        self._counts[record.status] += 1
        if self.json_lines:
            self._lines.write_line(record.as_json())
        if self._progress:
            name = Text(printable(record.input.name)[-40:])
            elapsed = self._progress.tasks[0].elapsed or 0.0
            rate = f"{self._counts['done'] / elapsed:.2f}/s" if elapsed else ""
            self._progress.update(self._task, completed=event.index, description=name.plain, rate=rate)
        if record.status == "failed" and (self.quiet or self._progress):
            self._print(f"failed  {printable(record.name)}: {printable(record.error)}", "red")
        elif not self._progress and not self.quiet:
            self._print(line(event, record), _STYLES[record.status])
        if not self.quiet:
            for text in record.warnings:
                self._print(f"  warning  {printable(record.name) + ': ' if self._progress else ''}{printable(text)}", "yellow")

    def _print(self, text: str, style: str | None = None) -> None:
        self._show(Text(text, style or ""), soft_wrap=True)

    def _show(self, what: Text | Table, *, soft_wrap: bool = False) -> None:
        """Print to standard error. A write error, as on a full disk, does not stop the run."""
        try:
            self.console.print(what, soft_wrap=soft_wrap)
        except OSError:
            discard(sys.stderr)


def line(event: Event, record: Record) -> str:
    """The line of one picture."""
    head = f"{event.index:>{len(str(event.total))}}/{event.total}  {record.status:7}  {printable(record.name)}"
    if record.status == "failed":
        return f"{head}: {printable(record.error)}"
    if record.status == "skipped":
        return f"{head}  (already done)"
    height, width = record.size or (0, 0)
    stats = f"  {width} x {height}  {record.seconds[record.work]:.2f} s"
    return head + stats + (f"  noise {number(record.stats['noise'])}" if record.stats.get("noise") is not None else "")


def summary(report: Report) -> Table:
    """The summary: pictures done, skipped and failed, speed, and time by stage."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_column(justify="left")

    def add(name: str, value: str, remark: str = "", style: str = "") -> None:
        table.add_row(Text(name), Text(value, style), Text(remark))

    add("done", str(report.done), f"{report.images_per_second:.3g} images per second" if report.done else "", "green")
    add("skipped", str(report.skipped), "already done" if report.skipped else "")
    add("failed", str(report.failed), style="red" if report.failed else "")
    if report.interrupted:
        add("not reached", str(report.unreached), "interrupted; run it again to continue", "yellow")
    if report.warned:
        warned = sum(bool(entry.warnings) for entry in report.records)
        add("warnings", str(report.warned), f"in {warned} picture{'' if warned == 1 else 's'}", "yellow")
    if report.ignored:
        add("ignored", str(report.ignored), "not pictures")
    if report.maps:
        add("ignored", str(report.maps), "confidence maps beside their pictures")
    if report.objects:
        count, _, what = report.objects_in_words.partition(" ")
        add("ignored", count, what)
    if not report.planned:
        add("", "", "no picture was found")
    if report.done:
        seconds = report.seconds
        add("time", f"{report.wall:.1f} s", f"the {report.work} was busy {report.busy_fraction:.0%} of it")
        parallel = f"decoding {seconds['decode']:.1f} s, encoding {seconds['encode']:.1f} s in parallel"
        add(report.work, f"{seconds[report.work]:.1f} s", parallel)
        if report.seconds_per_megapixel:
            add("", "", f"{report.seconds_per_megapixel:.3g} s per megapixel")
        for name in ("weights", "precision"):
            used = Counter(value for entry in report.records for value in _values(entry.stats.get(name)))
            if used:
                add(name, "", ", ".join(f"{value} ({count})" for value, count in sorted(used.items())))
    return table


def _values(stat: object) -> set[str]:
    """A record's value as text; of a file with several pictures, the values of all that have one."""
    return {str(value) for value in (stat if isinstance(stat, list | tuple) else [stat]) if value is not None}
