"""`GenerationOptions`: what `restore generate` makes. Importing it does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

from restore.limits import check_fields, number

LARGEST_SEED = 2**62


@dataclass(frozen=True)
class GenerationOptions:
    """What is made; see `restore generate --help`."""

    count: int = field(default=16, metadata={"help": "number of pictures", "range": (1, 10_000_000)})
    label: str | None = field(default=None, metadata={"help": "the class of all pictures; by default all classes in turn"})
    seed: int = field(default=0, metadata={"help": "of the first picture; the next ones have the next seeds", "range": (0, LARGEST_SEED)})
    truncation: float = field(default=1.0, metadata={"help": "below 1: more alike and more typical pictures", "range": (0, 2)})
    interpolate: tuple[int, int] | None = field(
        default=None, metadata={"help": "two seeds: pictures on the way from one to the other", "range": (0, LARGEST_SEED), "count": (2, 2)}
    )
    grid: Path | None = field(default=None, metadata={"help": "a contact sheet of the first hundred pictures"})
    overwrite: bool = field(default=False, metadata={"help": "make pictures again that are done"})

    def __post_init__(self) -> None:
        for entry in fields(self):
            if entry.type in ("int", "float"):
                number(entry.name, vars(self)[entry.name], entry.metadata)
        check_fields(self)
        if self.interpolate is not None and self.seed:
            raise ValueError("interpolate names its two seeds: leave seed out")
