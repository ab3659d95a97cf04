"""The settings of the loop, and what it reports to whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from restore.limits import check_fields, nearest
from restore.training.journal import OnEvent, Progress
from restore.training.trackers import TRACKERS
from restore.training.validation import Validation

AUTO = "auto"
"""PSNR for pairs, KID for domains."""


@dataclass(frozen=True)
class LoopConfig:
    """The length of a run and what it writes on the way."""

    steps: int = field(default=20_000, metadata={"help": "stop after this many steps in total", "range": (1, 1_000_000_000)})
    batch_size: int = field(default=16, metadata={"help": "crops per step, of all processes together", "range": (1, 65_536)})
    accumulate: int = field(
        default=1,
        metadata={
            "help": "equal micro-batches in which a batch goes through the networks, to save memory",
            "range": (1, 65_536),
        },
    )
    workers: int = field(default=0, metadata={"help": "processes that prepare crops; 0: the training process itself", "range": (0, 256)})
    log_every: int = field(default=50, metadata={"help": "steps between two lines of the log", "range": (1, 1_000_000_000)})
    preview_every: int = field(default=1000, metadata={"help": "steps between two preview grids", "range": (1, 1_000_000_000)})
    checkpoint_every: int = field(default=500, metadata={"help": "steps between two checkpoints", "range": (1, 1_000_000_000)})

    validate_every: int = field(
        default=500, metadata={"help": "steps between two validations on held-out pictures; 0: none", "range": (0, 1_000_000_000)}
    )
    best_by: str = field(
        default=AUTO, metadata={"help": "metric of the best weights, which are kept too: psnr, ssim, lpips ...; cyclegan: kid, fid ..."}
    )
    patience: int = field(
        default=0, metadata={"help": "stop early after so many validations without a better one; 0: never", "range": (0, 1_000_000)}
    )
    trackers: tuple[str, ...] = field(
        default=(), metadata={"help": f"experiment trackers besides TensorBoard: {', '.join(TRACKERS)}", "count": (0, 9)}
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if unknown := [name for name in self.trackers if name not in TRACKERS]:
            raise ValueError(f"unknown tracker {unknown[0]!r}: use {', '.join(TRACKERS)}{nearest(unknown[0], TRACKERS)}")


def ignore(event: str | Progress) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class Hooks:
    """What the loop reports, and to whom.

    Attributes:
        on_event: gets a `journal.Progress` or a line of text.
        on_ready: called by the main process before anything is written, with the step after which the run continues.
        on_checkpoint: called by the main process after each checkpoint, with its step.
        on_best: called by the main process after each validation that is the best so far, with its step and scores.
        published_best: returns the scores of the best weights that the run published before, by metric; empty if there are none.
    """

    on_event: OnEvent = ignore
    on_ready: Callable[[int], None] = lambda step: None
    on_checkpoint: Callable[[int], None] = lambda step: None
    on_best: Callable[[int, Mapping[str, float]], None] = lambda step, scores: None
    published_best: Callable[[], Mapping[str, float]] = dict


def check_patience(config: LoopConfig, validation: Validation | None) -> None:
    """Check that a run that may stop early is validated.

    Raises:
        ValueError: it is not.
    """
    if config.patience and (validation is None or not config.validate_every):
        raise ValueError(
            "loop.patience needs validations: hold pictures out that can be read (data.test_fraction, or a folder val/), "
            "and set loop.validate_every above 0"
        )
