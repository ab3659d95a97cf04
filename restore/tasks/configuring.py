"""A run's configuration: from defaults, a recipe or file, `--set` keys, the weights it starts from and the run it continues."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from restore import runtime
from restore.tasks import initial_weights
from restore.tasks.training_methods import Method
from restore.training import config as configuration


def resolved(
    method: Method, root: Path, folder: Path, config_file: str | Path | None, overrides: Mapping[str, str] | None, *, resume: bool,
    report: Callable[[Any], None],
) -> Any:  # fmt: skip
    """Return the run's configuration; nothing is written.

    Raises:
        ValueError: an unknown or unusable setting, or no configuration to resume with.
    """
    if resume and config_file is None:
        config_file = folder / "config.toml"
        if not config_file.is_file():
            raise ValueError(f"{folder} holds no config.toml to resume with: give the run's settings with --config FILE")
    path, shipped = initial_weights.config_path(config_file)
    config: Any = configuration.resolve(method.config, path, overrides)
    if shipped:
        config = initial_weights.without_private_patterns(config, overrides or {}, root, report)
    specified = configuration.specified(path, overrides)
    _report_unused(config, specified, report)
    if resume:
        _check_precision(folder, method.config, config, report)
        return config
    return initial_weights.with_architecture(config, method.group, method.task, specified)


def _report_unused(config: Any, specified: set[str], report: Callable[[Any], None]) -> None:
    """Report settings that have no effect."""
    for group, condition in configuration.unused_groups(config).items():
        keys = sorted(key for key in specified if key.partition(".")[0] == group)
        if keys:
            report(f"{', '.join(keys)}: no effect while {condition} is 0")


def _check_precision(folder: Path, kind: type, config: Any, report: Callable[[Any], None]) -> None:
    """Report when a run continues in another precision than it began in.

    Raises:
        ValueError: one of the two is fp16, whose loss scaling the other's checkpoint lacks.
    """
    saved = folder / "config.toml"
    if not saved.is_file():
        return
    before: Any = configuration.resolve(kind, saved)
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
    report(f"the precision changes from {old} to {new}: from here on the run is not bit-identical to one without the change")
