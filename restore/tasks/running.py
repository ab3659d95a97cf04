"""A training run from its command to its published weights: the folder, the configuration, the loop, the card."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from restore import processes, runtime, weights
from restore.datasets import folders
from restore.gan.replayed import REHEARSALS
from restore.tasks import starting
from restore.tasks.methods import METHODS
from restore.tasks.prepared import Prepared
from restore.tasks.publishing import Publisher
from restore.training import checkpoint, loop
from restore.training import config as configuration
from restore.training.folder import only_writer
from restore.writing import atomic_write

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What a training run came to.

    Attributes:
        folder: its folder.
        steps: the step reached.
        weights: the published weights, usable as `--weights`; None for a dry run, and in all processes but the first.
        facts: the data found, parameters, device, and for a dry run the steps a second and the most memory taken.
    """

    folder: Path
    steps: int
    weights: Path | None
    facts: dict[str, Any]


def train(
    method: str,
    dataset: str | Path,
    *,
    config_file: str | Path | None = None,
    overrides: Mapping[str, str] | None = None,
    out: Path | None = None,
    resume: bool = False,
    dry_run: bool = False,
    on_event: Callable[[Any], None] | None = None,
) -> Run:
    """Train a network and publish its averaged weights.

    Args:
        method: a key of METHODS.
        dataset: a folder, or a name under data/.
        config_file: a TOML file, or the name of a recipe that ships, whose file patterns apply to the dataset that they are of alone.
        overrides: dotted key -> text.
        out: the run's folder; by default runs/METHOD-DATASET.
        resume: go on from the checkpoint in `out`, with the configuration saved there unless another is given. Another device is
            fine. Another precision is told, for from there on the run is not what it would have been; fp16 and the others do not mix.
        dry_run: check everything and time a few steps, but write nothing.
        on_event: told lines of text and `journal.Progress`.

    Raises:
        ValueError: an unknown method, setting or dataset, a folder that holds another run or that another training writes, nothing
            to resume. Nothing was written then.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: there are {', '.join(METHODS)}")
    team = processes.current()
    tell = on_event if on_event and team.first else _silent
    root = folders.locate(dataset)
    folder = out or Path("runs") / f"{method}-{root.resolve().name}"
    _check_name(folder, tell)
    with ExitStack() as stack:
        if resume:
            if not checkpoint.exists(folder):
                raise ValueError(f"{folder} holds no checkpoint to resume from: leave --resume out, or name the run with --out")
            if team.first and not dry_run:
                stack.enter_context(only_writer(folder))
        config = _configured(method, root, folder, config_file, overrides, resume=resume, tell=tell)
        if not resume and not dry_run:
            _check_unused(folder)
        # what a run starts from lies in its checkpoint once it has begun, and may be gone
        prepared = METHODS[method].prepare(root, replace(config, start_from=None) if resume else config)
        prepared = replace(prepared, recipe={**prepared.recipe, "training": configuration.as_dict(config)})
        for what, count in folders.passed_over(root).items():
            tell(f"passed over {count} times {what}, which training does not read: convert them to PNG or TIFF first")
        tell(", ".join(f"{name} {value}" for name, value in prepared.facts.items()))
        if dry_run:
            tell(configuration.to_toml(config))
            return Run(folder, 0, None, {**prepared.facts, **_tried(prepared, config.loop.batch_size // team.count)})
        if team.first and not resume:
            stack.enter_context(only_writer(folder))
            _check_unused(folder)  # another one may have come first
        return _trained(folder, prepared, method, dataset, config, resume=resume, tell=tell)


def _trained(
    folder: Path, prepared: Prepared, method: str, dataset: str | Path, config: Any, *, resume: bool, tell: Callable[[Any], None]
) -> Run:
    """Run the loop; the configuration is written when nothing can be refused any more, the weights at every checkpoint."""
    publisher = Publisher(folder, prepared, method, METHODS[method].summary, dataset, config)
    goal = config.loop.steps

    def ready(step: int) -> None:
        if step >= goal:
            more = "" if step == goal else f", more than loop.steps={goal}"
            tell(f"nothing to do: {folder} has trained {step} steps already{more}; for more give --steps")
            publisher.make_up_for(step)
            return
        with atomic_write(folder / "config.toml") as draft:
            draft.write_text(configuration.to_toml(config), encoding="utf-8")

    steps = loop.run(
        prepared.trainer, prepared.dataset, config.loop, folder, preview_batch=prepared.preview_batch, resume=resume, on_progress=tell,
        on_ready=ready, on_checkpoint=publisher.publish,
    )  # fmt: skip
    skipped = {"skipped pictures": len(bad)} if (bad := prepared.bad()) else {}
    return Run(folder, steps, publisher.path if processes.current().first else None, {**prepared.facts, **skipped})


def _configured(
    method: str, root: Path, folder: Path, config_file: str | Path | None, overrides: Mapping[str, str] | None, *, resume: bool,
    tell: Callable[[Any], None],
) -> Any:  # fmt: skip
    """The run's configuration, of which nothing is written yet."""
    if resume and config_file is None:
        config_file = folder / "config.toml"
        if not config_file.is_file():
            raise ValueError(f"{folder} holds no config.toml to resume with: give the run's settings with --config FILE")
    kind = METHODS[method].config
    path, ships = starting.config_path(config_file)
    config: Any = configuration.resolve(kind, path, overrides)
    if ships:
        config = starting.without_private_patterns(config, overrides or {}, root, tell)
    if resume:
        _tell_other_precision(folder, kind, config, tell)
        return config
    return starting.with_architecture(config, METHODS[method].group, METHODS[method].task, configuration.given(path, overrides))


