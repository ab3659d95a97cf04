"""Runs a function over many pictures in threads: results in order, memory bounded by the pixels in flight."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

PIXELS_IN_FLIGHT = 48_000_000
"""A limit for `PixelBudget`: the pixels of all pictures that are decoded at a time; a larger picture runs alone."""
WAKE = 0.5
"""Seconds after which `awaited` looks for signals."""

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")


class PixelBudget:
    """Lets threads hold pixels up to a limit. One that asks for more than the limit gets it when it is alone."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait until `pixels` fit, and hold them within the block. A thread must not ask again while it holds some."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + pixels <= self.limit)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()


def awaited(future: Future[ValueT]) -> ValueT:
    """The result of a future, waited for in steps of `WAKE` seconds.

    A signal that comes just before a wait does not interrupt it: Python looks for signals before it lets go of the interpreter, and on a
    busy machine the wait may begin much later. Ctrl-C would then count for nothing until the wait ends.
    """
    while not wait((future,), WAKE).done:
        pass
    return future.result()


def in_order(function: Callable[[ItemT], ValueT], items: Iterable[ItemT], workers: int) -> Iterator[ValueT]:
    """`map` in threads. At most two calls a thread are submitted ahead; when the caller stops early, waiting calls are cancelled."""
    pool = ThreadPoolExecutor(workers, "in-order")
    pending: deque[Future[ValueT]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 2 * workers:
                yield awaited(pending.popleft())
        while pending:
            yield awaited(pending.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
