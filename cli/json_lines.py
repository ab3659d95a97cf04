"""JSON lines on standard output, and the standard streams themselves, whatever becomes of them."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


class JsonLines:
    """Objects as JSON lines on standard output. A full disk or a closed pipe behind it ends no run: `problem` says what was wrong."""

    def __init__(self) -> None:
        self.problem = ""

    def write(self, thing: Any) -> None:
        """One line, at once; `thing` is JSON-able but for what `str` can tell."""
        self.write_line(json.dumps(thing, default=str))

    def write_line(self, line: str) -> None:
        """One line that is JSON already."""
        if self.problem:
            return
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except OSError as error:
            self.problem = f"cannot write the JSON lines to standard output: {(error.strerror or str(error)).lower()}"
            discard(sys.stdout)


def discard(stream: TextIO) -> None:
    """Send what is left in the buffer of a standard stream nowhere, or Python would fail over it again when it ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def open_standard_streams() -> None:
    """Open those of the three standard streams that are closed, to nowhere: a result must not take the number that libraries print to."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
