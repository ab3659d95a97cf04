"""Where a run continues: what a checkpoint holds besides the trainer's state."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from restore.training import checkpoint
from restore.training.trainer import Trainer
from restore.training.validation import BestSoFar

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Position:
    """Where a run continues.

    Attributes:
        step: the last step that was trained.
        halvings: how often the learning rates were halved by rollbacks.
        passed: whether the newest checkpoint passed a check (`Trainer.passed_check`).
        pending: the losses of the step, if the run was interrupted before the step was reported, previewed and validated; else None.
    """

    step: int = 0
    halvings: int = 0
    passed: bool = False
    pending: Mapping[str, float] | None = None

    @property
    def complete(self) -> int:
        """The last step that was reported, previewed and validated, too."""
        return self.step if self.pending is None else self.step - 1


def load(trainer: Trainer, best: BestSoFar, folder: Path, *, previous: bool = False) -> Position:
    """Load the newest checkpoint, or the one before, into the trainer and the best validation.

    Raises:
        ValueError: there is none that can be read, or it is of another kind of run.
    """
    state = checkpoint.load(folder, previous=previous)
    try:
        step = int(state["step"])
        # checkpoints of earlier versions have none of these
        pending = {str(name): float(value) for name, value in losses.items()} if (losses := state.get("pending")) is not None else None
        position = Position(step, int(state.get("halvings", 0)), bool(state.get("passed", False)), pending)
        trainer.load_state_dict(state["trainer"])
        best.load_state_dict(state.get("best", {}))
    except ValueError:
        raise
    except Exception as error:  # the state of another kind of run may raise anything
        raise ValueError(f"the checkpoint in {folder} is of another kind of run: keep the run's method and settings ({error!r})") from error
    if step < 0:
        raise ValueError(f"the checkpoint in {folder} is of another kind of run: it claims to be after step {step}")
    log.info("resumed %s after step %d", folder, step)
    return position
