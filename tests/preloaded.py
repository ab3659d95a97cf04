"""Processes that need not load torch again: forks of one process that has imported the command line and what stands behind it.

`Process` and `run` take the arguments of Python: `-c CODE ...`, `-m MODULE ...` or `SCRIPT ...`. They are for tests of signals, exit codes
and failing streams. A test of what Python does when it starts (closed streams, imports) starts one of its own.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import IO, Any

PIPE = subprocess.PIPE
IMPORTED = (
    "restore.api", "restore.metrics.comparison", "restore.pipeline.contact_sheet", "restore.tasks.inpaint", "restore.tasks.denoise",
    "restore_cli.restore_commands", "restore_cli.evaluate", "accelerate", "torch.utils.tensorboard", "matplotlib.figure",
    "matplotlib.backends.backend_agg",
)  # fmt: skip


class Process:
    """As much of `subprocess.Popen` as the tests need: streams are text, those that are no PIPE are files.

    Raises:
        AssertionError: the process that is forked does not live any more.
    """

    def __init__(
        self, command: Sequence[object], *, stdout: IO[Any] | int | None = None, stderr: IO[Any] | int | None = None,
        env: Mapping[str, str] | None = None, new_session: bool = False,
    ) -> None:  # fmt: skip
        kept, handed = [], []
        for stream, number in ((stdout, 1), (stderr, 2)):
            if stream == PIPE:
                mine, other = os.pipe()
                kept.append(mine)
                handed.append(other)
            else:
                handed.append(os.dup(number if stream is None else stream if isinstance(stream, int) else stream.fileno()))
        self._ends, other = os.pipe()
        variables = dict(os.environ if env is None else env)
        request = {"command": list(map(str, command)), "env": variables, "cwd": str(Path.cwd()), "session": new_session}
        socket.send_fds(_server(), [json.dumps(request).encode()], [*handed, other])
        for handle in (*handed, other):
            os.close(handle)
        opened = iter([os.fdopen(handle, encoding="utf-8") for handle in kept])
        self.stdout = next(opened) if stdout == PIPE else None
        self.stderr = next(opened) if stderr == PIPE else None
        self.returncode: int | None = None
        self.pid = self._number()

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it, whatever it is at."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; minus the number of the signal that ended it.

        Raises:
            subprocess.TimeoutExpired: it has not ended in so many seconds; it is killed, so that it slows no other test.
        """
        if self.returncode is None:
            if not select.select([self._ends], [], [], timeout)[0]:
                self.kill()
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = self._number()
            os.close(self._ends)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What is left on the streams that are pipes; both are closed."""
        said = ["", ""]

        def read(index: int, stream: IO[str]) -> None:
            with stream:
                said[index] = stream.read()

        pipes = [(index, stream) for index, stream in enumerate((self.stdout, self.stderr)) if stream is not None and not stream.closed]
        readers = [threading.Thread(target=read, args=pair, daemon=True) for pair in pipes]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout)
        self.wait(timeout)
        return said[0], said[1]

    def _number(self) -> int:
        data = os.read(self._ends, 4)
        assert len(data) == 4, "the process that is forked has ended"
        return int.from_bytes(data, "little", signed=True)


def run(command: Sequence[object], *, timeout: float, **streams: Any) -> subprocess.CompletedProcess[str]:
    """Start a process and wait for its end."""
    process = Process(command, **streams)
    said = process.communicate(timeout)
    assert process.returncode is not None
    return subprocess.CompletedProcess(list(map(str, command)), process.returncode, *said)


@cache
def _server() -> socket.socket:
    """The socket of the process that is forked; it ends when this one closes."""
    mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with other:
        process = subprocess.Popen(
            [sys.executable, __file__, str(other.fileno())], pass_fds=[other.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
        )  # fmt: skip

    def end() -> None:
        mine.close()
        process.wait()

    atexit.register(end)
    return mine


def _serve(requests: socket.socket) -> dict[str, Any]:
    """Fork for every request. Returns in the forks alone, with their request."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a fork that ends looks at every object otherwise, and copies its page
    while True:
        data, handles, _, _ = socket.recv_fds(requests, 1 << 20, 3)
        if not data:
            raise SystemExit
        minder = os.fork()
        if minder == 0:
            requests.close()
            return _minded(json.loads(data), handles)
        for handle in handles:
            os.close(handle)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _minded(request: dict[str, Any], handles: list[int]) -> dict[str, Any]:
    """Returns in the process that was asked for. Its parent reports its number and its end."""
    *streams, ends = handles
    child = os.fork()
    if child == 0:
        os.close(ends)
        for number, handle in enumerate(streams, 1):
            os.dup2(handle, number)
            os.close(handle)
        return request
    for handle in streams:
        os.close(handle)
    os.write(ends, child.to_bytes(4, "little", signed=True))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(ends, code.to_bytes(4, "little", signed=True))
    os._exit(0)


def _become(request: dict[str, Any]) -> None:
    """What Python does with its arguments."""
    if request["session"]:
        os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    first, *rest = request["command"]
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.modules["__main__"] = ModuleType("__main__")
        exec(rest[0], vars(sys.modules["__main__"]))
    else:
        sys.argv = [first, *rest]
        sys.path.insert(0, str(Path(first).parent))
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
