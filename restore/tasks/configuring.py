"""A run's configuration: from defaults, a recipe or file, `--set` keys, the weights it starts from and the run it continues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path

from restore import runtime
from restore.tasks import initial_weights, resuming
from restore.tasks.training_methods import Config, Method
from restore.training import config as configuration
from restore.training.journal import OnEvent
from restore.training.training_config import TrainingConfig


def resolve_config(
    method: Method[Config], root: Path, folder: Path, config_file: str | PathLike[str] | None, overrides: Mapping[str, str] | None, *,
    resume: bool, on_event: OnEvent,
) -> Config:  # fmt: skip
    """Return the run's configuration; nothing is written.

    Raises:
        ValueError: an unknown or unusable setting, or no configuration to resume with.
    """
    if resume and config_file is None:
        config_file = folder / "config.toml"
        if not config_file.is_file():
            raise ValueError(f"{folder} holds no config.toml to resume with: give the run's settings with --config FILE")
    path, shipped = initial_weights.config_path(config_file)
    config = configuration.resolve(method.config, path, overrides)
    if shipped:
        config = initial_weights.without_private_patterns(config, overrides or {}, root, on_event)
    specified = configuration.specified(path, overrides)
    _report_unused(config, specified, on_event)
    if resume:
        return _check_resumed(folder, method, config, on_event)
    return initial_weights.with_architecture(config, method.group, method.task, specified)


def _report_unused(config: TrainingConfig, specified: set[str], on_event: OnEvent) -> None:
    """Report settings that have no effect."""
    for group, condition in configuration.unused_groups(config).items():
        keys = sorted(key for key in specified if key.partition(".")[0] == group)
        if keys:
            on_event(f"{', '.join(keys)}: no effect while {condition} is 0")


def _check_resumed(folder: Path, method: Method[Config], config: Config, on_event: OnEvent) -> Config:
    """Compare a run's configuration with that of its beginning, whose `start_from` it keeps; report what changes.

    Raises:
        ValueError: the network would be another, other pictures would be held out, or the precisions do not mix.
    """
    saved = folder / "config.toml"
    if not saved.is_file():
        return config
    before = configuration.resolve(method.config, saved)
    resuming.check_network(folder, method.group, before, config)
    resuming.check_held_out(folder, before, config)
    resuming.check_supervision(folder, before, config)
    if text := resuming.changes(before, config):
        on_event(text)
    if config.start_from and config.start_from != before.start_from:
        on_event(f"start_from={config.start_from}: no effect, a resumed run goes on from its checkpoint")
    _check_precision(before, config, on_event)
    return replace(config, start_from=before.start_from)


def _check_precision(before: TrainingConfig, config: TrainingConfig, on_event: OnEvent) -> None:
    """Report when a run continues in another precision.

    Raises:
        ValueError: one of the two is fp16, whose loss scaling the other's checkpoint lacks.
    """
    if (before.precision, before.device) == (config.precision, config.device):
        return
    try:
        old = runtime.choose(before.device, before.precision).precision
    except ValueError:  # another machine's device
        old = runtime.choose(config.device, before.precision).precision
    new = runtime.choose(config.device, config.precision).precision
    if old == new:
        return
    if "fp16" in (old, new):
        raise ValueError(f"the run began in {old} and cannot continue in {new}: leave the precision out, or begin another run")
    on_event(f"the precision changes from {old} to {new}: from here on the run is not bit-identical to one without the change")
