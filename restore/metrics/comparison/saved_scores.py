"""Scores as files: JSON lines that `restore evaluate --json` prints and `--against` reads, and a CSV table."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from restore.metrics.comparison.outcome import Comparison, PictureScores
from restore.metrics.comparison.protocol import Protocol
from restore.writing import atomic_write


@dataclass(frozen=True)
class SavedScores:
    """The scores of an earlier comparison's first contender.

    Attributes:
        path: the file.
        protocol: as it was stored.
        scores: reference's name -> result's name -> scores; an infinite PSNR is infinite.
        digests: reference's name -> SHA-256 of the reference, 16 hexadecimal digits.
    """

    path: Path
    protocol: Mapping[str, object]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    digests: Mapping[str, str] = field(default_factory=dict)

    def check(self, protocol: Protocol) -> None:
        """Raise ValueError if the scores may not stand in one table with those of `protocol`."""
        difference = protocol.difference(self.protocol)
        if difference is not None:
            raise ValueError(f"the scores in {self.path} have another protocol: {difference}")

    def of(self, result: str, reference: str) -> Mapping[str, float]:
        """The scores of the result of a reference; of several, of the one with the file name of `result`, as in a folder.

        Raises:
            ValueError: there are none, or several.
        """
        candidates = self.scores.get(reference, {})
        same = [name for name in candidates if PurePath(name).name == PurePath(result).name] or [*candidates]
        if len(same) != 1:
            raise ValueError(f"several results match: {', '.join(same)}" if same else "no scores for this reference")
        return candidates[same[0]]


def first_line(comparison: Comparison, reference: Path) -> dict[str, object]:
    """The head of the JSON lines: protocol and contenders."""
    return {"protocol": comparison.protocol.as_dict(), "contenders": list(comparison.contenders), "reference": str(reference)}


def line_of(picture: PictureScores) -> dict[str, object]:
    """One picture's JSON line. `scores` are the first contender's, `against` those of the others in order; null for none."""
    first, *others = [None if scores is None else plain(scores) for scores in picture.scores]
    line: dict[str, object] = {"picture": picture.name, "reference": picture.reference, "reference_sha256": picture.digest, "scores": first}
    return {**line, "against": others} if others else line


def plain(scores: Mapping[str, float | None]) -> dict[str, float | None]:
    """Replace infinite scores by null, because JSON has no infinity: the PSNR of identical pictures is null."""
    return {name: value if value is not None and math.isfinite(value) else None for name, value in scores.items()}


def is_saved(path: Path) -> bool:
    """Whether a path of `--against` is a file of scores, not a picture or a folder."""
    return path.is_file() and path.suffix.lower() in (".jsonl", ".json", ".ndjson")


def load(path: Path) -> SavedScores:
    """Read the JSON lines of an earlier `restore evaluate --json`.

    Raises:
        ValueError: it is not such a file.
        OSError: it cannot be read.
    """
    scores: dict[str, dict[str, dict[str, float]]] = {}
    digests: dict[str, str] = {}
    protocol: Mapping[str, object] | None = None
    try:
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            if "protocol" in line:
                protocol = dict(line["protocol"])
            elif line.get("scores") is not None:
                name = str(line["reference"])
                values = {str(key): math.inf if value is None else float(value) for key, value in line["scores"].items()}
                scores.setdefault(name, {})[str(line.get("picture", name))] = values
                digests[name] = str(line["reference_sha256"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} has no scores of `restore evaluate --json`: {type(error).__name__}: {error}") from error
    if protocol is None or not scores:
        raise ValueError(
            f"{path} has no scores of `restore evaluate --json`: its {'protocol' if protocol is None else 'pictures'} are missing"
        )
    return SavedScores(path, protocol, scores, digests)


def write_csv(path: Path, comparison: Comparison) -> None:
    """Write a row for each picture and contender; the protocol is in comment lines at the top.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    with atomic_write(path) as draft, draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        for name, text in comparison.protocol.in_words():
            file.write(f"# {name}: {text}\n")
        writer = csv.writer(file)
        writer.writerow(["picture", "reference", "contender", "complete", *comparison.metrics])
        for picture in comparison.pictures:
            for label, scores in zip(comparison.contenders, picture.scores, strict=True):
                if scores is not None:
                    cells = [_cell(scores.get(name)) for name in comparison.metrics]
                    writer.writerow([picture.name, picture.reference, label, str(picture.complete).lower(), *cells])


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)
