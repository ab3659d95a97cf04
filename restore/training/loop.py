"""The loop: feeds a trainer, logs, previews, writes checkpoints and resumes. It knows no loss; a trainer knows no loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from restore import processes
from restore.runtime import memory_reused
from restore.training import checkpoint
from restore.training.charts import contact_sheet, loss_plot, outdated
from restore.training.journal import Journal, Meter, Progress, Silence
from restore.training.previews import save_grid
from restore.training.signals import Stopping, in_worker

log = logging.getLogger(__name__)


class Trainer(Protocol):
    """What the loop needs of a trainer, and all it knows of one."""

    def step(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """One update; the losses by name, detached scalars."""

    def preview(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Images (B, C, H, W) by title."""

    def networks(self) -> Mapping[str, nn.Module]:
        """What gets published."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""


@dataclass(frozen=True)
class LoopConfig:
    """How long a run runs and what it writes on the way."""

    steps: int = field(default=20_000, metadata={"help": "stop after this many steps in all", "range": (1, 1_000_000_000)})
    batch_size: int = field(default=16, metadata={"help": "crops a step, of all processes together", "range": (1, 65_536)})
    accumulate: int = field(
        default=1, metadata={"help": "equal parts in which a batch goes through the networks, to save memory", "range": (1, 65_536)}
    )
    workers: int = field(default=0, metadata={"help": "processes that prepare crops; 0: the training process itself", "range": (0, 256)})
    log_every: int = field(default=50, metadata={"help": "steps between two lines of the log", "range": (1, 1_000_000_000)})
    preview_every: int = field(default=1000, metadata={"help": "steps between two preview grids", "range": (1, 1_000_000_000)})
    checkpoint_every: int = field(default=500, metadata={"help": "steps between two checkpoints", "range": (1, 1_000_000_000)})

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "log_every", "preview_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")


def _nothing(step: int) -> None:
    """Nobody wants to know."""


def run(
    trainer: Trainer,
    dataset: Dataset[dict[str, Tensor]],
    config: LoopConfig,
    folder: Path,
    *,
    preview_batch: Mapping[str, Tensor] | None = None,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    on_ready: Callable[[int], None] = _nothing,
    on_checkpoint: Callable[[int], None] = _nothing,
) -> int:
    """Train until `config.steps`; on Ctrl-C, SIGTERM or SIGHUP write a checkpoint and let it rise.

    `dataset[i]` must be a function of i alone: step k takes the items k B .. (k + 1) B - 1, which makes the position in the data
    a matter of the step number.

    Args:
        on_ready: called before anything is written, with the step after which it goes on: a run that is refused got no further.
        on_checkpoint: called by the first process after each checkpoint, with its step.

    Returns:
        The step reached.

    Of several processes (`restore.processes`) each takes its share of every batch, and the first writes the files.

    Raises:
        ValueError: nothing to resume from, a loss that is no longer finite, or a batch that the processes cannot divide.
    """
    # crops are all of one size: what the search for the fastest convolutions costs comes back soon (on a CPU it does nothing)
    torch.backends.cudnn.benchmark = True
    team = processes.current()
    team.share(config.batch_size, "loop.batch_size")
    step = _resume(trainer, folder) if resume else 0
    if team.first:
        on_ready(step)
    team.part_ways()
    if step >= config.steps:
        if team.first and outdated(folder):
            loss_plot(folder)
        return step
    stopping = Stopping()
    with stopping.taking_over():
        return _train(
            trainer, dataset, config, folder, step=step, preview_batch=preview_batch, stopping=stopping,
            on_progress=on_progress, on_checkpoint=on_checkpoint,
        )  # fmt: skip


def _train(
    trainer: Trainer, dataset: Dataset[dict[str, Tensor]], config: LoopConfig, folder: Path, *, step: int,
    preview_batch: Mapping[str, Tensor] | None, stopping: Stopping, on_progress: Callable[[Progress], None] | None,
    on_checkpoint: Callable[[int], None],
) -> int:  # fmt: skip
    """The steps after `step`; returns the step reached. Longer than others, for it is one loop with all its occasions in sight."""
    team = processes.current()
    journal: Journal | Silence = Journal(folder, step) if team.first else Silence()
    shown = preview_batch if team.first else None
    meter = Meter(step, config.steps, config.batch_size)
    saved = step
    losses: Mapping[str, Tensor] = {}
    try:
        if step == 0 and shown is not None:
            save_grid(folder / "previews" / "000000.png", trainer.preview(shown))
        batches = _batches(dataset, config, step)
        while step < config.steps:
            batch = next(batches)
            with stopping.held(), memory_reused(torch.device("cpu")):
                losses = trainer.step(batch)
                step += 1
            if step % config.log_every == 0 or step == config.steps:
                progress = meter.read(step, _finite(losses, step, folder))
                journal.write(progress)
                if on_progress:
                    on_progress(progress)
            elif on_progress and (glance := meter.glance(step)):
                on_progress(glance)
            if shown is not None and (step % config.preview_every == 0 or step == config.steps):
                save_grid(folder / "previews" / f"{step:06d}.png", trainer.preview(shown))
                contact_sheet(folder)
            actions = _examined(trainer, step, journal, on_progress)
            if "rollback" in actions:
                with stopping.held():
                    step = saved = _roll_back(trainer, folder, on_checkpoint)
                batches = _batches(dataset, config, step)
                continue
            if step % config.checkpoint_every == 0 or step == config.steps or "stop" in actions:
                _finite(losses, step, folder)
                with stopping.held():
                    _save(trainer, step, folder, on_checkpoint)
                    saved = step
            if "stop" in actions:
                raise ValueError(f"stopped at step {step}, as the run was told to: {actions['stop']}")
    except KeyboardInterrupt:
        if step > saved and all(bool(torch.isfinite(value).all()) for value in losses.values()):
            _save(trainer, step, folder, on_checkpoint)
            saved = step
        log.warning("interrupted after step %d; go on with --resume", saved)
        raise
    finally:
        with stopping.held():
            journal.close()
            if team.first:
                loss_plot(folder)
    return step


def _save(trainer: Trainer, step: int, folder: Path, on_checkpoint: Callable[[int], None]) -> None:
    """Write a checkpoint, of several processes the first one's."""
    if processes.current().first:
        checkpoint.save(folder, {"step": step, "trainer": trainer.state_dict()})
        on_checkpoint(step)


