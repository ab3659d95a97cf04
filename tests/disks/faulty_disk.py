"""A file system of which chosen calls on chosen paths fail: full, read-only, forbidden, failing, or with short writes.

It stands between this process's Python and the real one: everything that the suite writes goes through Python's `open` and `os`.
Encoders that write through a file's handle are given files without one, and write through Python then.
"""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any

import pytest

CALLS = ("open", "write", "fsync", "rename", "mkdir", "unlink", "stat")


@dataclass
class Rule:
    """Which calls fail: `call` on paths that match `pattern`, with `errno`, after `after` of them (of "write": after so many bytes)."""

    call: str
    pattern: str
    errno: int
    after: int = 0
    failed: int = 0

    def fits(self, call: str, path: object) -> bool:
        """Whether a call is one of these, failing or not yet."""
        return call == self.call and fnmatch(_text(path), self.pattern)

    def error(self, path: object) -> OSError:
        """What the call fails with."""
        self.failed += 1
        return OSError(self.errno, os.strerror(self.errno), _text(path))


class FaultyDisk:
    """Patches this process's file calls until the test is over; `rules` may grow at any time."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.rules: list[Rule] = []
        self._open = io.open
        self._fsync = os.fsync
        patch.setattr(builtins, "open", self._opened)
        patch.setattr(io, "open", self._opened)
        patch.setattr(os, "fsync", self._flushed)
        calls = {"rename": "rename", "replace": "rename", "mkdir": "mkdir", "unlink": "unlink", "remove": "unlink", "stat": "stat"}
        for name, call in calls.items():
            patch.setattr(os, name, self._guarded(call, getattr(os, name)))

    def fail(self, call: str, pattern: str, errno: int, after: int = 0) -> Rule:
        """Have calls fail from now on; see `Rule`, whose `failed` counts them."""
        assert call in CALLS
        self.rules.append(Rule(call, pattern, errno, after))
        return self.rules[-1]

    def mend(self) -> None:
        """Let everything work again."""
        self.rules.clear()

    def _check(self, call: str, *paths: object) -> None:
        for rule in self.rules:
            for path in paths:
                if rule.fits(call, path):
                    if rule.after == 0:
                        raise rule.error(path)
                    rule.after -= 1

    def _guarded(self, call: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **named: Any) -> Any:
            self._check(call, *arguments[: 2 if call == "rename" else 1])
            return real(*arguments, **named)

        return guarded

    def _flushed(self, handle: int) -> None:
        self._check("fsync", Path(f"/proc/self/fd/{handle}").readlink())
        self._fsync(handle)

    def _opened(self, file: Any, mode: str = "r", *arguments: Any, **named: Any) -> IO[Any]:
        if isinstance(file, int) or not set(mode) & set("wax+"):
            return self._open(file, mode, *arguments, **named)
        self._check("open", file)
        rule = next((rule for rule in self.rules if rule.fits("write", file)), None)
        if rule is None:
            return self._open(file, mode, *arguments, **named)
        raw = _Short(os.fspath(file), mode.replace("b", "").replace("t", ""), rule)
        binary: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return binary if "b" in mode else io.TextIOWrapper(binary, encoding=named.get("encoding"))


class _Short(io.FileIO):
    """A file that takes a number of bytes and then no more, the last write being a short one."""

    def __init__(self, path: Any, mode: str, rule: Rule) -> None:
        super().__init__(path, mode)
        self.rule = rule

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")[: self.rule.after]
        if not len(view) and len(data):
            raise self.rule.error(self.name)
        written = super().write(view)
        self.rule.after -= written
        return written

    def fileno(self) -> int:
        raise io.UnsupportedOperation("this file has no handle")


def _text(path: object) -> str:
    return os.fsdecode(path) if isinstance(path, str | bytes | Path) else str(path)
