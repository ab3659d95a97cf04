"""A configuration group whose `name` chooses its kind: each kind is a dataclass of its own (`variants` in the field's metadata)."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from restore.limits import format_value


def choose(key: str, group: Any, variants: Mapping[str, type], values: Mapping[str, Any]) -> Any:
    """The defaults of the kind that `values` name.

    Args:
        key: the group's dotted key.
        group: the group's default, of one of the kinds. What it changes of its kind's own defaults holds for the others too.
        variants: name -> kind.
        values: what a file and overrides set in this group.

    Raises:
        ValueError: an unknown name, or a setting that belongs to another kind; the text names it.
    """
    name = values.get("name", group.name)
    if not isinstance(name, str) or name not in variants:
        near = difflib.get_close_matches(str(name)[:100], variants, 1, 0)
        raise ValueError(f"'{key}.name' must be one of {', '.join(variants)}, not {format_value(name)}: did you mean {near[0]!r}?")
    kind = variants[name]
    _check_kinds(key, name, variants, values)
    return group if type(group) is kind else kind(**_changed(group, kind))


def _check_kinds(key: str, name: str, variants: Mapping[str, type], values: Mapping[str, Any]) -> None:
    own = _names(variants[name])
    for setting in values:
        owners = [other for other, kind in variants.items() if setting in _names(kind)]
        if setting not in own and owners:
            raise ValueError(f"'{key}.{setting}' is a setting of {', '.join(owners)}, and '{key}.name' is {name}: set that too")


def _names(kind: type) -> set[str]:
    return {entry.name for entry in dataclasses.fields(kind)}


def _changed(group: Any, kind: type) -> dict[str, Any]:
    """What a group's default changes of its own kind's defaults, as far as `kind` has it."""
    values = {entry.name: vars(group)[entry.name] for entry in dataclasses.fields(group) if vars(group)[entry.name] != entry.default}
    return {name: value for name, value in values.items() if name in _names(kind) - {"name"}}
