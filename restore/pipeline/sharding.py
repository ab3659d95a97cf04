"""`Shard`: one of several runs that share a folder of pictures, on as many machines as there are shards.

A picture belongs to a shard by a hash of its result's name. So no shard needs to know of the others, and pictures that are added while they
run belong to one of them too.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from restore.images import SUFFIXES, error_maps

_ENDINGS = frozenset([*error_maps.NAMES, *(part for suffix in SUFFIXES for part in suffix.split(".") if part)])
"""The ends of names that say what a file is, not which picture it shows: png, gz (of .nii.gz), error."""


@dataclass(frozen=True)
class Shard:
    """One of `count` runs over the same inputs into the same folder.

    Attributes:
        index: 1..count.
        count: how many runs there are.

    Raises:
        ValueError: the index is not one of the count's.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise ValueError(f"shard {self.index}/{self.count} does not exist: use 1/{self.count} to {self.count}/{self.count}")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A shard from "2/8".

        Raises:
            ValueError: the text is no such pair, or there is no such shard.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([1-9][0-9]{0,8})", text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no shard: use INDEX/COUNT, such as 2/8 for the second of eight")
        return cls(int(found[1]), int(found[2]))

    @property
    def name(self) -> str:
        """As part of a file's name: "2-of-8"."""
        return f"{self.index}-of-{self.count}"

    def holds(self, relative: Path) -> bool:
        """Whether the picture with this result, relative to the output folder, belongs to it."""
        return self._holds(relative.as_posix())

    def holds_name(self, relative: str) -> bool:
        """Whether the object with this name, below the input, belongs to it. `a.jpg`, `A.png` and `a.error.png` are in one shard."""
        name = unicodedata.normalize("NFC", relative).casefold()
        while (parts := name.rpartition("."))[2] in _ENDINGS and parts[0]:
            name = parts[0]
        return self._holds(name)

    def _holds(self, name: str) -> bool:
        number = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return int.from_bytes(number, "big") % self.count == self.index - 1
