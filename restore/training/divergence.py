"""Notices a supervised training that diverges: long before its losses are no longer finite, its results get worse and worse."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from restore import distributed
from restore.training.train_state import StateDict
from restore.training.trainer import Diagnosis

EVERY = 50
"""Steps between two checks. The error is averaged over about as many."""
FACTOR = 3.0
"""Times the least mean error so far, above which a training has diverged. Means of 50 batches of a healthy one differ by a tenth."""
NEGLIGIBLE = 1 / 255
"""A mean error up to which nothing counts as diverged."""
REMEDY = (
    "the training diverges: its mean error was {least:.3g}, and is {error:.3g} now. It goes back to the last checkpoint that passed this "
    "check and on with half the learning rate; begin with a lower one, or set optimizer.clip"
)


class DivergenceMonitor:
    """Follows the mean absolute error of a training's results, whatever its loss is.

    Args:
        device: where the results are; nothing is copied from there but at a check.

    Attributes:
        passed: step of the last check that the training passed; -1 before.
    """

    def __init__(self, device: torch.device) -> None:
        self.mean = self.newest = torch.zeros((), device=device)
        self.updates = 0
        self.least = math.inf
        self.passed = -1

    def update(self, output: Tensor, target: Tensor) -> None:
        """Take the results of a step, both (B, C, H, W)."""
        self.updates += 1
        self.newest = (output.detach() - target).abs().mean()
        self.mean = torch.lerp(self.mean, self.newest, max(1 / EVERY, 1 / self.updates))

    def check(self, step: int) -> Sequence[Diagnosis]:
        """Ask for a return to the last checkpoint if the training has diverged. All processes find the same."""
        if self.updates < EVERY or step % EVERY:
            return ()
        mean, newest = self.mean.clone(), self.newest.clone()
        distributed.current().average([mean, newest])
        error, limit = float(mean), max(FACTOR * self.least, NEGLIGIBLE)
        if error > limit:
            return (Diagnosis("diverged", step, REMEDY.format(least=self.least, error=error), "rollback"),)
        self.least = min(self.least, error)
        # the mean follows an error that leaps only after some steps; a state that is kept to go back to must be free of the leap too
        if float(newest) <= min(limit, max(FACTOR * self.least, NEGLIGIBLE)):
            self.passed = step
        return ()

    def state_dict(self) -> StateDict:
        """Return what the next check depends on."""
        return {"mean": self.mean.cpu(), "updates": self.updates, "least": self.least}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore what `state_dict` returned."""
        self.passed = -1
        self.mean, self.updates, self.least = state["mean"].to(self.mean.device), int(state["updates"]), float(state["least"])
