"""When a signal may stop a training: between two steps, and once; later signals wait until the checkpoint is written."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

STOPPING = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__)
"""Signals that stop a run; Windows has no SIGHUP."""

Handler = Callable[[int, FrameType | None], object]


class Stopping:
    """Replaces the handlers of STOPPING during a run; see `taking_over`.

    A signal without a Python handler (ignored, or deadly) is left as it is.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Handler] = {}
        self._waiting: list[int] = []
        self._held = False

    @contextmanager
    def taking_over(self) -> Iterator[None]:
        """Within, the first signal goes to its own handler, which raises, and all others wait; it acts in the main thread only."""
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in STOPPING}
            self._handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
        for number in self._handlers:
            signal.signal(number, self._take)
        try:
            yield
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within, the first signal waits too: half a step cannot be resumed from."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before
        if self._waiting and not self._held:
            self._take(self._waiting[0], None)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._waiting.append(number)
            return
        self._held = True  # from now on the checkpoint comes first
        self._handlers[number](number, frame)


def in_worker(_number: int) -> None:
    """Set up a process that prepares crops: the training ends it, and it ignores signals to the whole process group.

    A worker that a signal kills would raise an error in the training, at any moment. A worker whose training is gone ends silently.
    """
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))  # how multiprocessing ends it
    sys.excepthook = _unless_cut_off


def _unless_cut_off(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)
