"""A batch run in a process of its own, to be killed: python batch_process.py IN OUT [--kill-at N] [--slow STEP].

With --kill-at the process kills itself (SIGKILL) at the Nth thing it does to a file under OUT. Each event is a line on
standard output; an interrupted run ends with its summary and exit code 130.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from batch_steps import Inverse, looping

from restore import images
from restore.images import decoding
from restore.pipeline.batch import BatchOptions, Interrupted, run


def _kill_at(count: int, out: str) -> None:
    operations = 0
    lock = threading.Lock()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal operations
        if event in {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"} and str(arguments[0]).startswith(out):
            with lock:
                operations += 1
                if operations == count:
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


class Tiles(Inverse):
    """A picture that takes a minute, in steps as short as a tile."""

    def __call__(self, image: Any, analysis: Any = None, sidecars: Any = None) -> Any:
        if "slow" in image.info.path.name:
            print("in the network", flush=True)
            for _ in range(1200):
                time.sleep(0.05)
        return super().__call__(image)


def _slow_save(real: Any) -> Any:
    def save(picture: images.Picture, path: Path, frames: Any, **settings: Any) -> None:
        real(picture, path, frames, **settings)
        if "slow" in picture.path.name:
            print("being written", flush=True)
            time.sleep(60)

    return save


def _slow_decoder(real: Any) -> Any:
    def call(function: Any, *arguments: Any, samples: int, coded: int) -> Any:
        time.sleep(0.2)  # else Ctrl-C may come just before the main thread begins to wait, which it does not interrupt
        print("in the decoder", flush=True)
        return real(looping, *arguments, samples=10**9, coded=10**9)

    return call


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--slow", choices=("network", "save", "decode"))
    parser.add_argument("--seconds", type=float, default=0.0)
    arguments = parser.parse_args()
    if arguments.kill_at:
        _kill_at(arguments.kill_at, str(arguments.out))
    if arguments.slow == "save":
        images.Picture.save = _slow_save(images.Picture.save)  # type: ignore[method-assign]
    if arguments.slow == "decode":
        decoding.call = _slow_decoder(decoding.call)
    work = Tiles(arguments.seconds) if arguments.slow == "network" else Inverse(arguments.seconds)
    try:
        tell = lambda event: print(event.kind, event.index, flush=True)  # noqa: E731
        report = run(work, [arguments.source], arguments.out, BatchOptions(workers=2), tell)
    except Interrupted as stop:
        print("summary", stop.report.summary(), flush=True)
        return 130
    print("summary", report.summary(), flush=True)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background hands Ctrl-C down as ignored
    sys.exit(main())
