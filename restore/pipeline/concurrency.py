"""Concurrency primitives of the threaded executor: worker threads, a memory limiter and a bounded queue."""

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

from restore.parallel import WAKE

Entry = TypeVar("Entry")
T = TypeVar("T")

NICENESS = 10
"""The `nice` value of worker threads (19 is the lowest priority)."""


class Stopped(Exception):
    """The user stopped the run, or the picture failed in another thread."""


class Workers:
    """Threads that run submitted tasks in order.

    They are daemon threads, unlike those of `concurrent.futures`. So a run that the user stops does not wait for the encoding of a large
    picture, neither here nor when the interpreter exits.
    """

    def __init__(self, count: int, name: str) -> None:
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True) for i in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, task: Callable[[], T]) -> Future[T]:
        """Run `task` when a thread is free."""
        future: Future[T] = Future()
        self._tasks.put((future, task))
        return future

    def stop(self, timeout: float | None = None) -> bool:
        """End the threads after the submitted tasks. Returns whether they ended within `timeout` seconds."""
        for _ in self._threads:
            self._tasks.put(None)
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        _lower_priority()
        while (entry := self._tasks.get()) is not None:
            future, task = entry
            del entry
            try:
                future.set_result(task())
            except BaseException as error:
                future.set_exception(error)
            del future, task  # a waiting thread must not keep its last picture alive


def _lower_priority() -> None:
    """Lower the priority of the calling thread below that of the network's threads.

    A network's threads wait for each other after every layer, so decoding on one core delays all of them. Decoding has time: it overlaps
    with the network's work on the picture before. Only Linux has priorities of single threads.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))


class MemoryLimiter:
    """Admits pictures in the order of their tickets while the sum of their sizes stays under a limit.

    A picture larger than the limit is admitted alone. No thread blocks: a waiting picture leaves a callback.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._inside = 0
        self._next = 0
        self._waiting: dict[int, tuple[int, Callable[[], None]]] = {}
        self._lock = threading.Lock()

    def enter(self, ticket: int, size: int, go: Callable[[], None]) -> None:
        """Call `go`, here or in another thread, once all tickets below `ticket` have entered and `size` fits.

        Every ticket must enter, with size 0 if there is nothing to do.
        """
        with self._lock:
            self._waiting[ticket] = (size, go)
        self._admit()

    def leave(self, size: int) -> None:
        """Release `size`."""
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


class BoundedQueue(Generic[Entry]):
    """A bounded queue that either end can close."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._entries: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._ended = self._broken = False

    def put(self, entry: Entry) -> None:
        """Append an entry; waits while the queue is full.

        Raises:
            Stopped: the queue was aborted.
        """
        with self._changed:
            while not self._changed.wait_for(lambda: self._broken or len(self._entries) < self._length, WAKE):
                pass  # the main thread puts, and must answer Ctrl-C; see `awaited`
            if self._broken:
                raise Stopped
            self._entries.append(entry)
            self._changed.notify_all()

    def end(self) -> None:
        """Mark the end: there are no more entries."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Drop all entries. From now on `put` and iteration raise Stopped."""
        with self._changed:
            self._broken = True
            self._entries.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Entry]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._broken or self._ended or bool(self._entries))
                if self._broken:
                    raise Stopped
                if not self._entries:
                    return
                entry = self._entries.popleft()
                self._changed.notify_all()
            yield entry
            del entry
