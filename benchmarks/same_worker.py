"""The other side of `same_output.py`: runs cases with the tree that PYTHONPATH names, in one process, and says how each ended.

python benchmarks/same_worker.py JOBS.json RESULTS.jsonl SHIM
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from same_calls import CALLS, OLD_CALLS

Command = Callable[[list[str]], None]
"""The function behind the console script."""


def main(jobs: Path, results: Path, shim: Path) -> None:
    """Run every job; a line of `results` for each, written when it is done."""
    about = json.loads((shim / "shim.json").read_text())
    _check_tree(shim, about["packages"])
    module, _, name = about["command"].partition(":")
    command = getattr(importlib.import_module(module), name)
    for job in json.loads(jobs.read_text()):
        since = time.perf_counter()
        ended = _run(job, command)
        with results.open("a") as file:
            file.write(json.dumps({"name": job["name"], "seconds": time.perf_counter() - since, **ended}) + "\n")


def _check_tree(shim: Path, packages: list[str]) -> None:
    """The packages must be those of the tree that is asked for, not of an installation."""
    for name in packages:
        package = importlib.import_module(name)
        if not str(package.__file__).startswith(f"{shim}{os.sep}"):
            raise SystemExit(f"{name} comes from {package.__file__}, not from {shim}")


def _run(job: dict[str, Any], main_of: Command) -> dict[str, Any]:
    """Run one job in its own folder; the exit codes of its commands, -1 for what a call raised."""
    folder = Path(job["folder"])
    (folder / "own").mkdir(parents=True)
    os.environ["RESTORE_WEIGHTS"] = str(folder / "own")
    os.chdir(folder)
    for name, text in job["texts"].items():
        Path(name).write_text(text)
    codes: list[int] = []
    with _output_in(folder):
        try:
            if job["call"]:
                _call(job)
            for arguments in job["commands"]:
                codes.append(_code(main_of, arguments))
        except Exception:
            traceback.print_exc()
            codes.append(-1)
    return {"codes": codes}


def _code(main_of: Command, arguments: list[str]) -> int:
    """Run the command line as the console script would, in this process; its exit code."""
    try:
        main_of(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _call(job: dict[str, Any]) -> None:
    function = OLD_CALLS.get(job["call"]) if job["old"] else None
    arrays = (function or CALLS[job["call"]])(Path(job["inputs"]))
    Path("arrays").mkdir()
    for name, array in arrays.items():
        np.save(Path("arrays") / f"{name}.npy", array)


@contextmanager
def _output_in(folder: Path) -> Iterator[None]:
    """Send file descriptors 1 and 2 into stdout.txt and stderr.txt, whoever writes."""
    kept = [os.dup(number) for number in (1, 2)]
    try:
        for number, name in ((1, "stdout.txt"), (2, "stderr.txt")):
            with (folder / name).open("wb") as file:
                os.dup2(file.fileno(), number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
