"""The other side of `decoding`: a process that decodes what it is asked to, within the time and the memory that it is given.

It knows no torch and keeps nothing but the last file it read. A request is the pickled name of a function and its arguments; an answer is
a line of JSON (values, types and shapes of arrays, or an error) and the arrays' bytes. JSON, because a broken codec must not be able to
make the asking process run anything.

The system ends this process, whatever a codec is doing: at the limits of time by a signal that nobody handles, and, on Linux, by another
one when a pipe into which nobody writes closes, because the asking process that held its other end is gone.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import select
import signal
import struct
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

try:
    import fcntl
    import resource
except ImportError:  # Windows: no such limits
    fcntl = resource = None  # type: ignore[assignment]  # a module's name

LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Request:
    """What is asked: `module.name(*arguments)`.

    Attributes:
        cpu: seconds of processor time.
        wall: seconds on the clock.
        memory: bytes above what the process takes when idle.
        scarce: whether that is all that is free, and less than such a picture may take.
        niceness: of the asking thread: next to a network, decoding makes way for it (see `pipeline.concurrency`), other decoding does not.
    """

    module: str
    name: str
    arguments: tuple[Any, ...]
    cpu: float
    wall: float
    memory: int
    scarce: bool
    niceness: int


class _Messages:
    """What decoders write to standard error: the only place where libjpeg tells of damaged data."""

    def __init__(self) -> None:
        self._file: int | None = None

    def catch(self) -> None:
        """Send file descriptor 2 into a file of memory, or a temporary one."""
        try:
            self._file = os.memfd_create("messages") if hasattr(os, "memfd_create") else _temporary_file()
        except OSError:
            self._file = None
        os.dup2(os.open(os.devnull, os.O_WRONLY) if self._file is None else self._file, 2)

    def take(self) -> str:
        """The messages since the last call; "" where they are not caught."""
        if self._file is None:
            return ""
        os.lseek(self._file, 0, os.SEEK_SET)
        found = os.read(self._file, 4096)
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        return found.decode("utf-8", "replace")


def _temporary_file() -> int:
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


messages = _Messages()


def main() -> None:
    """Answer requests from standard input on standard output until the input ends."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", 0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)  # what a codec prints must not get among the answers
    messages.catch()
    _behave()
    if len(sys.argv) > 1:
        _end_with(int(sys.argv[1]))
    importlib.import_module("restore.images")
    Image.MAX_IMAGE_PIXELS = None  # `errors.check_size` and `plausible` have looked at the size
    while (request := _next(requests)) is not None:
        _send(answers, *_answered(request))


def _behave() -> None:
    """Leave Ctrl-C to the asking process, and let the limits' signals end this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        for number in (signal.SIGALRM, signal.SIGPROF, signal.SIGIO):
            signal.signal(number, signal.SIG_DFL)


def _end_with(lifeline: int) -> None:
    """Have the closing of a pipe raise SIGIO, which ends this process whatever a codec is doing.

    Not of the pipe of requests: the signal of what was last written there may come after it was read.
    """
    if sys.platform.startswith("linux"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
        closed = select.poll()
        closed.register(lifeline, 0)
        if closed.poll(0):  # while this process started, before there was a signal
            raise SystemExit


def _next(requests: BinaryIO) -> Request | None:
    head = requests.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    found: Request = pickle.loads(requests.read(LENGTH.unpack(head)[0]))
    return found


def _answered(request: Request) -> tuple[dict[str, Any], list[np.ndarray]]:
    limited = Limited(request)
    try:
        limited.start()
        function: Callable[..., Any] = getattr(importlib.import_module(request.module), request.name)
        arrays: list[np.ndarray] = []
        value = _packed(function(*request.arguments), arrays)
        return {"value": value, "arrays": [(a.dtype.str, a.shape) for a in arrays]}, arrays
    except MemoryError:
        return {"error": "memory"}, []
    except Exception as error:
        kind = "image" if type(error).__name__ == "ImageError" else "memory" if "alloc" in str(error).lower() else "other"
        text = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        return {"error": kind, "text": text.encode("utf-8", "replace").decode()}, []
    finally:
        limited.stop()


class Limited:
    """The limits of one request."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._before = resource.getrlimit(resource.RLIMIT_AS) if resource is not None else (0, 0)

    def start(self) -> None:
        """Set them."""
        if resource is None:
            return
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, max(self._request.niceness, os.getpriority(os.PRIO_PROCESS, 0)))
        signal.setitimer(signal.ITIMER_PROF, self._request.cpu)
        signal.setitimer(signal.ITIMER_REAL, self._request.wall)
        soft, hard = self._before
        most = _taken() + self._request.memory
        if most > self._request.memory and (soft == resource.RLIM_INFINITY or most < soft):
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))

    def stop(self) -> None:
        """Lift them."""
        if resource is None:
            return
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, self._before)


def _taken() -> int:
    """Bytes of addresses that this process takes; 0 where that is not known."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - in the limits' way as little as possible
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _packed(value: Any, arrays: list[np.ndarray]) -> Any:
    """A value as JSON can hold it: arrays go to `arrays`, tuples become lists."""
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value))
        return {"array": len(arrays) - 1}
    if isinstance(value, tuple | list):
        return [_packed(one, arrays) for one in value]
    return value


def _send(answers: BinaryIO, head: dict[str, Any], arrays: list[np.ndarray]) -> None:
    text = json.dumps({**head, "taken": _taken()}).encode()
    _write(answers, memoryview(LENGTH.pack(len(text)) + text))
    for array in arrays:
        if array.size:
            _write(answers, array.reshape(-1).view(np.uint8).data)


def _write(answers: BinaryIO, data: memoryview) -> None:
    while data:
        data = data[answers.write(data) :]


if __name__ == "__main__":
    with suppress(BrokenPipeError, KeyboardInterrupt):
        # the functions that are called import this module by its name: there must be one `messages` only
        importlib.import_module("restore.images.decoding_process").main()
