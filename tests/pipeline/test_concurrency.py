"""The helper threads of a run."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from restore.pipeline.concurrency import NICENESS, Workers


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows threads that differ in this")
def test_helping_threads_make_way_for_the_one_with_the_network() -> None:
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    workers = Workers(1, "test")
    place = workers.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result(5)
    assert workers.stop(5)
    assert place == max(own, NICENESS)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own
