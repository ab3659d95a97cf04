"""Checks the values of settings against the limits in the metadata of their fields, for all configurations."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Iterable, Mapping
from numbers import Real
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value")

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How a URL begins, also one that became a Path; a drive of Windows has one letter."""
LONGEST = 1000
"""Maximum length of a text in characters."""
ANY = (-1e300, 1e300)
"""Default range of a number."""
MOST = (0, 256)
"""Default range of the length of a list."""
LEAST_TILE = 64
"""Pixels; the least side of a tile, see `restore.inference.memory`."""


def format_value(value: object) -> str:
    """Format a value for a message: on one line and shortened."""
    text = repr(str(value) if isinstance(value, str) else value) if not isinstance(value, int) or abs(value) < 10**40 else "a huge number"
    return text if len(text) <= 80 else f"{text[:77]}..."


def nearest(name: str, names: Iterable[str]) -> str:
    """The name nearest to a wrong one, as the end of a message; "" if none is near."""
    near = difflib.get_close_matches(str(name), list(names), 1)
    return f" (did you mean {near[0]}?)" if near else ""


def is_folder_name(text: object) -> bool:
    """Whether a text can be the name of one folder on every system; a name of several folders, or "..", cannot."""
    if not isinstance(text, str) or not 0 < len(text) <= 100 or not text.isprintable() or text[0] == "." or text[-1] in ". ":
        return False
    return not set(text) & set('/\\:*?"<>|')


def check_fields(config: DataclassInstance) -> None:
    """Check every field of a configuration against its metadata; for `__post_init__`.

    Args:
        config: a dataclass; nested dataclasses check themselves.

    Raises:
        ValueError: a value is outside the limits of its field.
    """
    for entry in dataclasses.fields(config):
        check(entry.name, vars(config)[entry.name], entry.metadata)


def check(name: str, value: Value, metadata: Mapping[str, Any]) -> Value:
    """Return `value` if it satisfies the metadata.

    Args:
        name: the setting's dotted key, for messages.
        metadata: `range`, `above`, `below`, `count`, `rising` and `inside`; see `config.py`.

    Raises:
        ValueError: it does not.
    """
    if isinstance(value, tuple):
        _check_list(name, value, metadata)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(name, value, metadata)
    elif isinstance(value, str | Path):
        _check_text(name, str(value), metadata)
    return value


def number(name: str, value: object, metadata: Mapping[str, Any]) -> None:
    """Check an argument that must be a number; see `check`.

    Raises:
        ValueError: it is none, or outside its limits.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name!r} must be a number, not {format_value(value)}")
    try:
        _check_number(name, value if isinstance(value, int) else float(value), metadata)  # an integer is shown as it was given
    except OverflowError:
        raise ValueError(f"{name!r} must be a number, not {format_value(value)}") from None


def check_local(what: str, path: object) -> None:
    """Raise ValueError if a path is a URL, which a Path spoils: `Path("s3://bucket")` is the folder `s3:`.

    Args:
        what: the start of the message.
        path: a text or a Path.
    """
    if URL.match(str(path)):
        raise ValueError(f"{what} is a URL: name a file or folder of this machine")


def _check_list(name: str, values: tuple[float | str, ...], metadata: Mapping[str, Any]) -> None:
    least, most = metadata.get("count", MOST)
    if not least <= len(values) <= most:
        raise ValueError(f"{name!r} must be a list of {least} to {most} values, not of {len(values)}")
    for value in values:
        check(name, value, metadata)
    if metadata.get("rising") and list(values) != sorted(values):
        raise ValueError(f"{name!r} must be rising numbers, not {format_value(list(values))}")


def _check_number(name: str, value: float, metadata: Mapping[str, Any]) -> None:
    low, high = metadata.get("range", ANY)
    if not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{name!r} must be in {low}..{high}, not {format_value(value)}")
    if value <= metadata.get("above", -math.inf):
        raise ValueError(f"{name!r} must be above {metadata['above']}, not {format_value(value)}")
    if value >= metadata.get("below", math.inf):
        raise ValueError(f"{name!r} must be below {metadata['below']}, not {format_value(value)}")


def _check_text(name: str, text: str, metadata: Mapping[str, Any]) -> None:
    if len(text) > LONGEST or "\0" in text:
        raise ValueError(f"{name!r} must be at most {LONGEST} characters and no NUL, not {format_value(text)}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name!r} must be Unicode text, not {format_value(text)}") from None
    if metadata.get("inside"):
        path = PurePosixPath(text.replace("\\", "/"))
        if not text or path.is_absolute() or Path(text).is_absolute() or ".." in path.parts:
            raise ValueError(f"{name!r} must be patterns of files inside the dataset, without '..', not {format_value(text)}")
