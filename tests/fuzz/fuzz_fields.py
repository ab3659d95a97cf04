"""What a dissection of a file finds: its fields, its segments, and where it says how large it is."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST = 3000
"""Fields of one file that are noted, the first ones."""


@dataclass(frozen=True)
class Field:
    """A number of `size` bytes at `at`; `order` is "<" or ">", or "t" for decimal digits."""

    at: int
    size: int
    order: str = "<"


@dataclass
class Anatomy:
    """The fields of a file, its segments as (start, end): what may be dropped, doubled or swapped; and where it says how large it is.

    Attributes:
        sides: pairs of fields, (height, width); a container and the codestream in it have one each.
    """

    fields: list[Field] = field(default_factory=list)
    segments: list[tuple[int, int]] = field(default_factory=list)
    sides: list[tuple[Field, Field]] = field(default_factory=list)

    def note(self, at: int, sizes: str, order: str) -> None:
        """Fields that follow each other, their sizes as digits: "4411"."""
        for digit in sizes:
            self.fields.append(Field(at, int(digit), order))
            at += int(digit)
