"""Runs mutants through worker processes with a time limit, counts what comes of them, and keeps the smallest input of each finding."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

import psutil
from fuzz_mutations import drawn_kinds, mutant
from fuzz_samples import KINDS, kinds

RIGHT = ("refused", "restored")
"""The outcomes that are no findings; the others: hang, crash, memory, unexpected, unreadable, warning."""
LIMIT, PATIENCE = 10.0, 120.0
"""Seconds that a case may compute, with its child processes, and that it may take in all; the second is long, for busy machines."""
_WORKER = Path(__file__).with_name("fuzz_worker.py")
_SUFFIXES = {kind: f".{kind}" for kind in KINDS} | {
    "jpeg": ".jpg",
    "tiff": ".tif",
    "pnm": ".pgm",
    "nifti": ".nii",
    "heif": ".heic",
    "jpeg2000": ".jp2",
    "jpegxl": ".jxl",
    "raw": ".dng",
    "dicom": ".dcm",
}


def suffix(kind: str) -> str:
    """What files of a kind are called."""
    return _SUFFIXES[kind.split(maxsplit=1)[0]]


@dataclass(frozen=True)
class Case:
    """One mutant."""

    number: int
    kind: str
    sample: str
    data: bytes


@dataclass(frozen=True)
class Outcome:
    """What came of a case: a name of RIGHT or of a finding, what was said, and where."""

    name: str
    detail: str
    place: str = ""

    @property
    def right(self) -> bool:
        """Whether it is no finding."""
        return self.name in RIGHT


def cases(count: int, seed: int) -> Iterator[Case]:
    """`count` mutants of all kinds in turn. A case depends on the seed and its own number alone."""
    order = drawn_kinds()
    for number in range(count):
        kind = order[number % len(order)]
        sample, data = mutant(kind, Random(f"{seed} {number}"))
        yield Case(number, kind, sample.name, data)


class Worker:
    """A process that takes files one after the other; a new one where the last hung or died."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._process: subprocess.Popen[str] | None = None

    def run(self, kind: str, data: bytes, *, converted: bool = False) -> Outcome:
        """What comes of a file's content; with `converted`, every fourth one becomes another format."""
        if self._process is None:
            self._start()
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        path = self.scratch / "in" / f"{'converted' if converted else 'case'}{suffix(kind)}"
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir()
        path.write_bytes(data)
        try:
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._ended(process)
        if (hang := self._waited(process)) is not None:
            self.close()
            return Outcome("hang", hang)
        line = process.stdout.readline()
        if not line:
            return self._ended(process)
        told = json.loads(line)
        return Outcome(told["outcome"], told["detail"], told["place"])

    def _waited(self, process: subprocess.Popen[str]) -> str | None:
        """Wait for an answer; what makes it a hang where none comes."""
        begun, computed = time.monotonic(), _computed(process.pid)
        assert process.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(process.stdout, selectors.EVENT_READ)
            while not waiting.select(min(1.0, LIMIT)):
                if _computed(process.pid) - computed >= LIMIT:
                    return f"it computed for more than {LIMIT:g} seconds"
                if time.monotonic() - begun > PATIENCE:
                    return f"no answer in {PATIENCE:g} seconds"
        return None

    def close(self) -> None:
        """End the process, whatever it is at."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_WORKER), str(self.scratch / "out")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        assert ready.strip() == "ready", "the worker does not start"

    def _ended(self, process: subprocess.Popen[str]) -> Outcome:
        process.wait()
        self._process = None
        return Outcome("crash", f"the process ended with {process.returncode}")


def _computed(number: int) -> float:
    """Seconds of processor time that a process and its children have taken."""
    with suppress(psutil.Error):
        process = psutil.Process(number)
        return sum(sum(each.cpu_times()[:4]) for each in (process, *process.children(recursive=True)))
    return 0.0


@contextmanager
def worker() -> Iterator[Worker]:
    """A worker with a folder of its own, in memory where the machine has such a place."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as scratch:
        made = Worker(Path(scratch))
        try:
            yield made
        finally:
            made.close()


@dataclass
class Tally:
    """The counts by kind and outcome, and of each sort of finding the smallest case."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: dict[tuple[str, str, str], tuple[Case, Outcome]] = field(default_factory=dict)
    sorts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, case: Case, outcome: Outcome) -> None:
        """Count one case."""
        self.counts[case.kind, outcome.name] += 1
        if outcome.right:
            return
        sort = (case.kind, outcome.name, outcome.place)
        self.sorts[sort] += 1
        known = self.findings.get(sort)
        if known is None or len(case.data) < len(known[0].data):
            self.findings[sort] = (case, outcome)

    def told(self) -> str:
        """The findings, one a line, for a failing test and for the long form."""
        lines = [
            f"{kind}: {name}{f' at {place}' if place else ''} ({self.sorts[kind, name, place]}), case {case.number} of {case.sample}: "
            f"{outcome.detail}"
            for (kind, name, place), (case, outcome) in sorted(self.findings.items())
        ]
        return "\n".join(lines)

    def table(self) -> str:
        """The counts as a table, a line a kind."""
        names = [*RIGHT, *sorted({name for _, name in self.counts} - {*RIGHT})]
        rows = [["kind", *names], *([kind, *(str(self.counts[kind, name]) for name in names)] for kind in kinds())]
        rows.append(["all", *(str(sum(self.counts[kind, name] for kind in kinds())) for name in names)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)

    def save(self, folder: Path) -> None:
        """Write the smallest input of each sort of finding into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for (kind, name, _), (case, _) in self.findings.items():
            (folder / f"{name}-{kind.replace(' ', '_')}-{case.number}{suffix(kind)}").write_bytes(case.data)


def tally(given: Iterable[Case], jobs: int = 1, tell: Callable[[str], None] = lambda text: None) -> Tally:
    """Run all cases with so many workers at a time; `tell` is told of each finding as it comes."""
    found, rest, lock = Tally(), iter(given), threading.Lock()

    def drive() -> None:
        with worker() as made:
            while True:
                with lock:
                    piece = list(islice(rest, 20))
                if not piece:
                    return
                for case in piece:
                    outcome = made.run(case.kind, case.data, converted=True)
                    with lock:
                        found.add(case, outcome)
                        if not outcome.right:
                            tell(f"{case.kind} {case.number}: {outcome.name} {outcome.place}: {outcome.detail}")

    with ThreadPoolExecutor(jobs) as pool:
        for driven in [pool.submit(drive) for _ in range(jobs)]:
            driven.result()
    return found
