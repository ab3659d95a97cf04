"""Where a run starts: the recipe that its settings come from, and the weights whose architecture it takes over."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from restore import networks, weights
from restore.datasets import folders
from restore.training import config as configuration

PATTERNS = ("include", "source", "target")
"""Settings under `data` that name files of one dataset."""
LAYOUT = {"data.channels": "channels", "scale": "scale"}
"""Settings beside a network's own group that its architecture decides, and their names in a recipe."""
FREE = {"channels", "scale", "dropout", "upsample", "chroma_widths"}
"""What weights may be started from though it differs: `networks.adapt` fits them, or no tensor depends on it."""
WITHIN = {("unet", "opponent_unet")}
"""Networks that take another's weights as a part of theirs."""


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


def _adopted(config: Any, group: str, recipe: Mapping[str, Any], given: set[str]) -> Any:
    own = vars(config)[group]
    theirs = _settings(recipe)
    hints = typing.get_type_hints(type(own))
    within = (recipe["network"], vars(own).get("name")) in WITHIN and f"{group}.name" in given
    taken: dict[str, Any] = {}
    for entry in dataclasses.fields(own):
        key = f"{group}.{entry.name}"
        if entry.name not in theirs or (within and entry.name == "name"):
            continue
        value = configuration.checked(key, hints[entry.name], theirs[entry.name], entry.metadata)
        if key not in given:
            taken[entry.name] = value
        elif entry.name not in FREE and value != vars(own)[entry.name]:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else value
            raise ValueError(f"these weights were made with {key}={text}: set it so, or leave it out")
    config = dataclasses.replace(config, **{group: dataclasses.replace(own, **taken)})
    for key, name in LAYOUT.items():
        if key not in given and name in theirs:
            config = _placed(config, key.split("."), theirs[name])
    return config


def _settings(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe says of its network, and what the network's own defaults say where it says nothing."""
    parameters = inspect.signature(networks.NETWORKS[recipe["network"]]).parameters.values()
    defaults = {entry.name: entry.default for entry in parameters if entry.default is not inspect.Parameter.empty}
    return {**defaults, **recipe["settings"], "name": recipe["network"]}


def _placed(config: Any, path: list[str], value: Any) -> Any:
    """`config` with one setting replaced, checked as if the user had set it; as it was where there is no such setting."""
    hints = typing.get_type_hints(type(config))
    entry = next((entry for entry in dataclasses.fields(config) if entry.name == path[0]), None)
    if entry is None:
        return config
    inner = vars(config)[entry.name]
    new = _placed(inner, path[1:], value) if path[1:] else configuration.checked(path[0], hints[path[0]], value, entry.metadata)
    return dataclasses.replace(config, **{entry.name: new})
