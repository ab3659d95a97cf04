"""Options: read from text and values, checked, listed."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Any

import pytest

from restore.pipeline.options import Options, option, table
from restore.tasks import TASKS


@dataclass(frozen=True)
class Some(Options):
    """One option of each kind."""

    level: float | str = option("auto", "The level.", words=("auto",), low=0, high=255, metavar="auto|0..255")
    count: int | None = option(None, "How many.", low=1)
    many: int = option(1, "How very many.", low=1, high=2**63 - 1)
    scale: float | None = option(None, "How large.", low=1, high=4, above=True, more="; twice is enough")
    way: str = option("one", "The way.", choices=("one", "other"))
    on: bool = option(False, "Whether.")
    folder: Path | None = option(None, "Where.")  # noqa: RUF009
    colour: str | None = option(None, "Which.", pattern="#[0-9a-f]{6}", example="#ff00ff")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"level": "12.5"}, 12.5), ({"level": 3}, 3.0), ({"level": "auto"}, "auto"), ({"count": "4"}, 4), ({"count": None}, None),
        ({"scale": 2}, 2.0), ({"way": "other"}, "other"), ({"on": "true"}, True), ({"on": False}, False), ({"folder": "a/b"}, Path("a/b")),
        ({"colour": "#00ff00"}, "#00ff00"), ({"many": 2**63 - 1}, 2**63 - 1), ({"many": str(2**53 + 1)}, 2**53 + 1), ({"many": 3.0}, 3),
    ],
)  # fmt: skip
def test_values_are_read_as_what_they_are(given: dict[str, Any], expected: object) -> None:
    options = Some.of(given, "some")
    value = options.__dict__[next(iter(given))]
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"level": 256}, "level must be auto or from 0 to 255, not 256"), ({"level": "much"}, "auto or from 0 to 255, not much"),
        ({"level": float("nan")}, "from 0 to 255"), ({"level": True}, "not True"), ({"count": 0}, "a whole number of at least 1, not 0"),
        ({"count": 2.5}, "whole number"), ({"scale": 1}, "above 1 and at most 4, not 1; twice is enough"),
        ({"way": "third"}, "one or other, not third"), ({"on": "perhaps"}, "true or false"),
        ({"colour": "pink"}, "like #ff00ff, not 'pink'"),
        ({"many": 0}, "a whole number from 1 to 9223372036854775807, not 0"), ({"many": 1e20}, "from 1 to 9223372036854775807, not 1e"),
        ({"many": "1e20"}, "from 1 to 9223372036854775807, not 1e20"), ({"many": 2**63}, "from 1 to 9223372036854775807, not 9223"),
        ({"count": float("inf")}, "a whole number of at least 1, not inf"), ({"count": float("nan")}, "whole number"),
        ({"colou": "#00ff00"}, r"no option colou.*did you mean colour\?"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused_by_name(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Some.of(given, "some")


def test_options_are_frozen_and_taken_as_they_are() -> None:
    options = Some(level=3.0)
    assert Some.of(options, "some") is options
    with pytest.raises(FrozenInstanceError):
        options.level = 4.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="denoise takes DenoiseOptions"):
        TASKS["denoise"].options.of(options, "denoise")


@pytest.mark.parametrize("task", TASKS)
def test_every_option_is_described(task: str) -> None:
    lines = table(TASKS[task].options).splitlines()
    assert len(lines) > 2
    assert all(line.count("|") - line.count("\\|") == 4 for line in lines)
    assert all(line.split(" | ")[-1].strip(" |") for line in lines)


@pytest.mark.parametrize(("task", "given"), [("inpaint", {"grow": 1e20, "alpha": True}), ("simulate", {"seed": 1e20, "recipe": "jpeg"}),
                                             ("inpaint", {"feather": 1e20, "alpha": True}), ("translate", {"size": 1e20})])  # fmt: skip
def test_the_range_of_whole_numbers_is_named(task: str, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a whole number from \d+ to \d+, not 1e\+20"):
        TASKS[task].options.of(given, task)
