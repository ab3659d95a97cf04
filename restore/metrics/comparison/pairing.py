"""Pairs results with their references by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from restore import folder_tree
from restore.images import SUFFIXES, TARGETS, error_maps, file_kind, looked, naming


@dataclass(frozen=True)
class Pair:
    """A result and its reference.

    Attributes:
        name: the result's path below its folder.
        result, reference: the files.
        reference_name: the reference's path below its folder; results of several folders are matched by it.
    """

    name: str
    result: Path
    reference: Path
    reference_name: str


@dataclass(frozen=True)
class Problem:
    """A file that could not be compared, and the reason.

    Attributes:
        name: the picture's name.
        reason: one sentence.
        contender: whose file it is; "" for the reference, or if there is only one contender.
    """

    name: str
    reason: str
    contender: str = ""

    def __str__(self) -> str:
        return f"{self.name}{f' ({self.contender})' if self.contender else ''}: {self.reason}"


def pair(results: Path, reference: Path) -> tuple[list[Pair], list[Problem]]:
    """Pair each result with the reference of the same path, without the suffix. Renamed results (`a.jpg.png`) are paired too.

    Raises:
        ValueError: a path does not exist, one is a file and the other a folder, or a folder has no picture.
    """
    for path in (results, reference):
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder")
    if results.is_dir() != reference.is_dir():
        raise ValueError(f"{results} and {reference} must both be folders, or both be files")
    if not results.is_dir():
        return [Pair(results.name, results, reference, reference.name)], []
    theirs = pictures_in(reference)
    ours = without_maps(pictures_in(results), theirs)
    for folder, candidates in ((results, ours), (reference, theirs)):
        if not candidates:
            raise ValueError(f"{folder} contains no picture")
    partners = _Partners(ours, theirs)
    pairs, problems = [], []
    for name in ours:
        candidates = partners.of(name)
        if len(candidates) == 1:
            (partner,) = candidates
            pairs.append(Pair(name.as_posix(), results / name, reference / partner, partner.as_posix()))
        else:
            rivals = ", ".join(other.as_posix() for other in candidates)
            problems.append(Problem(name.as_posix(), f"several references match: {rivals}" if rivals else "no reference"))
    matched = {partner for name in ours for partner in partners.of(name)}
    stems = {_stem(name) for name in ours}
    lacking = [name for name in theirs if name not in matched and _stem(name) not in stems]
    problems += [Problem(name.as_posix(), "no result for this reference") for name in lacking]
    return pairs, sorted(problems, key=lambda problem: problem.name)


def pictures_in(folder: Path) -> list[Path]:
    """The relative paths of the pictures under a folder, sorted, also behind links to folders.

    Hidden files and folders (such as a run's private folder) do not count.
    """
    inner = [path for path in folder_tree.files(folder) if path.is_file() or _is_broken_link(path)]
    return sorted(path.relative_to(folder) for path in inner if _is_picture(path))


def _is_broken_link(path: Path) -> bool:
    """Whether it is a link that leads nowhere, or to itself, and has a picture's name: it is reported as one that cannot be read."""
    return path.is_symlink() and not path.exists() and path.suffix.lower() in SUFFIXES


def without_maps(results: list[Path], references: Sequence[Path] = ()) -> list[Path]:
    """The results without the maps that `--confidence` writes next to them (`a.error.png` next to `a.png`)."""
    named = {_stem(path) for path in references}
    maps = {path for path in error_maps.beside_pictures(results) if _stem(path) not in named}
    return [path for path in results if path not in maps]


class _Partners:
    """The candidate references of a result: the same name; else those whose result a run would name so; else the same stem."""

    def __init__(self, results: Sequence[Path], references: Sequence[Path]) -> None:
        self.references = references
        self._all = set(references)
        self._stems: dict[Path, list[Path]] = {}
        for path in references:
            self._stems.setdefault(_stem(path), []).append(path)
        self._by_result_name: dict[Path, list[Path]] = {}
        for suffixes in (None, *{TARGETS[name].suffixes for path in results if (name := _format_of(path))}):
            for path, named in zip(references, naming.results(references, suffixes), strict=True):
                if named.instead_of is not None:
                    self._by_result_name.setdefault(named.path, []).append(path)

    def of(self, result: Path) -> list[Path]:
        """The candidate references of a result, by relative path."""
        if result in self._all:
            return [result]
        return list(dict.fromkeys(self._by_result_name.get(result) or self._stems.get(_stem(result), [])))


def _format_of(path: Path) -> str | None:
    """The format of a result's suffix, if pictures can be converted to it."""
    return next((name for name, codec in TARGETS.items() if path.suffix.lower() == codec.suffixes[0]), None)


def _stem(path: Path) -> Path:
    return path.with_name(file_kind.stem(path.name))


def _is_picture(path: Path) -> bool:
    """Whether a file is a picture. A file whose header cannot be read counts, so that it is reported as a problem."""
    try:
        return looked(path).is_picture
    except Exception:  # whatever a damaged header may raise
        return True
