"""What a setting may be beyond its type: the field's metadata declare it, and one check enforces it for all configurations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

LONGEST = 1000
"""Characters of a text."""
ANY = (-1e300, 1e300)
"""Range of a number whose field declares none."""
MOST = (0, 256)
"""Number of entries of a list whose field declares none."""


def format_value(value: Any) -> str:
    """A value as shown in a message: on one line, and shortened."""
    text = (
        repr(str(value) if isinstance(value, str) else value)
        if not isinstance(value, int) or abs(value) < 10**40
        else "a huge number"
    )
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_fields(config: Any) -> None:
    """Check every field of a configuration against its metadata; for `__post_init__`.

    Args:
        config: a dataclass; nested dataclasses check themselves.

    Raises:
        ValueError: a value that its field cannot have.
    """
    for entry in dataclasses.fields(config):
        check(entry.name, vars(config)[entry.name], entry.metadata)


def check(name: str, value: Any, metadata: Mapping[str, Any]) -> Any:
    """Return `value` if the field with these metadata can have it.

    Args:
        name: the setting's dotted key, for messages.
        metadata: `range`, `above`, `below`, `choices`, `count`, `rising` and `inside`; see `config.py`.

    Raises:
        ValueError: it cannot.
    """
    if isinstance(value, tuple):
        _check_list(name, value, metadata)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(name, value, metadata)
    elif isinstance(value, str | Path):
        _check_text(name, str(value), metadata)
    return value


def _check_list(name: str, values: tuple[Any, ...], metadata: Mapping[str, Any]) -> None:
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
        raise ValueError(f"{name!r} must be Unicode text, or no file could keep it, not {format_value(text)}") from None
    choices = metadata.get("choices")
    if choices and text not in choices:
        raise ValueError(f"{name!r} must be one of {', '.join(choices)}, not {format_value(text)}")
    if metadata.get("inside"):
        path = PurePosixPath(text.replace("\\", "/"))
        if not text or path.is_absolute() or Path(text).is_absolute() or ".." in path.parts:
            raise ValueError(f"{name!r} must be patterns of files inside the dataset, without '..', not {format_value(text)}")
