"""Writes JSON lines to standard output, and handles closed or broken standard streams."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TextIO


class JsonLines:
    """Writes objects as JSON lines to standard output. A write error (full disk, closed pipe) stops no run; it is kept in `problem`."""

    def __init__(self) -> None:
        self.problem = ""

    def write(self, value: object) -> None:
        """Write a value as one line and flush it. Values that JSON does not support are converted by `str`."""
        self.write_line(json.dumps(value, default=str))

    def write_line(self, line: str) -> None:
        """Write one line of JSON and flush it."""
        if self.problem:
            return
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except OSError as error:
            self.problem = f"cannot write the JSON lines to standard output: {(error.strerror or str(error)).lower()}"
            discard(sys.stdout)


def discard(stream: TextIO) -> None:
    """Redirect a standard stream to the null device, so that Python does not fail again when it flushes the stream at exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def open_standard_streams() -> None:
    """Open closed standard streams on the null device. Otherwise a result could get their number, and libraries would print into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
