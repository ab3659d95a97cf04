"""The loop: feeds a trainer, logs, previews, writes checkpoints and resumes. It knows no loss, and a trainer knows no loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from restore import distributed
from restore.runtime import memory_reused
from restore.training import checkpoint, trackers
from restore.training.batches import batches
from restore.training.charts import loss_plot, outdated
from restore.training.journal import Journal, Meter, NullJournal
from restore.training.loop_config import Hooks, LoopConfig, check_patience, ignore
from restore.training.position import Position, load
from restore.training.signals import Stopping
from restore.training.trackers import Tracker
from restore.training.trainer import Diagnosis, Trainer
from restore.training.validation import BestSoFar, Validation
from restore.training.watch import Watch

log = logging.getLogger(__name__)


def run(  # noqa: PLR0913  # keyword-only parts of a run
    trainer: Trainer, dataset: Dataset[dict[str, Tensor]], config: LoopConfig, folder: Path, *,
    preview_batch: Mapping[str, Tensor] | None = None, validation: Validation | None = None, resume: bool = False,
    hooks: Hooks | None = None, settings: Mapping[str, object] | None = None,
) -> int:  # fmt: skip
    """Train until `config.steps`; on Ctrl-C, SIGTERM or SIGHUP write a checkpoint and raise.

    Of several processes (`restore.distributed`) each takes its part of every batch, and the main process writes the files.

    Args:
        dataset: `dataset[i]` must be a function of i alone; see `batches`.
        validation: held-out samples and metrics; None for a run without.
        settings: what the trackers keep of the run's configuration, by dotted key.

    Returns:
        The step reached: fewer than `config.steps` if the run stopped early.

    Raises:
        ValueError: nothing to resume from, a loss that is no longer finite, a failure mode that stops the run, or a batch that the
            processes cannot divide.
    """
    # crops have one size: the search for the fastest convolutions soon pays off (on a CPU it does nothing)
    torch.backends.cudnn.benchmark = True
    hooks = hooks or Hooks()
    group = distributed.current()
    group.per_process(config.batch_size, "loop.batch_size")
    check_patience(config, validation)
    watch = Watch(folder, preview_batch, validation if config.validate_every else None, config.patience)
    if resume:
        watch.published.update(hooks.published_best())
    position = load(trainer, watch.best, folder) if resume else Position()
    step = position.step
    if group.is_main:
        hooks.on_ready(position.complete)
    group.seed_per_rank()
    if position.complete >= config.steps:
        if group.is_main and outdated(folder):
            loss_plot(folder)
        return step
    if text := watch.choose_metric():
        hooks.on_event(text)
    if watch.is_over():
        hooks.on_event(f"nothing to do: stopped early, {watch}; for more steps raise loop.patience")
        return step
    stopping = Stopping()
    with stopping.taking_over(), trackers.running(config.trackers, folder, settings or {}) as active:
        return _Loop(
            trainer, dataset, config, folder, hooks=hooks, stopping=stopping, watch=watch, active=active, position=position
        ).train()


class _Loop:
    """The steps of one run after a position; its attributes are where the run stands."""

    def __init__(  # noqa: PLR0913  # the parts of a run, keyword-only
        self, trainer: Trainer, dataset: Dataset[dict[str, Tensor]], config: LoopConfig, folder: Path, *, hooks: Hooks,
        stopping: Stopping, watch: Watch, active: Sequence[Tracker], position: Position,
    ) -> None:  # fmt: skip
        self.trainer, self.dataset, self.config, self.folder = trainer, dataset, config, folder
        self.hooks, self.stopping, self.watch = hooks, stopping, watch
        self.step = self.saved = step = position.step
        self.halvings, self.passed = position.halvings, position.passed
        self.pending = position.pending is not None
        self.losses: Mapping[str, Tensor] = {name: torch.tensor(value) for name, value in (position.pending or {}).items()}
        self.best_before = watch.best.state_dict()
        self.journal: Journal | NullJournal = NullJournal()
        if distributed.current().is_main:
            self.journal = Journal(folder, step, active, again=self.pending)
        self.meter = self._new_meter()

    def train(self) -> int:
        """Run all steps; return the step reached."""
        try:
            if self.step == 0:
                self.watch.preview(self.trainer, self.step)
            stream = self._batches()
            is_over = self.pending and self._follow_up(diagnosed=True)
            while not is_over and self.step < self.config.steps:
                batch = next(stream)
                with self.stopping.held(), memory_reused(torch.device("cpu")):
                    self.best_before = self.watch.best.state_dict()
                    self.losses = self.trainer.step(batch).losses
                    self.step, self.pending = self.step + 1, True
                trained = self.step
                is_over = self._follow_up()
                if self.step != trained:  # rolled back
                    stream = self._batches()
        except KeyboardInterrupt:
            self._save_interrupted()
            raise
        finally:
            with self.stopping.held():
                self.journal.close()
                self.watch.finish()
        return self.step

    def _follow_up(self, *, diagnosed: bool = False) -> bool:
        """Report, preview, validate and diagnose a step, and act on it; return whether the run ends here.

        An interruption may come before the diagnosis; a resumed run then begins with this, `diagnosed` when it was interrupted.
        """
        self._report()
        if self._due(self.config.preview_every):
            self.watch.preview(self.trainer, self.step)
            self.watch.overview()
        stopped_early = self._validate()
        with self.stopping.held():
            actions = {} if diagnosed else self._diagnose()
            self.pending = False
            if "rollback" in actions:
                self._roll_back()
                return False
            if self._due(self.config.checkpoint_every) or "stop" in actions or stopped_early:
                self._finite_losses()
                self._save()
        if "stop" in actions:
            raise ValueError(f"stopped at step {self.step}, as monitor.on_collapse asks: {actions['stop'].text}")
        if stopped_early:
            self.hooks.on_event(f"step {self.step}: stopped early, {self.watch}")
        return stopped_early

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.config.steps

    def _new_meter(self) -> Meter:
        return Meter(self.step, self.config.steps, self.config.batch_size)

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

    def _validate(self) -> bool:
        """Score the run if it is time; return whether it stops early."""
        if self.watch.validation is None or not self._due(self.config.validate_every):
            return False
        if measured := self.watch.scores(self.trainer):
            best = self.watch.is_best(measured, self.step)
            scores = {name: value for name, value in measured.items() if math.isfinite(value)}  # JSON has no other numbers
            self.journal.score(self.step, scores)
            text = ", ".join(f"{name} {value:.4g}" for name, value in measured.items())
            self.hooks.on_event(f"step {self.step}: validation {text}" + (" (best)" if best else ""))
            if best:
                with self.stopping.held():
                    self.hooks.on_best(self.step, scores)
        return self.watch.is_over()

    def _diagnose(self) -> dict[str, Diagnosis]:
        """Log and report the trainer's diagnoses; return them by the action they ask for."""
        diagnoses = self.trainer.diagnostics(self.step)
        for diagnosis in diagnoses:
            self.journal.note(diagnosis)
            self.hooks.on_event(str(diagnosis))
            if self.hooks.on_event is ignore and distributed.current().is_main:  # a caller without a listener hears of it all the same
                log.warning("%s", diagnosis)
        self.passed |= self.trainer.passed_check(self.step)
        return {diagnosis.action: diagnosis for diagnosis in diagnoses}

    def _roll_back(self) -> None:
        """Return to the last checkpoint that passed a check, and continue with half the learning rates.

        What the run goes back to counts as unchecked until it passes a check again: if it fails instead, the run goes back further.

        Raises:
            ValueError: there is no checkpoint, or the rates were halved too often; the run is then back at the checkpoint all the same.
        """
        with self.stopping.held():
            if not checkpoint.exists(self.folder):
                raise ValueError(f"{self.folder} has no checkpoint yet to roll back to: write them more often (loop.checkpoint_every)")
            halvings = self.halvings + 1
            position = self._load_passed()
            self.step, self.halvings, self.passed = position.step, position.halvings, False
            distributed.current().wait()  # until every process has read the checkpoint that is now replaced
            try:
                while self.halvings < halvings:  # an older checkpoint has the rates of its time
                    self.trainer.scale_learning_rate()
                    self.halvings += 1
            except ValueError as error:
                scale = 0.5**self.halvings
                raise ValueError(
                    f"{error}. The run is back at step {self.step}: --resume goes on there, with {scale:g} of its rate"
                ) from error
            finally:
                self._save()
                self.passed = False
            distributed.current().seed_per_rank()
            self.meter = self._new_meter()

    def _load_passed(self) -> Position:
        """Load the last checkpoint that passed a check; the best validation stays, though it may be of a later step."""
        best, saved = self.watch.best, BestSoFar()
        position = load(self.trainer, saved, self.folder, previous=not self._all_passed())
        best.since = saved.since if best.step == saved.step else 0
        return position

    def _all_passed(self) -> bool:
        """Whether the newest checkpoint passed a check in every process: all go back to the same one."""
        passed = torch.tensor([float(self.passed)])
        distributed.current().average([passed])
        return bool(passed == 1)

    def _save(self) -> None:
        """Write a checkpoint; of several distributed, the main one's. It replaces only what passed no check; the last that did is kept."""
        passed = self.trainer.passed_check(self.step) or (self.step == self.saved and self.passed)
        if distributed.current().is_main:
            state = {
                "step": self.step, "trainer": self.trainer.state_dict(), "halvings": self.halvings, "passed": passed,
                "best": self.best_before if self.pending else self.watch.best.state_dict(),
                "pending": {name: float(value) for name, value in self.losses.items()} if self.pending else None,
            }  # fmt: skip
            checkpoint.save(self.folder, state, keep=self.passed and self.step != self.saved)
            self.hooks.on_checkpoint(self.step)
        self.saved, self.passed = self.step, passed

    def _save_interrupted(self) -> None:
        if self.step > self.saved and all(bool(torch.isfinite(value).all()) for value in self.losses.values()):
            # now, because it depends on what no checkpoint holds, such as the gradients; not while other processes may be elsewhere
            actions = self._diagnose() if self.pending and distributed.current().world_size == 1 else {}
            if "rollback" in actions and checkpoint.exists(self.folder):
                self.pending = False
                self._roll_back()
            else:
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
