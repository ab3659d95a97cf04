"""Order, calls ahead and pixels in flight."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from restore.parallel import PixelBudget, awaited, in_order
from restore.pipeline.concurrency import BoundedQueue


def test_threads_keep_the_order_and_few_calls_ahead() -> None:
    started: list[int] = []

    def call(item: int) -> int:
        started.append(item)
        return item * item

    squares = in_order(call, range(1000), 3)
    assert [next(squares) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert max(started) < 5 + 2 * 3
    squares.close()
    assert list(in_order(call, range(7), 2)) == [item * item for item in range(7)]


def test_pixels_in_flight_are_bounded_but_for_one_large_picture() -> None:
    budget = PixelBudget(100)
    held: list[int] = []
    most: list[int] = []

    def call(pixels: int) -> None:
        with budget.hold(pixels):
            held.append(pixels)
            most.append(sum(held))
            held.remove(pixels)

    list(in_order(call, [40, 60, 50, 70, 30, 500, 20, 90] * 20, 8))
    assert all(total <= 100 or total == 500 for total in most)


def test_an_error_reaches_the_caller_and_frees_the_budget() -> None:
    budget = PixelBudget(10)

    def call(item: int) -> int:
        with budget.hold(8):
            return 10 // item

    with pytest.raises(ZeroDivisionError):
        list(in_order(call, [1, 0, 2], 2))
    assert list(in_order(call, [1, 2], 2)) == [10, 5]


def _full() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    queue.put(1)
    queue.put(2)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of threads")
@pytest.mark.parametrize("waiting", [lambda: awaited(Future()), _full], ids=["future", "queue"])
def test_a_signal_that_interrupts_no_wait_is_answered(waiting: Callable[[], object]) -> None:
    """A signal that another thread takes leaves the main thread's wait alone, as one does that comes just before the wait."""

    def send() -> None:
        time.sleep(0.2)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=send).start()
        with pytest.raises(KeyboardInterrupt):
            waiting()
    finally:
        signal.signal(signal.SIGINT, before)
