"""A training run from its command to its published weights: the folder, the configuration, the loop, the card."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import torch

from restore import distributed, runtime, weights
from restore.datasets import folders
from restore.limits import check_local
from restore.tasks import resuming
from restore.tasks.configuring import resolve_config
from restore.tasks.prepared_run import Prepared, first_batch
from restore.tasks.publishing import Publisher
from restore.tasks.training_methods import METHODS
from restore.training import checkpoint, loop, loop_config, trackers
from restore.training import config as configuration
from restore.training.cuda_graph import WARMUP_STEPS
from restore.training.journal import OnEvent, Progress
from restore.training.run_folder import only_writer
from restore.training.training_config import TrainingConfig
from restore.writing import atomic_write, real


@dataclass(frozen=True)
class TrainingResult:
    """What a training run reached.

    Attributes:
        folder: the run's folder.
        steps: the step reached.
        weights: the published weights, usable as `--weights`; None for a dry run, and in all processes but the main one.
        stats: images found, parameters, device, skipped images; for a dry run also steps per second and peak memory.
    """

    folder: Path
    steps: int
    weights: Path | None
    stats: dict[str, object]


def train(  # noqa: PLR0913  # keyword-only settings of a run
    method: str,
    dataset: str | PathLike[str],
    *,
    config_file: str | PathLike[str] | None = None,
    overrides: Mapping[str, str] | None = None,
    out: str | PathLike[str] | None = None,
    resume: bool = False,
    dry_run: bool = False,
    on_event: OnEvent | None = None,
) -> TrainingResult:
    """Train a network on your own pictures and publish its averaged weights.

    Args:
        method: a key of `restore.tasks.training_methods.METHODS`.
        dataset: a folder, or a name under data/.
        config_file: a TOML file, or the name of a shipped recipe; its file patterns apply only to the dataset that they belong to.
        overrides: dotted key -> text.
        out: the run's folder; by default runs/METHOD-DATASET.
        resume: continue from the checkpoint in `out`, with the configuration saved there unless another is given. The device may change.
            A change of precision is reported, because the run is no longer bit-identical; fp16 cannot be mixed with the others.
        dry_run: check everything and time a few steps, but write nothing.
        on_event: gets lines of text and `journal.Progress`.

    Raises:
        ValueError: an unknown method, setting or dataset, a folder that is the dataset, that holds another run or that another training
            writes, or nothing to resume. Nothing was written then.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: there are {', '.join(METHODS)}")
    is_main = distributed.current().is_main
    notify = on_event if on_event and is_main else loop_config.ignore
    root = _located(dataset, out)
    folder = Path(out) if out else Path("runs") / f"{method}-{real(root).name}"
    _check_folder(folder, root, notify)
    with ExitStack() as stack:
        if resume:
            resuming.check_begun(folder, method)
            if is_main and not dry_run:
                stack.enter_context(only_writer(folder))
        notes: list[str | Progress] = []  # of a run that goes on, which is not certain before its checkpoint was read
        said = notes.append if resume else notify
        config = resolve_config(METHODS[method], root, folder, config_file, overrides, resume=resume, on_event=said)
        if not resume and not dry_run:
            _check_unused(folder)
        # a resumed run has the weights that it started from in its checkpoint; their file may be gone
        prepared = METHODS[method].prepare(root, replace(config, start_from=None) if resume else config)
        if resume:
            resuming.check_data(folder, root, prepared)
        loop_config.check_patience(config.loop, prepared.validation)
        trackers.check_installed(config.loop.trackers)
        _report_data(root, folder if resume else None, prepared, notify)
        if dry_run:
            return _dry_run(folder, prepared, config, [*notes, configuration.to_toml(config)], notify)
        if is_main and not resume:
            stack.enter_context(only_writer(folder))
            _check_unused(folder)  # another run may have come first
        publisher = Publisher(folder, prepared, method, prepared.summary or METHODS[method].summary, Path(dataset), real(root).name, config)
        steps = _run_loop(publisher, root, resume=resume, notes=notes, notify=notify)
    return TrainingResult(folder, steps, publisher.path if is_main else None, _stats(prepared))


def _stats(prepared: Prepared) -> dict[str, object]:
    return {**prepared.stats, **({"skipped pictures": len(files)} if (files := prepared.skipped()) else {})}


