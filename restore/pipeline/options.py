"""Typed options: one frozen dataclass defines the flags, keyword arguments, checks and documentation of a task."""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any, Self, TypeVar

from restore.limits import check_local, nearest

Value = TypeVar("Value")


@dataclass(frozen=True)
class OptionHelp:
    """The help text and the allowed values of an option.

    Attributes:
        text: the help text.
        metavar: placeholder for the value in the help.
        low, high: the range of a number, inclusive.
        above: whether `low` itself is excluded.
        words: allowed words besides numbers.
        choices: the only allowed values.
        more: appended to the message for a value out of range.
        pattern: a regular expression that the whole text must match.
        example: a matching text, for the message.
    """

    text: str
    metavar: str = ""
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    words: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    more: str = ""
    pattern: str = ""
    example: str = ""


def option(default: Value, text: str, **rest: Any) -> Value:
    """A field of an options dataclass; `rest` are attributes of `OptionHelp`."""
    declared: Value = field(default=default, metadata={"option": OptionHelp(text, **rest)})
    return declared


def help_of(entry: Field[Any]) -> OptionHelp:
    """The help of a field."""
    about: OptionHelp = entry.metadata["option"]
    return about


@dataclass(frozen=True)
class Options:
    """Base class of every task's options. The constructor converts text to the fields' types and checks all values.

    Raises:
        ValueError: a value has a wrong type or is out of range; the message names the option.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for entry in fields(self):
            value = read(entry.name, self.__dict__[entry.name], hints[entry.name], help_of(entry))
            object.__setattr__(self, entry.name, value)

    @classmethod
    def of(cls, given: Mapping[str, Any] | Options, task: str) -> Self:
        """Make options from a mapping; None means the default.

        Raises:
            ValueError: an option is unknown (the message names the nearest one), or a value is not allowed.
        """
        if isinstance(given, cls):
            return given
        if isinstance(given, Options):
            raise ValueError(f"{task} takes {cls.__name__}, not {type(given).__name__}")
        names = [entry.name for entry in fields(cls)]
        for name in given:
            if name not in names:
                raise ValueError(f"{task} has no option {name}: use one of {', '.join(names)}{nearest(name, names)}")
        return cls(**{name: value for name, value in given.items() if value is not None})

    def as_dict(self) -> dict[str, Any]:
        """Name -> value, JSON-able."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in self.__dict__.items()}


def read(name: str, value: Any, hint: Any, about: OptionHelp) -> Any:
    """Convert `value` to the type of its field and check it.

    Raises:
        ValueError: the value has a wrong type or is out of range.
    """
    allowed = kinds(hint)
    if value is None and type(None) in allowed:
        return None
    if isinstance(value, str) and value in about.words:
        return value
    if about.choices:
        if str(value) not in about.choices:
            raise ValueError(f"{name} must be {_listed(about.choices)}, not {value}")
        return str(value)
    if bool in allowed:
        return _truth(name, value)
    if Path in allowed:
        if not isinstance(value, str | PathLike):
            raise ValueError(f"{name} must be a path, not {value!r}")
        check_local(f"--{name.replace('_', '-')} {value}", value)
        return Path(value)
    if float in allowed or int in allowed:
        return _number(name, value, int if int in allowed else float, about)
    if about.pattern and not re.fullmatch(about.pattern, str(value).strip()):
        raise ValueError(f"{name} must be like {about.example}, not {value!r}")
    return str(value)


def kinds(hint: Any) -> tuple[Any, ...]:
    """The types of an annotation such as `float | None`."""
    return typing.get_args(hint) if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union else (hint,)


def _truth(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in {"true", "false"}:
        return str(value).lower() == "true"
    raise ValueError(f"{name} must be true or false, not {value}")


def _number(name: str, value: Any, kind: type[int] | type[float], about: OptionHelp) -> int | float:
    try:
        number = kind(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if kind is int and not isinstance(value, str) and value != number:  # 2.5; a float would blur large integers
        number = None
    low_enough = number is not None and number <= about.high
    if number is None or not low_enough or not (number > about.low if about.above else number >= about.low):
        words = f"{_listed(about.words)} or " if about.words else ""
        raise ValueError(f"{name} must be {words}{_range(kind, about)}, not {value}{about.more}")
    return number


def _range(kind: type, about: OptionHelp) -> str:
    what = "a whole number" if kind is int else "a number"
    if math.isinf(about.low) and math.isinf(about.high):
        return what
    low, high = _digits(about.low), _digits(about.high)
    if math.isinf(about.high):
        return f"{what} {'above' if about.above else 'of at least'} {low}"
    if kind is int:
        return f"{what} from {low} to {high}"
    return f"above {low} and at most {high}" if about.above else f"from {low} to {high}"


def _digits(end: float) -> str:
    """The end of a range, for a message: whole numbers in full."""
    return f"{end:g}" if isinstance(end, float) else str(end)


def _listed(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def table(options: type[Options]) -> str:
    """The options as a Markdown table for the documentation."""
    lines = ["| option | default | meaning |", "|---|---|---|"]
    for entry in fields(options):
        about = help_of(entry)
        flag = "--" + entry.name.replace("_", "-")
        value = f" {about.metavar}" if about.metavar else ""
        default = "" if entry.default in (None, MISSING) else str(entry.default)
        cells = (f"`{flag}{value}`", default.lower(), about.text)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)
