"""The moving parts between decoding, network and encoding: helper threads, a limiter by pixels, a bounded queue."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

Thing = TypeVar("Thing")

NICENESS = 10
"""A helping thread's place among those that want the processor, as `nice` counts (19 is the last)."""


class Stopped(Exception):
    """The user stopped the run, or the picture failed in another thread."""


class Workers:
    """Threads that run what they are given, in order.

    Daemon threads, unlike those of `concurrent.futures`: a run that the user stops must not wait for the encoding
    of a giant picture, neither here nor when the interpreter exits.
    """

    def __init__(self, count: int, name: str) -> None:
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True) for i in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, task: Callable[[], Any]) -> Future[Any]:
        """Run `task` when a thread is free."""
        future: Future[Any] = Future()
        self._tasks.put((future, task))
        return future

    def stop(self, timeout: float | None = None) -> bool:
        """Let the threads end after what was submitted; whether they did within `timeout` seconds."""
        for _ in self._threads:
            self._tasks.put(None)
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        _give_way()
        while (entry := self._tasks.get()) is not None:
            future, task = entry
            del entry
            try:
                future.set_result(task())
            except BaseException as error:
                future.set_exception(error)
            del future, task  # a waiting thread must not keep its last picture alive


def _give_way() -> None:
    """Let the calling thread run when others, a network's, leave the processor to it.

    A network's threads wait for each other after every layer: one that makes way for a file's decoding for a moment holds up all of them.
    Only Linux knows threads that differ in this, and a picture is decoded while the one before it is in the network, so there is time.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))


class MemoryLimiter:
    """Lets pictures in, in the order of their tickets, while their sizes together stay under a limit.

    A picture larger than the limit goes in alone. Nobody waits in a thread: who cannot go in yet leaves a callback.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._inside = 0
        self._next = 0
        self._waiting: dict[int, tuple[int, Callable[[], None]]] = {}
        self._lock = threading.Lock()

    def enter(self, ticket: int, size: int, go: Callable[[], None]) -> None:
        """Call `go` (here or in another thread) once tickets below `ticket` have entered and `size` fits.

        Every ticket must enter, with size 0 if nothing is to be done.
        """
        with self._lock:
            self._waiting[ticket] = (size, go)
        self._admit()

    def leave(self, size: int) -> None:
        """Give `size` back."""
        with self._lock:
            self._inside -= size
        self._admit()

    def _admit(self) -> None:
        while True:
            with self._lock:
                size, go = self._waiting.get(self._next, (0, None))
                if go is None or (size and self._inside and self._inside + size > self.limit):
                    return
                del self._waiting[self._next]
                self._next += 1
                self._inside += size
            go()


class BoundedQueue(Generic[Thing]):
    """A bounded queue that either end can close."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._things: deque[Thing] = deque()
        self._changed = threading.Condition()
        self._ended = self._broken = False

    def put(self, thing: Thing) -> None:
        """Lay a thing on the queue; waits for room. Raises Stopped once the queue is broken."""
        with self._changed:
            self._changed.wait_for(lambda: self._broken or len(self._things) < self._length)
            if self._broken:
                raise Stopped
            self._things.append(thing)
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing more will be put."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def cut(self) -> None:
        """Drop what lies on the queue; both ends raise Stopped from now on."""
        with self._changed:
            self._broken = True
            self._things.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Thing]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._broken or self._ended or bool(self._things))
                if self._broken:
                    raise Stopped
                if not self._things:
                    return
                thing = self._things.popleft()
                self._changed.notify_all()
            yield thing
            del thing
