"""Trains a tiny network twice, straight and killed (-9) again and again; see `test_killed.py`.

    python train_killed.py METHOD DATASET OUT KILLS SEED

leaves OUT/straight/run and OUT/killed/run. Each attempt is a fork of this process, so that it need not load torch again. Every other one is
killed before a file operation of the run's folder drawn at random (opening, renaming, linking, removing), the others at a random moment.
Prints each attempt's end as a JSON line.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

# what a run imports on its way, before the forks
import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401
import torch

import restore
from restore.training import checkpoint

METHODS: dict[str, dict[str, str]] = {
    "denoise": {"network.widths": "8,8", "network.blocks": "1,1", "data.crop": "16", "loop.batch_size": "2"},
    "cyclegan": {
        "generator.width": "4", "generator.blocks": "1", "data.crop": "16", "data.sides": "0,0", "discriminator.width": "4",
        "losses.image_buffer": "4", "discriminator.network": "unet", "loop.batch_size": "1",
    },
}  # fmt: skip
SETTINGS = {
    "loop.steps": "12", "loop.checkpoint_every": "2", "loop.log_every": "3", "loop.preview_every": "5", "precision": "fp32",
    "device": "cpu",
}  # fmt: skip
EVENTS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir"}


def train(method: str, dataset: Path, run: Path) -> None:
    """One attempt."""
    restore.train(method, dataset, overrides={**SETTINGS, **METHODS[method]}, out=run, resume=checkpoint.exists(run))


def _kill_before(operation: int, run: Path) -> None:
    """Have this process killed before that operation on files of the run."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in EVENTS and str(run) in str(arguments[0]):
            seen += 1
            if seen == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _attempt(method: str, dataset: Path, run: Path, before: int | None, after: float | None) -> int:
    """How it ended: 0 done, -9 killed."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        code = 1
        try:
            if before is not None:
                _kill_before(before, run)
            if after is not None:
                threading.Thread(target=lambda: (time.sleep(after), os.kill(os.getpid(), signal.SIGKILL)), daemon=True).start()
            train(method, dataset, run)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Kill it so many times, then let it end."""
    method, dataset, out, kills, seed = (
        sys.argv[1],
        Path(sys.argv[2]),
        Path(sys.argv[3]),
        int(sys.argv[4]),
        int(sys.argv[5]),
    )
    run = out / "killed" / "run"
    rng = random.Random(seed)
    gc.freeze()  # a fork's collections copy the pages of all that lives otherwise
    print(json.dumps({"straight": _attempt(method, dataset, out / "straight" / "run", None, None)}), flush=True)
    killed = 0
    for attempt in range(20 * kills):
        before = rng.randint(1, 60) if attempt % 2 == 0 else None
        after = rng.uniform(0.02, 0.6) if attempt % 2 else None
        code = _attempt(method, dataset, run, before, after)
        killed += code == -signal.SIGKILL
        print(json.dumps({"code": code, "before": before, "after": after}), flush=True)
        if killed >= kills or code not in (0, -signal.SIGKILL):
            break
        if code == 0:  # done before it was killed: begin another one, and kill that
            for path in sorted(run.rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()
    print(json.dumps({"code": _attempt(method, dataset, run, None, None), "killed": killed}), flush=True)


if __name__ == "__main__":
    main()
