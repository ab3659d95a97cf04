"""What a run tells of itself: its progress, log.jsonl and TensorBoard."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from restore.writing import atomic_write

QUIET = 20.0
"""Seconds without a word after which a run says where it stands: fifty steps may take a quarter of an hour."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands, told every `log_every` steps, and in between without losses where those take long."""

    step: int
    steps: int
    losses: dict[str, float]
    images_per_second: float
    seconds_left: float


class Meter:
    """Images a second and the time left, over the steps since the last reading."""

    def __init__(self, step: int, steps: int, batch_size: int) -> None:
        self.steps, self.batch_size = steps, batch_size
        self.step, self.since = step, time.perf_counter()
        self.told = self.since

    def read(self, step: int, losses: dict[str, float]) -> Progress:
        """Where the run stands at `step`."""
        progress = self._tell(step, losses)
        self.step, self.since = step, self.told
        return progress

    def glance(self, step: int) -> Progress | None:
        """The same without losses, which several processes would have to average, if nothing was told for `QUIET` seconds."""
        return self._tell(step, {}) if time.perf_counter() - self.told >= QUIET else None

    def _tell(self, step: int, losses: dict[str, float]) -> Progress:
        self.told = time.perf_counter()
        pace = (step - self.step) / max(self.told - self.since, 1e-9)
        return Progress(step, self.steps, losses, pace * self.batch_size, (self.steps - step) / max(pace, 1e-9))


class Journal:
    """log.jsonl and TensorBoard; on resume, lines past the checkpoint are dropped, since those steps are run again."""

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.jsonl"
        kept = (
            [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if _step_of(line) <= step]
            if step and path.is_file()
            else []
        )
        with atomic_write(path) as draft:
            draft.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        self.file = path.open("a")
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def write(self, progress: Progress) -> None:
        """A line of losses."""
        row = {"step": progress.step, **progress.losses, "images_per_second": round(progress.images_per_second, 3)}
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()
        for name, value in progress.losses.items():
            self.board.add_scalar(name, value, progress.step)

    def note(self, step: int, kind: str, text: str) -> None:
        """A verdict on the run's health."""
        self.file.write(json.dumps({"step": step, "verdict": kind, "text": text}) + "\n")
        self.file.flush()
        self.board.add_text(f"health/{kind}", text, step)

    def close(self) -> None:
        """Nothing more is to come."""
        self.file.close()
        self.board.close()


class Silence:
    """The journal of the processes that write none."""

    def write(self, progress: Progress) -> None:
        """Nothing."""

    def note(self, step: int, kind: str, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