def _resume(trainer: Trainer, folder: Path) -> int:
    state = checkpoint.load(folder)
    try:
        step = int(state["step"])
        trainer.load_state_dict(state["trainer"])
    except ValueError:
        raise
    except Exception as error:  # another kind of run's state leads anywhere
        raise ValueError(f"the checkpoint in {folder} is of another kind of run: keep the run's method and settings ({error!r})") from error
    if step < 0:
        raise ValueError(f"the checkpoint in {folder} is of another kind of run: it says that it is after step {step}")
    log.info("resumed %s after step %d", folder, step)
    return step


def _examined(
    trainer: Trainer, step: int, journal: Journal | Silence, tell: Callable[[Any], None] | None
) -> dict[str, str]:
    """What the trainer says of its health, logged and told: what is to be done -> why. Not every trainer has something to say."""
    examine = getattr(trainer, "examine", None)
    verdicts = examine(step) if examine else []
    for verdict in verdicts:
        log.warning("%s", verdict)
        journal.note(step, verdict.kind, verdict.text)
        if tell:
            tell(str(verdict))
    return {verdict.action: verdict.text for verdict in verdicts}


def _roll_back(trainer: Trainer, folder: Path, on_checkpoint: Callable[[int], None]) -> int:
    """Go back to the last checkpoint and on from there more softly; returns its step."""
    if not checkpoint.exists(folder):
        raise ValueError(f"{folder} has no checkpoint yet to roll back to: write them more often (loop.checkpoint_every)")
    step = _resume(trainer, folder)
    trainer.soften()  # type: ignore[attr-defined]
    processes.current().wait()  # until everybody has read the checkpoint that is now replaced
    _save(trainer, step, folder, on_checkpoint)
    processes.current().part_ways()
    return step


def _batches(dataset: Dataset[dict[str, Tensor]], config: LoopConfig, start: int) -> Iterator[dict[str, Tensor]]:
    if start >= config.steps:
        return
    indices = _Places(start, config)
    count = processes.current().count
    loader = DataLoader(
        dataset,
        config.batch_size // count,
        sampler=indices,
        num_workers=config.workers,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=config.workers > 0,
        worker_init_fn=in_worker,
        # the loader draws a seed for its workers from the global generator, which would differ between a straight and a resumed run
        generator=torch.Generator().manual_seed(0),
    )
    yield from loader


class _Places(Sampler[int]):
    """The items of each step from `start` on that are this process's."""

    def __init__(self, start: int, config: LoopConfig) -> None:
        self.start, self.config = start, config

    def __iter__(self) -> Iterator[int]:
        team, size = processes.current(), self.config.batch_size
        own = size // team.count
        for step in range(self.start, self.config.steps):
            first = step * size + team.index * own
            yield from range(first, first + own)


def _finite(losses: Mapping[str, Tensor], step: int, folder: Path) -> dict[str, float]:
    processes.current().average(list(losses.values()))
    values = {name: float(value) for name, value in losses.items()}
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
        raise ValueError(
            f"the loss {', '.join(bad)} is no longer finite at step {step}: resume {folder} from its last checkpoint "
            "with a lower learning rate"
        )
    return values
