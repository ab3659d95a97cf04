"""What the loop knows of a trainer: the `Trainer` protocol, and what a step and a check return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor, nn

from restore.training.train_state import StateDict, TrainState

Action = Literal["warn", "stop", "rollback"]


@dataclass(frozen=True)
class StepOutput:
    """The result of one training step.

    Attributes:
        losses: weighted terms by name; detached scalars.
        images: what the networks made, by name; detached, (B, C, H, W), nominal [0, 1]. The next step may overwrite them.
    """

    losses: Mapping[str, Tensor]
    images: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """One failure mode that a trainer found, reported once.

    Attributes:
        failure_mode: its name, for example "collapse".
        step: when it was found.
        text: what it is and what to do about it.
        action: what the loop does: go on, stop, or return to the last checkpoint.
    """

    failure_mode: str
    step: int
    text: str
    action: Action = "warn"

    def __str__(self) -> str:
        return f"step {self.step}: {self.text}"


class Trainer(Protocol):
    """Everything that the loop, the publisher and the dry run ask of a trainer."""

    def step(self, batch: Mapping[str, Tensor]) -> StepOutput:
        """Update every network once.

        Args:
            batch: the dataset's items, stacked: (B, C, H, W) by name.
        """

    def diagnostics(self, step: int) -> Sequence[Diagnosis]:
        """Report the failure modes that showed at `step` and were not reported before."""

    def passed_check(self, step: int) -> bool:
        """Whether nothing that a rollback would mend showed in a check at `step`; asked after `diagnostics`.

        A run keeps its last checkpoint that passed a check, and goes back to it. False at a step without a check. A trainer that never
        asks for a rollback returns True.
        """

    def scale_learning_rate(self) -> None:
        """Halve every learning rate after a rollback.

        Raises:
            ValueError: it was halved too often to help.
        """

    def preview(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Run the averaged networks on a batch; images (B, C, H, W) by title."""

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the averaged networks that are published, by name."""

    def train_states(self) -> Mapping[str, TrainState]:
        """Return every network that is trained, with its optimizers, by name."""

    def state_dict(self) -> StateDict:
        """Return everything that the next step depends on."""

    def load_state_dict(self, state: StateDict) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: the state belongs to another kind of run.
        """
