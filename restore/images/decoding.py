"""Decoding in a process of its own, where time and memory are limited and a crash costs one picture.

Codecs are large C programs that trust their input. One that loops keeps Python's lock, so that not even Ctrl-C ends it. One that
crashes ends the whole run. One that believes a header takes all memory. `call` runs such decoding. Uncompressed pixels and PNG, whose
stream is inflated within bounds, are decoded in the calling process: a second one costs half a second of one core, once a run, and
protects from nothing there.

Measured on two cores: a 12-megapixel 16-bit frame takes 12 ms on its way through the pipe, its decoding 80 to 900, the network six seconds.
Shared memory would save those 12 ms and need a place (/dev/shm) that containers often lack.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from restore.available_memory import free_memory
from restore.images.decoding_process import LENGTH, Request
from restore.images.errors import ImageError

T = TypeVar("T")
SECONDS, SECONDS_A_SAMPLE = 2.0, 2e-6
"""Processor time that decoding may take: the slowest codec here (JPEG 2000 of 16 bits) needs 0.15 microseconds a sample."""
CLOCK = 20.0
"""How many times as long it may take on the clock, on a machine that has much else to do; a minute at least."""
BYTES, BYTES_A_SAMPLE = 256 << 20, 40
"""Memory that decoding may take: JPEG 2000 needs 24 bytes a sample (32-bit integers, their wavelet transform, the result)."""
SECONDS_A_BYTE, COPIES = 2e-8, 4
"""What the file's bytes take in addition to that: a DICOM file of many frames is read as a whole, and copied, for the first of them."""
DENSE = 1000
"""Samples a byte above which a picture is mostly blank and decodes at once, or its header is wrong."""
BLANK_SECONDS, BLANK_BYTES = 3.0, 700 << 20
"""What such a part may take at most, so that two kilobytes that claim 800 million samples are done with in ten seconds and a gigabyte."""
ENOUGH = 2
"""Idle processes from which on none is started for its niceness."""
MOST_KEPT = 512 << 20
"""A process that takes so much more when idle than at first has leaked: another one takes its place."""


class DecodingError(RuntimeError):
    """The decoding process refused, crashed, or came to one of its limits."""


def call(function: Callable[..., T], *arguments: Any, samples: int, coded: int) -> T:
    """`function(*arguments)` in a decoding process, or in this one if none can be started.

    Args:
        function: of a module of `restore.images`; gives arrays and plain values, in tuples or alone.
        arguments: picklable.
        samples: how many the file's header says will be decoded, by which time and memory are limited.
        coded: bytes that hold them. Where they are far too few for anything but a blank page, limits are narrower.

    Raises:
        ImageError: the function's own.
        DecodingError: whatever else it threw; it crashed, or took too long.
        MemoryError: it needs more memory than there is, or than such a picture can need.
    """
    dense = min(samples, DENSE * coded)
    memory = BYTES + COPIES * coded + BYTES_A_SAMPLE * dense + min(BLANK_BYTES, BYTES_A_SAMPLE * (samples - dense))
    cpu = SECONDS + SECONDS_A_BYTE * coded + SECONDS_A_SAMPLE * dense + min(BLANK_SECONDS, SECONDS_A_SAMPLE * (samples - dense))
    nice, free = _niceness(), free_memory()
    # the process stays where this one was when it started; a caller may change its working directory
    absolute = tuple(one.absolute() if isinstance(one, Path) else one for one in arguments)
    request = Request(function.__module__, function.__name__, absolute, cpu, max(60.0, CLOCK * cpu), min(memory, free), free < memory, nice)
    process = _pool.take(nice)
    if process is None:
        return function(*arguments)
    try:
        head, arrays = process.asked(request, 64 * (samples + 1024))
    except BaseException:  # an interrupt too: what the process would say now belongs to no question
        _pool.drop(process)
        raise
    if head.get("error") == "memory" or process.has_grown(head["taken"]):
        _pool.drop(process)
    else:
        _pool.give_back(process)
    if "error" in head:
        raise _error(head, request)
    return cast(T, _unpacked(head["value"], arrays))


def prepare() -> None:
    """Start a decoding process, if there is none, that gets ready while its caller does something else."""
    if (process := _pool.take(_niceness())) is not None:
        _pool.give_back(process)


def _niceness() -> int:
    """Of the calling thread; a process that it starts has the same."""
    try:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id() if sys.platform == "linux" else 0)
    except (OSError, AttributeError):
        return 0


def _error(head: dict[str, Any], request: Request) -> Exception:
    if head["error"] == "memory":
        why = "" if request.scarce else ", far more than its pixels need: it is likely damaged; copy or export it again"
        return MemoryError(f"decoding it takes more than {request.memory >> 20:,} MB{why}")
    return ImageError(head["text"]) if head["error"] == "image" else DecodingError(head["text"])


def _unpacked(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, dict):
        return arrays[value["array"]]
    return tuple(_unpacked(one, arrays) for one in value) if isinstance(value, list) else value


