"""`core`: the OpenVINO core that the engine and the format share."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openvino import Core

_lock = threading.Lock()
_cores: list[Core] = []


def core() -> Core:
    """The core of this process; it lives as long as the process.

    OpenVINO 2026.4 gives the thread that loads its CPU plugin a signal stack, and unmaps that stack when the core ends, whichever thread
    that happens in. The first thread then has no signal stack, and the next signal (Ctrl-C, the end of a child process) crashes it.
    """
    import openvino

    with _lock:
        if not _cores:
            _cores.append(openvino.Core())
        return _cores[0]
