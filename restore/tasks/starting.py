"""Where a run starts: the recipe that its settings come from, and the weights whose architecture it takes over."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from restore import networks, weights
from restore.datasets import folders
from restore.networks import NetworkConfig
from restore.training import config as configuration

PATTERNS = ("include", "source", "target")
"""Settings under `data` that name files of one dataset."""
LAYOUT = {"data.channels": "channels", "scale": "scale"}
"""Settings beside a network's own group that its architecture decides, and their names in a recipe."""


def config_path(given: str | Path | None) -> tuple[Path | None, bool]:
    """A configuration's file, by path or by the name of a recipe that ships, and whether it is one of these.

    Raises:
        ValueError: there is none.
    """
    try:
        if given is None or Path(given).is_file():
            return (Path(given) if given else None), False
        shipped = weights.shipped_folder() / "recipes" / f"{given}.toml"
        if shipped.is_file():
            return shipped, True
    except OSError as error:  # a name that no file can have
        raise ValueError(f"no configuration {str(given)[:100]!r}: {error.strerror}") from error
    names = ", ".join(sorted(path.stem for path in shipped.parent.glob("*.toml")))
    raise ValueError(f"no configuration {str(given)!r}: neither a file nor one of the recipes that ship ({names})")


def without_private_patterns(config: Any, given: Mapping[str, str], root: Path, tell: Callable[[Any], None]) -> Any:
    """A shipped recipe's configuration for the user's dataset.

    A recipe's patterns name the files of the dataset that its weights were made from. Where none of them matches anything, the dataset
    is another one: then they are left out, the run says so, and every picture is used.

    Args:
        given: what the user set beside the recipe; patterns among it are the user's own and stay.
        root: the dataset's folder.
    """
    named = {
        entry.name: patterns
        for entry in dataclasses.fields(config.data)
        if entry.name in PATTERNS and f"data.{entry.name}" not in given and (patterns := vars(config.data)[entry.name])
    }
    if not named or any(folders.matching(root, pattern) for patterns in named.values() for pattern in patterns):
        return config
    which = " and ".join(f"data.{name}" for name in named)
    tell(f"{root} holds nothing that the recipe's {which} names: they belong to another dataset and are left out")
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **dict.fromkeys(named, ())))


def with_architecture(config: Any, group: str, task: str, given: set[str]) -> Any:
    """The configuration with the architecture of the weights that `start_from` names, wherever the user did not set it.

    Args:
        group: the settings of the network, `network` or `generator`.
        task: what the method's weights are for.
        given: the dotted keys that the user set.

    Raises:
        ValueError: no such weights, weights for another task or of another program's network, or a setting of the user's that these
            weights cannot have; it is named.
    """
    if not config.start_from:
        return config
    try:
        recipe = weights.find(config.start_from).recipe
        if recipe["task"] != task:
            raise ValueError(f"these weights are made to {recipe['task']}, not to {task}")
        if recipe["network"] not in networks.NETWORKS:
            raise ValueError(f"their network ({recipe['network']}) cannot be trained here")
        return _adopted(config, group, recipe, given)
    except ValueError as error:
        raise ValueError(f"start_from={config.start_from}: {error}") from error


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


def _adopted(config: Any, group: str, recipe: Mapping[str, Any], given: set[str]) -> Any:
    """`config` with the network of a recipe, except for the settings that the user gave."""
    own: NetworkConfig = vars(config)[group]
    theirs = _checked(networks.config_of(recipe["network"], recipe["settings"]), group)
    network = own if f"{group}.name" in given else theirs
    names = {entry.name for entry in dataclasses.fields(network)}
    of_user = {key.removeprefix(f"{group}.") for key in given if key.startswith(f"{group}.")}
    if of_user - names:
        raise ValueError(f"these weights were made with {group}.name={theirs.name}, which has no {min(of_user - names)}: leave it out")
    adopted = {name: value for name, value in vars(theirs).items() if name in names - of_user - {"name"}}
    network = dataclasses.replace(network, **adopted, **{name: vars(own)[name] for name in of_user})
    check_same(network, theirs, group)
    config = dataclasses.replace(config, **{group: network})
    for key, name in LAYOUT.items():
        if key not in given and name in recipe["settings"]:
            config = _placed(config, key.split("."), recipe["settings"][name])
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


def _placed(config: Any, path: list[str], value: Any) -> Any:
    """`config` with one setting replaced, checked as if the user had set it; as it was where there is no such setting."""
    hints = typing.get_type_hints(type(config))
    entry = next((entry for entry in dataclasses.fields(config) if entry.name == path[0]), None)
    if entry is None:
        return config
    inner = vars(config)[entry.name]
    new = _placed(inner, path[1:], value) if path[1:] else configuration.checked(path[0], hints[path[0]], value, entry.metadata)
    return dataclasses.replace(config, **{entry.name: new})
