"""JSON lines on standard output, whatever becomes of it."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import Any


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
            discard_output()


def discard_output() -> None:
    """Send what is left in the buffer of standard output nowhere, or Python would fail over it again when it ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
