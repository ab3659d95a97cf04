"""Where a run starts: the recipe of its settings, and the weights whose architecture it adopts."""

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
"""Settings outside the network's group that its architecture determines, and their names in a recipe."""
FREE = {"channels", "scale", "dropout", "upsample", "chroma_widths"}
"""Settings in which a run may differ from the weights it starts from: `networks.adapt` converts them, or no tensor depends on them."""
EMBEDDED = {("unet", "opponent_unet")}
"""(network of the weights, network of the run): the run's network contains the other as a part."""


def config_path(name: str | Path | None) -> tuple[Path | None, bool]:
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


def without_private_patterns(
    config: Any, overrides: Mapping[str, str], root: Path, report: Callable[[Any], None]
) -> Any:
    """Adapt a shipped recipe's configuration to the user's dataset.

    A recipe's patterns name files of the dataset that its weights were trained on. If none of them matches anything, the dataset is
    another one. Then they are dropped, the run says so, and every image is used.

    Args:
        overrides: what the user set beside the recipe; the user's own patterns stay.
        root: the dataset's folder.
    """
    of_recipe = {
        entry.name: patterns
        for entry in dataclasses.fields(config.data)
        if entry.name in PATTERNS
        and f"data.{entry.name}" not in overrides
        and (patterns := vars(config.data)[entry.name])
    }
    if not of_recipe or any(folders.matching(root, pattern) for patterns in of_recipe.values() for pattern in patterns):
        return config
    which = " and ".join(f"data.{name}" for name in of_recipe)
    report(f"{root} holds nothing that the recipe's {which} names: they belong to another dataset and are left out")
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **dict.fromkeys(of_recipe, ())))


def with_architecture(config: Any, group: str, task: str, specified: set[str]) -> Any:
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
        if recipe["task"] != task:
            raise ValueError(f"these are {recipe['task']} weights; the run needs {task} weights")
        if recipe["network"] not in networks.NETWORKS:
            raise ValueError(f"their network ({recipe['network']}) cannot be trained here")
        return _adopted(config, group, recipe, specified)
    except ValueError as error:
        raise ValueError(f"start_from={config.start_from}: {error}") from error


def _adopted(config: Any, group: str, recipe: Mapping[str, Any], specified: set[str]) -> Any:
    own = vars(config)[group]
    theirs = _settings(recipe)
    hints = typing.get_type_hints(type(own))
    embedded = (recipe["network"], vars(own).get("name")) in EMBEDDED and f"{group}.name" in specified
    adopted: dict[str, Any] = {}
    for entry in dataclasses.fields(own):
        key = f"{group}.{entry.name}"
        if entry.name not in theirs or (embedded and entry.name == "name"):
            continue
        value = configuration.checked(key, hints[entry.name], theirs[entry.name], entry.metadata)
        if key not in specified:
            adopted[entry.name] = value
        elif entry.name not in FREE and value != vars(own)[entry.name]:
            text = (
                ",".join(map(str, value))
                if isinstance(value, tuple)
                else str(value).lower()
                if isinstance(value, bool)
                else value
            )
            raise ValueError(f"these weights were made with {key}={text}: set it so, or leave it out")
    config = dataclasses.replace(config, **{group: dataclasses.replace(own, **adopted)})
    for key, name in LAYOUT.items():
        if key not in specified and name in theirs:
            config = _with_value(config, key.split("."), theirs[name])
    return config


def _settings(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's network settings, completed by the network's own defaults."""
    parameters = inspect.signature(networks.NETWORKS[recipe["network"]]).parameters.values()
    defaults = {entry.name: entry.default for entry in parameters if entry.default is not inspect.Parameter.empty}
    return {**defaults, **recipe["settings"], "name": recipe["network"]}


def _with_value(config: Any, path: list[str], value: Any) -> Any:
    """Replace one setting of `config`, checked as if the user had set it; unchanged if there is no such setting."""
    hints = typing.get_type_hints(type(config))
    entry = next((entry for entry in dataclasses.fields(config) if entry.name == path[0]), None)
    if entry is None:
        return config
    inner = vars(config)[entry.name]
    new = (
        _with_value(inner, path[1:], value)
        if path[1:]
        else configuration.checked(path[0], hints[path[0]], value, entry.metadata)
    )
    return dataclasses.replace(config, **{entry.name: new})
