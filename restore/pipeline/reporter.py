"""Takes the records of a run into its report, into the report's file, and to whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from restore.pipeline.report import Event, Record, Report

OnEvent = Callable[[Event], None]


class Reporter:
    """Takes final records, in the order of the plan.

    Args:
        report: collects them.
        on_event: is told of each.
        file: gets one line for each; None for no file.
    """

    def __init__(self, report: Report, on_event: OnEvent, file: ReportFile | None) -> None:
        self.report, self.on_event, self.file = report, on_event, file

    def __call__(self, record: Record) -> None:
        """Take one record."""
        self.report.records.append(record)
        if self.file:
            self.file.write(record.as_json())
        self.on_event(Event("record", self.report.planned, len(self.report.records), record))


class ReportFile:
    """The report's JSON Lines file. One that cannot be written, now or later, ends no run: `report.unwritten` says so."""

    def __init__(self, path: Path, report: Report) -> None:
        self.path, self.report = path, report
        self._file: IO[str] | None = None

    def __enter__(self) -> ReportFile:
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
