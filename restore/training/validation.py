"""Scores of a run on held-out images: computed at intervals, compared with the best so far, and the reason to stop early."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from restore.training.trainer import Trainer

Score = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], float]
"""(predictions, targets), each (H, W, C) float32 in nominal [0, 1] -> number."""


@dataclass(frozen=True)
class ValidationMetric:
    """One metric that a run is scored by.

    Attributes:
        score: scores all samples together.
        higher_is_better: its direction.
    """

    score: Score
    higher_is_better: bool


@dataclass(frozen=True)
class Validation:
    """Held-out samples and the metrics that score a trainer's predictions of them.

    Attributes:
        batches: as the trainer's `preview` takes them; the same at every validation.
        metrics: by name.
        best_by: the one of them that chooses the best weights.
        prediction: the title of the predictions in what `preview` returns; the targets' title is "target".
    """

    batches: Sequence[Mapping[str, Tensor]]
    metrics: Mapping[str, ValidationMetric]
    best_by: str
    prediction: str = "prediction"

    def scores(self, trainer: Trainer) -> dict[str, float]:
        """Return each metric over the samples. No weight changes, and the run's random numbers stay as they were."""
        predictions: list[np.ndarray] = []
        targets: list[np.ndarray] = []
        with torch.random.fork_rng(devices=[]):
            for batch in self.batches:
                images = trainer.preview(batch)
                predictions += _arrays(images[self.prediction])
                targets += _arrays(images["target"])
            return {name: metric.score(predictions, targets) for name, metric in self.metrics.items()}


def _arrays(images: Tensor) -> list[np.ndarray]:
    """(B, C, H, W) -> arrays (H, W, C) float32, clipped to [0, 1]."""
    return [*images.detach().float().cpu().clamp(0, 1).permute(0, 2, 3, 1).numpy()]


@dataclass
class BestSoFar:
    """The best validation of a run; part of its checkpoint.

    Attributes:
        value: its metric; None before the first validation.
        step: when it was.
        since: number of validations since then.
        metric: its name; empty before the first validation, and in checkpoints of earlier versions.
    """

    value: float | None = None
    step: int = 0
    since: int = 0
    metric: str = ""

    def choose(self, metric: str) -> str:
        """Choose by a metric from here on; begin anew if it was another one, and return that one's name ("" otherwise)."""
        before = self.metric if self.metric != metric else ""
        if before:
            self.value, self.step, self.since = None, 0, 0
        self.metric = metric
        return before

    def update(self, value: float, step: int, *, higher_is_better: bool) -> bool:
        """Take in a validation; return whether it is the best. A value that is not finite never is."""
        better = self.value is None or (value > self.value if higher_is_better else value < self.value)
        if better and np.isfinite(value):
            self.value, self.step, self.since = value, step, 0
            return True
        self.since += 1
        return False

    def state_dict(self) -> dict[str, float | int | str | None]:
        """Return the attributes."""
        return {"value": self.value, "step": self.step, "since": self.since, "metric": self.metric}

    def load_state_dict(self, state: Mapping[str, float | int | str | None]) -> None:
        """Restore what `state_dict` returned; an empty state is that of a run without a validation."""
        value = state.get("value")
        self.value = None if value is None else float(value)
        self.step, self.since, self.metric = int(state.get("step") or 0), int(state.get("since") or 0), str(state.get("metric") or "")
