"""Frozen, typed dataclasses as configuration: defaults < TOML file < `key=value`, checked in the first second.

A field's metadata declare what it may be (see `restore.limits`):

- `help`: its meaning, for the commented TOML;
- `range`: smallest and largest number, also of a list's entries; `above` and `below`: strict bounds;
- `count`: number of a list's entries; `rising`: a list's numbers rise;
- `inside`: the texts are patterns of files below the dataset;
- `variants`: name -> kind, for a group whose `name` chooses its kind (see `config_variants.py`);
- `only_if`: a dotted key of the whole configuration. While that setting is 0, the field (a group) has no effect and is not shown.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from restore import limits
from restore.limits import format_value
from restore.training import config_variants

Config = TypeVar("Config")
LONGEST = 1_000_000
"""Bytes of a configuration file."""


def resolve(kind: type[Config], file: Path | None = None, overrides: Mapping[str, str] | None = None) -> Config:
    """Build a configuration.

    Args:
        kind: a frozen dataclass; its fields may be dataclasses too (dotted keys: `noise.sigma`).
        file: a TOML file with some of the keys.
        overrides: dotted key -> text, as typed behind `--set`; lists as `1,2,3` or `[1, 2, 3]`.

    Raises:
        ValueError: an unknown key (the text names the nearest valid one), a wrong type, a value that its field cannot have, or a file
            that is not TOML.
    """
    config: Config = _build(kind, kind(), _values(file, overrides), "")
    return config


def specified(file: Path | None, overrides: Mapping[str, str] | None = None) -> set[str]:
    """Return the dotted keys that a file and overrides set, as `resolve` reads them."""

    def dotted(values: Mapping[str, Any], prefix: str) -> set[str]:
        return {
            name
            for key, value in values.items()
            for name in (dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key})
        }

    return dotted(_values(file, overrides), "")


def checked(name: str, hint: Any, value: Any, metadata: Mapping[str, Any]) -> Any:
    """Convert a setting's value from a file to the type of its field.

    Args:
        name: the setting's dotted key.
        hint, metadata: of its field.

    Raises:
        ValueError: a wrong type, or a value that the field cannot have.
    """
    return limits.check(name, _convert(name, hint, value), metadata)


def _values(file: Path | None, overrides: Mapping[str, str] | None) -> dict[str, Any]:
    """The settings of a file and overrides, in nested groups."""
    values: dict[str, Any] = {}
    if file is not None:
        try:
            if file.stat().st_size > LONGEST:
                raise ValueError(f"it is larger than {LONGEST} bytes")
            values = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:  # TOML's and Unicode's errors are ValueErrors
            raise ValueError(f"cannot read the configuration {file}: {error}") from error
    for key, text in (overrides or {}).items():
        _insert(values, key, text)
    return values


def as_dict(config: Any) -> dict[str, Any]:
    """Return the configuration as plain nested dictionaries (tuples become lists), without groups that have no effect."""
    unused = unused_groups(config)

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value

    return {key: plain(value) for key, value in dataclasses.asdict(config).items() if key not in unused}


def flat(config: Any) -> dict[str, str | int | float | bool]:
    """Return the configuration as dotted key -> value, lists as text; for experiment trackers."""

    def entries(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        named: dict[str, Any] = {}
        for key, value in values.items():
            if isinstance(value, Mapping):
                named |= entries(value, f"{prefix}{key}.")
            elif value is not None:
                named[prefix + key] = value if isinstance(value, str | int | float | bool) else str(value)
        return named

    return entries(as_dict(config), "")


def to_toml(config: Any) -> str:
    """Write the configuration as TOML with each field's help as a comment, without groups that have no effect.

    `resolve` reads it back to the same configuration; unused groups get their defaults.
    """
    lines: list[str] = []
    _write(config, "", lines, unused_groups(config))
    return "\n".join(lines) + "\n"


def unused_groups(config: Any) -> dict[str, str]:
    """The groups that have no effect -> the dotted key of the setting that is 0 (see `only_if`)."""
    conditions = {entry.name: entry.metadata["only_if"] for entry in dataclasses.fields(config) if "only_if" in entry.metadata}
    return {name: key for name, key in conditions.items() if not _value_at(config, key)}


def _value_at(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = vars(config)[part]
    return config


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def keys(kind: type, prefix: str = "") -> list[str]:
    """Return every dotted key that a configuration of this kind has."""
    names: list[str] = []
    hints = _hints(kind)
    for entry in dataclasses.fields(kind):
        hint, name = hints[entry.name], prefix + entry.name
        groups = [*entry.metadata.get("variants", {}).values()] or ([hint] if dataclasses.is_dataclass(hint) else [])
        names += dict.fromkeys(key for group in groups for key in keys(group, f"{name}.")) or [name]
    return names


def _insert(values: dict[str, Any], key: str, text: str) -> None:
    *path, last = key.split(".")
    for part in path:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise ValueError(f"{format_value(key)}: {format_value(part)} holds a value, not further keys")
    values[last] = _Text(text)


class _Text(str):
    """A value typed on the command line; its field decides the type."""


def _build(kind: Any, default: Any, values: Mapping[str, Any], prefix: str) -> Any:
    """Replace some values of `default`: the defaults of a group differ from method to method."""
    hints = _hints(kind)
    metadata = {entry.name: entry.metadata for entry in dataclasses.fields(kind)}
    for key in values:
        if key not in metadata:
            valid = keys(kind, prefix)
            near = difflib.get_close_matches((prefix + key)[:100], valid, 1, 0) or valid[:1]
            raise ValueError(f"unknown setting {format_value(prefix + key)}: did you mean {near[0]!r}? There are: {', '.join(valid)}")
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        name, hint = prefix + key, hints[key]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise ValueError(f"{name!r} is a group of settings; set one of {', '.join(keys(hint, name + '.'))}")
            group = vars(default)[key]
            if "variants" in metadata[key]:
                group = config_variants.choose(name, group, metadata[key]["variants"], value)
            arguments[key] = _build(type(group), group, value, name + ".")
        else:
            arguments[key] = checked(name, hint, value, metadata[key])
    try:
        return dataclasses.replace(default, **arguments)
    except ValueError as error:
        raise ValueError(f"{prefix.rstrip('.') or 'configuration'}: {error}") from error


def _convert(name: str, hint: Any, value: Any) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None or (isinstance(value, _Text) and value.lower() == "none"):
            return None
        return _convert(name, next(entry for entry in inner if entry is not type(None)), value)
    if origin is typing.Literal:
        for allowed in inner:
            if str(allowed) == value if isinstance(value, _Text) else (type(allowed), allowed) == (type(value), value):
                return allowed
        raise ValueError(f"{name!r} must be one of {', '.join(map(str, inner))}, not {format_value(value)}")
    if origin is tuple:
        return _convert_tuple(name, inner, value)
    return _convert_scalar(name, hint, value)


def _convert_tuple(name: str, inner: Sequence[Any], value: Any) -> tuple[Any, ...]:
    if isinstance(value, _Text):
        value = [_Text(part.strip().strip("'\"")) for part in value.strip("[]() ").split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name!r} must be a list, not {format_value(value)}")
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(_convert(name, inner[0], entry) for entry in value)
    if len(value) != len(inner):
        raise ValueError(f"{name!r} must be a list of {len(inner)} values, not {format_value(value)}")
    return tuple(_convert(name, kind, entry) for kind, entry in zip(inner, value, strict=True))


def _convert_scalar(name: str, hint: type, value: Any) -> Any:
    wrong = ValueError(f"{name!r} must be {hint.__name__}, not {format_value(value)}")
    if hint is bool:
        truth = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if isinstance(value, _Text) and value.lower() in truth:
            return truth[value.lower()]
        if isinstance(value, bool):
            return value
        raise wrong
    if isinstance(value, _Text) and hint in (int, float, str, Path):
        try:
            return hint(str(value))
        except (ValueError, OverflowError):
            raise wrong from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise wrong from None
    if hint is Path and isinstance(value, str):
        return Path(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise wrong
    return value


def _write(config: Any, prefix: str, lines: list[str], unused: Collection[str] = ()) -> None:
    fields = [entry for entry in dataclasses.fields(config) if entry.name not in unused]
    for entry in fields:
        value = vars(config)[entry.name]
        if dataclasses.is_dataclass(value) or value is None:
            continue
        comment = entry.metadata.get("help", "")
        lines.append(f"{entry.name} = {_literal(value)}" + (f"  # {comment}" if comment else ""))
    for entry in fields:
        value = vars(config)[entry.name]
        if dataclasses.is_dataclass(value):
            lines.append(f"\n[{prefix}{entry.name}]")
            _write(value, f"{prefix}{entry.name}.", lines)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_literal(entry) for entry in value) + "]"
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML's escapes are JSON's
    return repr(value)