def _report_data(root: Path, resumed: Path | None, prepared: Prepared, notify: OnEvent) -> None:
    """Report what was found in the dataset and passed over, and whether the run that is resumed was begun on another one."""
    if resumed and (text := resuming.changed_dataset(resumed, root)):
        notify(text)
    for what, count in folders.passed_over(root).items():
        notify(f"passed over {count} times {what}, which training does not read: convert them to PNG or TIFF first")
    notify(", ".join(f"{name} {value}" for name, value in prepared.stats.items()))


def _run_loop(publisher: Publisher, root: Path, *, resume: bool, notes: Sequence[str | Progress], notify: OnEvent) -> int:
    """Run `training.loop`; report `notes` and write the configuration when nothing can be refused any more.

    The weights are written at every checkpoint.
    """
    prepared, config, folder = publisher.prepared, publisher.config, publisher.folder
    goal = config.loop.steps

    def ready(step: int) -> None:
        if step >= goal:
            more = "" if step == goal else f", more than loop.steps={goal}"
            notify(f"nothing to do: {folder} has trained {step} steps already{more}; for more give --steps")
            publisher.publish_missing(step)
            return
        for note in notes:
            notify(note)
        with atomic_write(folder / "config.toml") as draft:
            draft.write_text(configuration.to_toml(config), encoding="utf-8")
        resuming.write_held_out(folder, root, prepared.held_out)

    hooks = loop_config.Hooks(
        on_event=notify, on_ready=ready, on_checkpoint=publisher.publish, on_best=publisher.publish_best,
        published_best=publisher.published_best,
    )  # fmt: skip
    return loop.run(
        prepared.trainer, prepared.dataset, config.loop, folder, preview_batch=prepared.preview_batch, validation=prepared.validation,
        resume=resume, hooks=hooks, settings=configuration.flat(config),
    )  # fmt: skip


def _located(dataset: str | PathLike[str], out: str | PathLike[str] | None) -> Path:
    """The dataset's folder.

    Raises:
        ValueError: there is none, or it or `out` is a URL.
    """
    check_local(f"the dataset {dataset}", dataset)
    check_local(f"--out {out}", out)
    return folders.locate(Path(dataset))


def _check_folder(folder: Path, root: Path, notify: OnEvent) -> None:
    """Check that the run lies outside the dataset `root` and that its weights can be used by its name, or report how else.

    Raises:
        ValueError: the folder is a file or the dataset, or weights cannot have its name.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"the run's folder {folder} is a file: give another --out")
    if real(folder) == real(root):
        raise ValueError(f"the run's folder is the dataset {root}, and would be learnt from: give another --out")
    name = real(folder).name
    try:
        weights.check_name(name)
    except ValueError as error:
        raise ValueError(f"the run's folder gives its weights their name, and {error}: give another --out") from error
    if weights.ships(name):
        notify(f"the name {name} belongs to shipped weights: use those of this run by their path, {folder}")


def _check_unused(folder: Path) -> None:
    if checkpoint.exists(folder) or any(folder.glob(f"*{weights.SUFFIX}")):
        raise ValueError(f"{folder} holds a run already: give --resume to continue it, or another --out")


def _dry_run(folder: Path, prepared: Prepared, config: TrainingConfig, notes: Sequence[str | Progress], notify: OnEvent) -> TrainingResult:
    for note in notes:
        notify(note)
    return TrainingResult(folder, 0, None, {**prepared.stats, **_timed(prepared, config.loop.batch_size)})


def _timed(prepared: Prepared, batch_size: int) -> dict[str, object]:
    """Measure steps per second over three real steps after a warm-up, and the peak memory; `batch_size` is that of all processes."""
    batch = first_batch(prepared.dataset, batch_size // distributed.current().world_size)
    on_gpu = str(prepared.stats["device"]).startswith("cuda")

    def synchronize() -> None:
        if on_gpu:
            torch.cuda.synchronize()

    for _ in range(WARMUP_STEPS + 1 if on_gpu else 1):
        prepared.trainer.step(batch)
    synchronize()
    since = time.perf_counter()
    for _ in range(3):
        prepared.trainer.step(batch)
    synchronize()
    seconds = time.perf_counter() - since
    return {"steps per second": round(3 / seconds, 2), "memory": f"{runtime.peak_memory() / 1e9:.1f} GB"}
