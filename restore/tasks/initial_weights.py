"""Where a run starts: the recipe of its settings, and the weights whose architecture it adopts."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from restore import networks, weights
from restore.datasets import folders
from restore.networks import NetworkConfig, generators
from restore.training import config as configuration
from restore.training.journal import OnEvent
from restore.training.training_config import TrainingConfig
from restore.weights_file import Recipe

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound=TrainingConfig)
Group = TypeVar("Group", bound="DataclassInstance")
PATTERNS = ("include", "source", "target")
"""Settings under `data` that name files of one dataset."""
LAYOUT = {"data.channels": "channels", "scale": "scale"}
"""Settings outside the network's group that its architecture determines, and their names in a recipe."""
GENERATE = "generate"
"""The task whose networks are those of `generators.GENERATORS`."""


def config_path(name: str | PathLike[str] | None) -> tuple[Path | None, bool]:
    """Find a configuration's file, by path or by the name of a shipped recipe; also return whether it is shipped.

    Raises:
        ValueError: there is none.
    """
    try:
        if name is None or Path(name).is_file():
            return (Path(name) if name else None), False
        shipped = weights.shipped_folder() / "recipes" / f"{name}.toml"
        if shipped.is_file():
            return shipped, True
    except OSError as error:  # a name that no file can have
        raise ValueError(f"no configuration {str(name)[:100]!r}: {error.strerror}") from error
    names = ", ".join(sorted(path.stem for path in shipped.parent.glob("*.toml")))
    raise ValueError(f"no configuration {str(name)!r}: neither a file nor a shipped recipe ({names})")


def without_private_patterns(config: Config, overrides: Mapping[str, str], root: Path, on_event: OnEvent) -> Config:
    """Adapt a shipped recipe's configuration to the user's dataset.

    A recipe's patterns name files of the dataset that its weights were trained on. If none of them matches anything, the dataset is
    another one. Then they are dropped, the run says so, and every image is used.

    Args:
        overrides: what the user set in addition to the recipe; the user's own patterns stay.
        root: the dataset's folder.
    """
    data = vars(config)["data"]
    of_recipe = {
        entry.name: patterns
        for entry in dataclasses.fields(data)
        if entry.name in PATTERNS and f"data.{entry.name}" not in overrides and (patterns := vars(data)[entry.name])
    }
    if not of_recipe or any(folders.matching(root, pattern) for patterns in of_recipe.values() for pattern in patterns):
        return config
    which = " and ".join(f"data.{name}" for name in of_recipe)
    on_event(f"{root} holds nothing that the recipe's {which} names: they belong to another dataset and are left out")
    left = dataclasses.replace(data, **dict.fromkeys(of_recipe, ()))
    return dataclasses.replace(config, **{"data": left})


def with_architecture(config: Config, group: str, task: str, specified: set[str]) -> Config:
    """Adopt the architecture of the weights that `start_from` names, except where the user specified it.

    Args:
        group: the settings of the network: `network` or `generator`.
        task: the task of the method's weights.
        specified: the dotted keys that the user set.

    Raises:
        ValueError: no such weights, weights for another task or of a third-party network, or a setting of the user's that does not fit
            these weights; the text names it.
    """
    if not config.start_from:
        return config
    try:
        recipe = weights.find(config.start_from).recipe
        known = generators.GENERATORS if task == GENERATE else networks.NETWORKS
        same_task = recipe["task"] == task
        if not same_task and not (recipe["network"] in known and _starts_across_tasks(vars(config)[group], recipe, group)):
            raise ValueError(f"these are {recipe['task']} weights; the run needs {task} weights")
        if recipe["network"] not in known:
            raise ValueError(f"their network ({recipe['network']}) cannot be trained here")
        return _adopted(config, group, recipe, specified, same_task=same_task)
    except ValueError as error:
        raise ValueError(f"start_from={config.start_from}: {error}") from error


def _starts_across_tasks(own: NetworkConfig, recipe: Recipe, group: str) -> bool:
    """Whether weights of a recipe, made for another task, can start a network with the settings `own`, or a part of it.

    Raises:
        ValueError: the recipe has an unusable setting.
    """
    if not (own.across_tasks and networks.CONFIGS[recipe["network"]].across_tasks):
        return False
    theirs = _checked(networks.config_of(recipe["network"], recipe["settings"]), group)
    return own.related(theirs) and own.conflict(theirs) != "condition"


def check_same(own: NetworkConfig, theirs: NetworkConfig, group: str) -> None:
    """Check that weights made with the settings `theirs` can start a network with the settings `own`.

    Args:
        group: the settings' group in the run's configuration, for the message.

    Raises:
        ValueError: they cannot; the first setting that differs is named.
    """
    key = own.conflict(theirs)
    if key is not None:
        raise ValueError(f"these weights were made with {group}.{key}={_text(vars(theirs)[key])}: set it so, or leave it out")


def _adopted(config: Config, group: str, recipe: Recipe, specified: set[str], *, same_task: bool) -> Config:
    """`config` with the network of a recipe, except for the settings that the user specified or that belong to another task."""
    own: NetworkConfig = vars(config)[group]
    config_of = generators.config_of if recipe["task"] == GENERATE else networks.config_of
    theirs = _checked(config_of(recipe["network"], recipe["settings"]), group)
    network = own if f"{group}.name" in specified else theirs
    names = {entry.name for entry in dataclasses.fields(network)}
    of_user = {key.removeprefix(f"{group}.") for key in specified if key.startswith(f"{group}.")}
    if of_user - names:
        raise ValueError(f"these weights were made with {group}.name={theirs.name}, which has no {min(of_user - names)}: leave it out")
    if not same_task:  # such as the map that it takes
        of_user |= {entry.name for entry in dataclasses.fields(network) if entry.metadata.get("of_task") and entry.name in vars(own)}
    adopted = {name: value for name, value in vars(theirs).items() if name in names - of_user - {"name"}}
    network = dataclasses.replace(network, **adopted, **{name: vars(own)[name] for name in of_user})
    check_same(network, theirs, group)
    groups: dict[str, Any] = {group: network}
    config = dataclasses.replace(config, **groups)
    layout = {**LAYOUT, "data.crop": "side"} if recipe["task"] == GENERATE else LAYOUT
    for key, name in layout.items():
        if key not in specified and name in recipe["settings"]:
            config = _with_value(config, key.split("."), recipe["settings"][name])
    return config


def _checked(network: NetworkConfig, group: str) -> NetworkConfig:
    """A network's configuration from a file, each setting checked as if the user had set it."""
    hints = typing.get_type_hints(type(network))
    values = {
        entry.name: configuration.checked(f"{group}.{entry.name}", hints[entry.name], vars(network)[entry.name], entry.metadata)
        for entry in dataclasses.fields(network)
    }
    return dataclasses.replace(network, **values)


def _text(value: Any) -> str:
    """A setting's value as it is typed."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _with_value(config: Group, path: list[str], value: Any) -> Group:
    """Replace one setting of `config`, checked as if the user had set it; unchanged if there is no such setting."""
    hints = typing.get_type_hints(type(config))
    entry = next((entry for entry in dataclasses.fields(config) if entry.name == path[0]), None)
    if entry is None:
        return config
    inner = vars(config)[entry.name]
    new = _with_value(inner, path[1:], value) if path[1:] else configuration.checked(path[0], hints[path[0]], value, entry.metadata)
    return dataclasses.replace(config, **{entry.name: new})