class _Process:
    """One decoding process; asked by one thread at a time."""

    def __init__(self) -> None:
        path = os.pathsep.join(entry or os.curdir for entry in sys.path)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        ends: tuple[int, ...] = () if sys.platform == "win32" else os.pipe()
        self._lifeline = ends[1:]  # held open as long as this process lives
        try:
            self._popen: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-P", "-W", "ignore", "-m", "restore.images.decoding_process", *map(str, ends[:1])],
                pass_fds=ends[:1],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={**os.environ, **threads, "PYTHONPATH": path},
                process_group=None if sys.platform == "win32" else 0,  # Ctrl-C is for the asking process
            )
        except OSError:
            _close(self._lifeline)
            raise
        finally:
            _close(ends[:1])
        self._taken: int | None = None
        self.niceness = _niceness()

    def asked(self, request: Request, most: int) -> tuple[dict[str, Any], list[np.ndarray]]:
        """The answer to a request; arrays of more than `most` bytes are no answer."""
        data = pickle.dumps(request, protocol=5)
        self.niceness = max(self.niceness, request.niceness)
        try:
            self._write(memoryview(LENGTH.pack(len(data)) + data))
            head = json.loads(self._read(LENGTH.unpack(self._read(LENGTH.size))[0]))
        except (OSError, EOFError, ValueError) as error:
            raise DecodingError(self._ended(request)) from error
        arrays = [np.empty(shape, np.dtype(kind)) for kind, shape in self._checked(head.get("arrays", ()), most)]
        for array in arrays:
            if array.size:
                self._read_into(array.reshape(-1).view(np.uint8).data, request)
        return head, arrays

    def _checked(self, claims: list[tuple[str, list[int]]], most: int) -> list[tuple[str, list[int]]]:
        if sum(int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize for kind, shape in claims) > most:
            raise DecodingError("it gave many times as many pixels as the header says")
        return claims

    def _write(self, data: memoryview) -> None:
        assert self._popen.stdin is not None
        while data:
            data = data[self._popen.stdin.write(data) :]

    def _read(self, count: int) -> bytes:
        assert self._popen.stdout is not None
        parts = []
        while count:
            part = self._popen.stdout.read(min(count, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _read_into(self, room: memoryview, request: Request) -> None:
        assert isinstance(self._popen.stdout, io.FileIO)  # by bufsize=0
        while room:
            count = self._popen.stdout.readinto(room)
            if not count:
                raise DecodingError(self._ended(request))
            room = room[count:]

    def _ended(self, request: Request) -> str:
        """Why the process ended."""
        self._popen.kill()
        code = self._popen.wait()
        if code == -signal.SIGKILL:
            return "its decoder was ended by the system, likely for want of memory"
        if sys.platform != "win32" and code in (-signal.SIGPROF, -signal.SIGALRM, -signal.SIGXCPU):
            seconds = request.wall if code == -signal.SIGALRM else request.cpu
            return f"its decoder was still busy after {seconds:.0f} s"
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"its decoder crashed ({name})"

    def has_grown(self, taken: int) -> bool:
        """Whether it keeps much more memory than it did when it was new."""
        self._taken = taken if self._taken is None else self._taken
        return taken > self._taken + MOST_KEPT

    def end(self) -> None:
        """Kill it."""
        self._popen.kill()
        self._popen.wait()
        self.let_go()

    def let_go(self) -> None:
        """Close the pipes."""
        _close(self._lifeline)
        self._lifeline = ()
        for pipe in (self._popen.stdin, self._popen.stdout):
            assert pipe is not None
            pipe.close()

    def forget(self) -> None:
        """Let go of the process in a forked copy of this one: it belongs to the parent."""
        self.let_go()
        self._popen.returncode = 0


def _close(ends: tuple[int, ...]) -> None:
    for end in ends:
        os.close(end)


class _Pool:
    """The decoding processes: as many as threads have asked at once."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Process] = []
        self._all: set[_Process] = set()
        self._impossible = False

    def take(self, niceness: int) -> _Process | None:
        """An idle process or a new one; None where none can be started: what is to be decoded is decoded here then.

        One of no lower priority than the caller is preferred. Priority cannot be raised again, so callers of several kinds would otherwise
        have a new process started at every turn.
        """
        with self._lock:
            fitting = [process for process in self._idle if process.niceness <= niceness]
            if not fitting and len(self._idle) >= ENOUGH:
                fitting = self._idle
            if fitting:
                found = fitting[-1]
                self._idle.remove(found)
                return found
            if self._impossible or not sys.executable:
                return None
        try:
            started = _Process()
        except OSError:
            self._impossible = True
            return None
        with self._lock:
            self._all.add(started)
        return started

    def give_back(self, process: _Process) -> None:
        with self._lock:
            self._idle.append(process)

    def drop(self, process: _Process) -> None:
        """End one that is not idle, unless another thread does so in `stop`: its pipes must not be closed twice."""
        with self._lock:
            left = process in self._all
            self._all.discard(process)
        if left:
            process.end()

    def stop(self) -> None:
        """End all of them."""
        with self._lock:
            found, self._all, self._idle = self._all, set(), []
        for process in found:
            process.end()

    def forked(self) -> None:
        """A forked copy of this process starts its own: two must not ask through one pipe."""
        for process in self._all:
            process.forget()
        self._reset()


_pool = _Pool()
atexit.register(_pool.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forked)
