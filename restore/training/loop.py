"""The loop: feeds a trainer, logs, previews, writes checkpoints and resumes. It knows no loss, and a trainer knows no loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from restore import distributed
from restore.limits import check_fields
from restore.runtime import memory_reused
from restore.training import checkpoint
from restore.training.batches import batches
from restore.training.charts import contact_sheet, loss_plot, outdated
from restore.training.journal import Journal, Meter, NullJournal, OnEvent
from restore.training.previews import save_grid
from restore.training.signals import Stopping
from restore.training.trainer import Diagnosis, Trainer

log = logging.getLogger(__name__)


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

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Hooks:
    """What the loop reports, and to whom.

    Attributes:
        on_event: gets a `journal.Progress` or a line of text.
        on_ready: called by the main process before anything is written, with the step after which the run continues.
        on_checkpoint: called by the main process after each checkpoint, with its step.
    """

    on_event: OnEvent = lambda event: None
    on_ready: Callable[[int], None] = lambda step: None
    on_checkpoint: Callable[[int], None] = lambda step: None


def run(
    trainer: Trainer, dataset: Dataset[dict[str, Tensor]], config: LoopConfig, folder: Path, *,
    preview_batch: Mapping[str, Tensor] | None = None, resume: bool = False, hooks: Hooks | None = None,
) -> int:  # fmt: skip
    """Train until `config.steps`; on Ctrl-C, SIGTERM or SIGHUP write a checkpoint and raise.

    Of several processes (`restore.distributed`) each takes its part of every batch, and the main process writes the files.

    Args:
        dataset: `dataset[i]` must be a function of i alone; see `batches`.

    Returns:
        The step reached.

    Raises:
        ValueError: nothing to resume from, a loss that is no longer finite, a failure mode that stops the run, or a batch that the
            processes cannot divide.
    """
    # crops have one size: the search for the fastest convolutions soon pays off (on a CPU it does nothing)
    torch.backends.cudnn.benchmark = True
    hooks = hooks or Hooks()
    group = distributed.current()
    group.per_process(config.batch_size, "loop.batch_size")
    step = _resume(trainer, folder) if resume else 0
    if group.is_main:
        hooks.on_ready(step)
    group.seed_per_rank()
    if step >= config.steps:
        if group.is_main and outdated(folder):
            loss_plot(folder)
        return step
    stopping = Stopping()
    with stopping.taking_over():
        shown = preview_batch if group.is_main else None
        return _Loop(trainer, dataset, config, folder, hooks=hooks, stopping=stopping, preview_batch=shown, step=step).train()


class _Loop:
    """The steps of one run after step `step`; its attributes are where the run stands."""

    def __init__(  # noqa: PLR0913  # the parts of a run, keyword-only
        self, trainer: Trainer, dataset: Dataset[dict[str, Tensor]], config: LoopConfig, folder: Path, *, hooks: Hooks,
        stopping: Stopping, preview_batch: Mapping[str, Tensor] | None, step: int,
    ) -> None:  # fmt: skip
        self.trainer, self.dataset, self.config, self.folder = trainer, dataset, config, folder
        self.hooks, self.stopping, self.preview_batch = hooks, stopping, preview_batch
        self.step = self.saved = step
        self.losses: Mapping[str, Tensor] = {}
        self.journal: Journal | NullJournal = Journal(folder, step) if distributed.current().is_main else NullJournal()
        self.meter = Meter(step, config.steps, config.batch_size)

    def train(self) -> int:
        """Run all steps; return the step reached."""
        try:
            if self.step == 0:
                self._preview()
            stream = self._batches()
            while self.step < self.config.steps:
                batch = next(stream)
                with self.stopping.held(), memory_reused(torch.device("cpu")):
                    self.losses = self.trainer.step(batch).losses
                    self.step += 1
                self._report()
                if self._due(self.config.preview_every):
                    self._preview()
                    self._contact_sheet()
                actions = self._diagnose()
                if "rollback" in actions:
                    self._roll_back()
                    stream = self._batches()
                    continue
                if self._due(self.config.checkpoint_every) or "stop" in actions:
                    self._finite_losses()
                    with self.stopping.held():
                        self._save()
                if "stop" in actions:
                    raise ValueError(f"stopped at step {self.step}, as monitor.on_collapse asks: {actions['stop'].text}")
        except KeyboardInterrupt:
            self._save_interrupted()
            raise
        finally:
            with self.stopping.held():
                self.journal.close()
                if distributed.current().is_main:
                    loss_plot(self.folder)
        return self.step

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.config.steps

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        config = self.config
        return batches(self.dataset, batch_size=config.batch_size, workers=config.workers, start=self.step, stop=config.steps)

    def _report(self) -> None:
        if self._due(self.config.log_every):
            progress = self.meter.read(self.step, self._finite_losses())
            self.journal.write(progress)
            self.hooks.on_event(progress)
        elif progress_only := self.meter.glance(self.step):
            self.hooks.on_event(progress_only)

    def _preview(self) -> None:
        if self.preview_batch is not None:
            save_grid(self.folder / "previews" / f"{self.step:06d}.png", self.trainer.preview(self.preview_batch))

    def _contact_sheet(self) -> None:
        if self.preview_batch is not None:
            contact_sheet(self.folder)

    def _diagnose(self) -> dict[str, Diagnosis]:
        """Log and report the trainer's diagnoses; return them by the action they ask for."""
        diagnoses = self.trainer.diagnostics(self.step)
        for diagnosis in diagnoses:
            log.warning("%s", diagnosis)
            self.journal.note(diagnosis)
            self.hooks.on_event(str(diagnosis))
        return {diagnosis.action: diagnosis for diagnosis in diagnoses}

    def _roll_back(self) -> None:
        """Return to the last checkpoint and continue with half the learning rates."""
        with self.stopping.held():
            if not checkpoint.exists(self.folder):
                raise ValueError(f"{self.folder} has no checkpoint yet to roll back to: write them more often (loop.checkpoint_every)")
            self.step = _resume(self.trainer, self.folder)
            self.trainer.scale_learning_rate()
            distributed.current().wait()  # until every process has read the checkpoint that is now replaced
            self._save()
            distributed.current().seed_per_rank()

    def _save(self) -> None:
        """Write a checkpoint; of several distributed, the main one's."""
        if distributed.current().is_main:
            checkpoint.save(self.folder, {"step": self.step, "trainer": self.trainer.state_dict()})
            self.hooks.on_checkpoint(self.step)
        self.saved = self.step

    def _save_interrupted(self) -> None:
        if self.step > self.saved and all(bool(torch.isfinite(value).all()) for value in self.losses.values()):
            self._save()
        log.warning("interrupted after step %d; continue with --resume", self.saved)

    def _finite_losses(self) -> dict[str, float]:
        """Return the losses, averaged over the processes.

        Raises:
            ValueError: one is not finite.
        """
        distributed.current().average(list(self.losses.values()))
        values = {name: float(value) for name, value in self.losses.items()}
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise ValueError(
                f"the loss {', '.join(bad)} is no longer finite at step {self.step}: resume {self.folder} from its last checkpoint "
                "with a lower learning rate"
            )
        return values


def _resume(trainer: Trainer, folder: Path) -> int:
    """Load the newest checkpoint into the trainer; return its step."""
    state = checkpoint.load(folder)
    try:
        step = int(state["step"])
        trainer.load_state_dict(state["trainer"])
    except ValueError:
        raise
    except Exception as error:  # the state of another kind of run may raise anything
        raise ValueError(f"the checkpoint in {folder} is of another kind of run: keep the run's method and settings ({error!r})") from error
    if step < 0:
        raise ValueError(f"the checkpoint in {folder} is of another kind of run: it claims to be after step {step}")
    log.info("resumed %s after step %d", folder, step)
    return step