def _check_name(folder: Path, tell: Callable[[Any], None]) -> None:
    """See to it that the run's weights can be used by its name, or tell how else.

    Raises:
        ValueError: the folder's name cannot be one of weights.
    """
    name = folder.resolve().name
    try:
        weights.check_name(name)
    except ValueError as error:
        raise ValueError(f"the run's folder gives its weights their name, and {error}: give another --out") from error
    if weights.ships(name):
        tell(f"weights that ship are called {name}, and stay so: use this run's by their path, {folder}")


def _check_unused(folder: Path) -> None:
    if checkpoint.exists(folder) or any(folder.glob(f"*{weights.SUFFIX}")):
        raise ValueError(f"{folder} holds a run already: give --resume to go on with it, or another --out")


def _tell_other_precision(folder: Path, kind: type, config: Any, tell: Callable[[Any], None]) -> None:
    """Say so where a run goes on in another precision than the one it was begun with.

    Raises:
        ValueError: one of the two is fp16, whose scaling of losses the other's checkpoint lacks.
    """
    saved = folder / "config.toml"
    if not saved.is_file():
        return
    before: Any = configuration.resolve(kind, saved)
    if (before.precision, before.device) == (config.precision, config.device):
        return
    try:
        begun = runtime.choose(before.device, before.precision).precision
    except ValueError:  # another machine's device
        begun = runtime.choose(config.device, before.precision).precision
    here = [begun, runtime.choose(config.device, config.precision).precision]
    if here[0] == here[1]:
        return
    if "fp16" in here:
        raise ValueError(f"the run was begun in {here[0]} and cannot go on in {here[1]}: leave the precision out, or begin another run")
    tell(f"the precision changes from {here[0]} to {here[1]}: from here on the run is not bit for bit what it would have been")


def _silent(event: Any) -> None:
    """Nobody listens, or another process speaks."""


def _tried(prepared: Any, batch_size: int) -> dict[str, Any]:
    """Steps a second over three real steps after some to warm up, and the most memory that these took."""
    from torch.utils.data import default_collate

    batch = default_collate([prepared.dataset[index] for index in range(batch_size)])
    on_gpu = str(prepared.facts["device"]).startswith("cuda")

    def wait() -> None:  # a GPU is told, and does it later
        if on_gpu:
            torch.cuda.synchronize()

    for _ in range(REHEARSALS + 1 if on_gpu else 1):
        prepared.trainer.step(batch)
    wait()
    since = time.perf_counter()
    for _ in range(3):
        prepared.trainer.step(batch)
    wait()
    seconds = time.perf_counter() - since
    return {"steps per second": round(3 / seconds, 2), "memory": f"{runtime.peak_memory() / 1e9:.1f} GB"}
