"""A training run from its command to its published weights: the folder, the configuration, the loop, the card."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from restore import processes, runtime, weights
from restore.datasets import folders
from restore.gan.replayed import REHEARSALS
from restore.tasks import METHODS
from restore.training import checkpoint, loop
from restore.training import config as configuration
from restore.writing import whole

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
        config_file: a TOML file, or the name of a recipe that ships.
        overrides: dotted key -> text.
        out: the run's folder; by default runs/METHOD-DATASET.
        resume: go on from the checkpoint in `out`, with the configuration saved there unless another is given. Another device is
            fine. Another precision is told, for from there on the run is not what it would have been; fp16 and the others do not mix.
        dry_run: check everything and time a few steps, but write nothing.
        on_event: told lines of text and `journal.Progress`.

    Raises:
        ValueError: an unknown method, setting or dataset, a folder that holds another run, nothing to resume.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: there are {', '.join(METHODS)}")
    team = processes.current()
    tell = on_event if on_event and team.first else _silent
    root = folders.locate(dataset)
    folder = out or Path("runs") / f"{method}-{root.resolve().name}"
    if resume and not checkpoint.exists(folder):
        raise ValueError(f"{folder} holds no checkpoint to resume from: leave --resume out, or name the run with --out")
    if resume and config_file is None:
        config_file = folder / "config.toml"
    config: Any = configuration.resolve(METHODS[method].config, _config_path(config_file), overrides)
    if resume:
        _tell_other_precision(folder, METHODS[method].config, config, tell)
    if not resume and not dry_run and (checkpoint.exists(folder) or any(folder.glob(f"*{weights.SUFFIX}"))):
        raise ValueError(f"{folder} holds a run already: give --resume to go on with it, or another --out")
    prepared = METHODS[method].prepare(root, config)
    for what, count in folders.passed_over(root).items():
        tell(f"passed over {count} times {what}, which training does not read: convert them to PNG or TIFF first")
    tell(", ".join(f"{name} {value}" for name, value in prepared.facts.items()))
    if dry_run:
        tell(configuration.to_toml(config))
        return Run(folder, 0, None, {**prepared.facts, **_tried(prepared, config.loop.batch_size // team.count)})
    if team.first:
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / "config.toml") as draft:
            draft.write_text(configuration.to_toml(config))
    steps = loop.run(
        prepared.trainer, prepared.dataset, config.loop, folder,
        preview_batch=prepared.preview_batch, resume=resume, on_progress=tell,
    )  # fmt: skip
    published = _publish(folder, prepared, method, dataset, config) if team.first else None
    skipped = {"skipped pictures": len(bad)} if (bad := prepared.bad()) else {}
    return Run(folder, steps, published, {**prepared.facts, **skipped})


def _config_path(given: str | Path | None) -> Path | None:
    """A configuration's file, by path or by the name of a recipe that ships."""
    if given is None or Path(given).is_file():
        return Path(given) if given else None
    shipped = weights.shipped_folder() / "recipes" / f"{given}.toml"
    if shipped.is_file():
        return shipped
    names = ", ".join(sorted(path.stem for path in shipped.parent.glob("*.toml")))
    raise ValueError(f"no configuration {str(given)!r}: neither a file nor one of the recipes that ship ({names})")


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


def _publish(folder: Path, prepared: Any, method: str, dataset: str | Path, config: Any) -> Path:
    """Write the averaged weights and their card into the run's folder, under its name."""
    name = folder.resolve().name
    path = folder / f"{name}{weights.SUFFIX}"
    networks = prepared.trainer.networks()
    recipe = {**prepared.recipe, "method": method, "made with": made_with()}
    if len(networks) == 1:
        tensors = next(iter(networks.values())).state_dict()
    else:  # several in one file, each key behind its network's name: see `Restorer.load`
        tensors = {f"{part}.{key}": value for part, network in networks.items() for key, value in network.state_dict().items()}
    weights.save(path, tensors, recipe)
    with whole(path.with_suffix(".md")) as draft:
        draft.write_text(_card(name, method, dataset, prepared, config))
    return path


def made_with() -> str:
    """The hardware and the library that a run ran on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    features = ", ".join(sorted(runtime.cpu_features()))
    return (
        f"{device} ({torch.get_num_threads()} threads{', ' + features if features else ''}), torch {torch.__version__}"
    )


def _card(name: str, method: str, dataset: str | Path, prepared: Any, config: Any) -> str:
    facts = "\n".join(f"- {key}: {value}" for key, value in prepared.facts.items())
    return (
        f"# {name}\n\n{METHODS[method].summary}. Trained {config.loop.steps} steps with seed {config.seed} on {dataset}.\n\n"
        f"- for: {METHODS[method].summary}\n- licence: {weights.UNSTATED}\n"
        f"{facts}\n- hardware: {made_with()}\n\nThe terms of the training pictures apply to these weights: add them here, with "
        f"figures, their protocol and known failures.\n\n```toml\n{configuration.to_toml(config)}```\n"
    )
