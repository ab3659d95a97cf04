"""What a run reports: its progress, log.jsonl and TensorBoard."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from restore.training.trackers import Tracker
from restore.training.trainer import Diagnosis
from restore.writing import atomic_write

log = logging.getLogger(__name__)
VALIDATION = "validation "
"""Begins the names of a validation's scores in the log."""
QUIET = 20.0
"""Seconds without a report after which a run reports its step: fifty steps may take a quarter of an hour."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands; reported every `log_every` steps, and in between without losses where these take long.

    Where no step was measured yet, `images_per_second` is 0 and `seconds_left` None.
    """

    step: int
    steps: int
    losses: dict[str, float]
    images_per_second: float
    seconds_left: float | None

    def __str__(self) -> str:
        losses = "".join(f"{name} {value:.4g}  " for name, value in self.losses.items())
        if self.seconds_left is None:
            return f"step {self.step:>6}/{self.steps}  {losses}".rstrip()
        pace = f"{self.images_per_second:.1f}" if self.images_per_second >= 1 else f"{self.images_per_second:.2g}"
        left = f"{self.seconds_left / 60:.0f} min" if self.seconds_left >= 90 else f"{self.seconds_left:.0f} s"
        return f"step {self.step:>6}/{self.steps}  {losses}{pace} crops/s  {left} left"


OnEvent = Callable[[str | Progress], None]
"""What hears of a run: gets lines of text and its progress."""


class Meter:
    """Measures images per second and the time left, over the steps since the last reading."""

    def __init__(self, step: int, steps: int, batch_size: int) -> None:
        self.steps, self.batch_size = steps, batch_size
        self.step, self.since = step, time.perf_counter()
        self.reported = self.since

    def read(self, step: int, losses: dict[str, float]) -> Progress:
        """Return the progress at `step`, and start a new measurement."""
        progress = self._progress(step, losses)
        self.step, self.since = step, self.reported
        return progress

    def glance(self, step: int) -> Progress | None:
        """Return the progress if nothing was reported for `QUIET` seconds; without losses, which all processes would have to average."""
        return self._progress(step, {}) if time.perf_counter() - self.reported >= QUIET else None

    def _progress(self, step: int, losses: dict[str, float]) -> Progress:
        self.reported = time.perf_counter()
        pace = max(step - self.step, 0) / max(self.reported - self.since, 1e-9)
        return Progress(step, self.steps, losses, pace * self.batch_size, (self.steps - step) / pace if pace else None)


class Journal:
    """Writes log.jsonl and TensorBoard, and tells the trackers.

    On resume it drops the lines past the checkpoint, since these steps run again. With `again`, the checkpoint's own step is reported
    again, too: only its diagnoses stay.
    """

    def __init__(self, folder: Path, step: int, trackers: Sequence[Tracker] = (), *, again: bool = False) -> None:
        self.trackers = trackers
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.jsonl"
        kept = (
            [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if _is_kept(line, step, again)]
            if step and path.is_file()
            else []
        )
        with atomic_write(path) as draft:
            draft.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        self.file = path.open("a")
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=(step if again else step + 1) if step else None)

    def write(self, progress: Progress) -> None:
        """Write a line of losses."""
        self._row({"step": progress.step, **progress.losses, "images_per_second": round(progress.images_per_second, 3)})
        self._scalars(progress.losses, progress.step)

    def score(self, step: int, scores: Mapping[str, float]) -> None:
        """Write a line with the scores of a validation."""
        named = {f"{VALIDATION}{name}": value for name, value in scores.items()}
        self._row({"step": step, **named})
        self._scalars(named, step)

    def note(self, diagnosis: Diagnosis) -> None:
        """Write a line with a diagnosis."""
        self._row({"step": diagnosis.step, "diagnosis": diagnosis.failure_mode, "text": diagnosis.text})
        self.board.add_text(f"diagnosis/{diagnosis.failure_mode}", diagnosis.text, diagnosis.step)

    def close(self) -> None:
        """Close both. The trackers are closed by who started them."""
        self.file.close()
        self.board.close()

    def _row(self, row: Mapping[str, object]) -> None:
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.board.add_scalar(name, value, step)
        for tracker in self.trackers:
            try:
                tracker.log(values, step)
            except Exception as error:  # a tracker's server may be away; the run goes on
                log.warning("a tracker missed step %d: %s", step, error)


class NullJournal:
    """The journal of all processes but the main one; it writes nothing."""

    def write(self, progress: Progress) -> None:
        """Write nothing."""

    def score(self, step: int, scores: Mapping[str, float]) -> None:
        """Write nothing."""

    def note(self, diagnosis: Diagnosis) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Close nothing."""


def _is_kept(line: str, step: int, again: bool) -> bool:
    try:
        row = json.loads(line)
        return float(row["step"]) < step or (float(row["step"]) == step and (not again or "diagnosis" in row))
    except (ValueError, KeyError, TypeError):
        return False
