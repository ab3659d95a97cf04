"""Adds records to the report and the report's file, and calls the listener."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from restore.pipeline.records import Event, Record, Report

OnEvent = Callable[[Event], None]


class Reporter:
    """Receives final records, in the order of the plan.

    Args:
        report: collects the records.
        on_event: called for each record.
        file: gets one line for each record; None for no file.
    """

    def __init__(self, report: Report, on_event: OnEvent, file: ReportFile | None) -> None:
        self.report, self.on_event, self.file = report, on_event, file

    def __call__(self, record: Record) -> None:
        """Add one record."""
        self.report.records.append(record)
        if self.file:
            self.file.write(record.as_json())
        self.on_event(Event("record", self.report.planned, len(self.report.records), record))


class ReportFile:
    """The report's JSON Lines file. A write error does not stop the run; it goes to `report.unwritten`."""

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
        """Write one line and flush it."""
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
            with suppress(OSError):  # the rest of its buffer cannot be written either
                file.close()
