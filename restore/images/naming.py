"""The names of results: a picture's own name, or another one where two pictures of a run would share it.

Names depend on names only. So a rerun gives the same names, whatever could be read, and `restore evaluate` and `restore inpaint --masks`
find results by the same rule.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from restore.images.file_kind import stem

Key = tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """The name of one result.

    Attributes:
        path: its relative path.
        instead_of: the plain path, where something else has it.
        rival: the index of the picture whose result competes for it; -1 where a folder has it.
    """

    path: Path
    instead_of: Path | None = None
    rival: int = -1


def key(path: Path) -> Key:
    """Equal for paths that some file system takes for one: case and the composition of accents are ignored."""
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in path.parts)


def plain(name: str, suffixes: Sequence[str] | None) -> str:
    """`name` with the first of `suffixes`, unless it has one of them. A suffix of no picture format is kept. None keeps the name."""
    if suffixes is None or Path(name).suffix.lower() in suffixes:
        return name
    return stem(name) + suffixes[0]


def results(
    pictures: Sequence[Path],
    suffixes: Sequence[str] | None = None,
    reserved: Collection[Key] = (),
    *,
    other: Mapping[str, str] | None = None,
) -> list[Named]:
    """The names of the results of `pictures`.

    The plain name goes to the first picture that has it already: `a.png` stays `a.png` where `a.jpg` becomes PNG too. The others keep their
    suffix (`a.jpg.png`). Where that is taken too (`A.PNG`, `a.png` of another folder) they are numbered (`a-2.png`). Names of result
    folders and `reserved` names are not used.

    Args:
        pictures: relative paths; earlier ones choose first.
        suffixes: of the format of the results; None keeps each picture's own.
        reserved: names that are not used.
        other: lower-case suffixes that results cannot have -> what they have instead.
    """
    preferred = [_fitting(path.with_name(plain(path.name, suffixes)), other or {}) if path.name else path for path in pictures]
    groups: dict[Key, list[int]] = defaultdict(list)
    folders: set[Key] = set()
    for index, path in enumerate(preferred):
        whole = key(path)
        groups[whole].append(index)
        folders.update(whole[:length] for length in range(1, len(whole)))
    taken = {*groups, *folders, *reserved}
    named = [Named(path) for path in preferred]
    for whole, members in groups.items():
        keeper = -1
        if whole not in folders and whole not in reserved:
            owners = [index for index in members if preferred[index] == pictures[index]]
            keeper = next(iter(owners or (members if len(members) == 1 else [])), -1)
        for index in members:
            if index == keeper:
                continue
            path = next(free for free in _others(pictures[index], preferred[index], suffixes) if key(free) not in taken)
            taken.add(key(path))
            rival = keeper if keeper >= 0 else next((other for other in members if other != index), -1)
            named[index] = Named(path, preferred[index], rival)
    return named


def _fitting(path: Path, other: Mapping[str, str]) -> Path:
    """The path, with another suffix where `other` has one for its own."""
    suffix = other.get(path.suffix.lower())
    return path if suffix is None else path.with_suffix(suffix)


def _others(picture: Path, preferred: Path, suffixes: Sequence[str] | None) -> Iterator[Path]:
    """The names to try where the plain one is taken: with the old suffix inside, then with numbers."""
    longer = preferred
    if suffixes is not None and preferred != picture:
        longer = picture.with_name(picture.name + suffixes[0])
        yield longer
    inner = stem(longer.name)
    number = 2
    while True:
        yield longer.with_name(f"{inner}-{number}{longer.name[len(inner) :]}")
        number += 1
