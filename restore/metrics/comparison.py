"""Compares results with references: pairs the files, computes their scores, and writes a web page."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from restore.images import TARGETS, Picture, file_kind, looked, naming, read
from restore.metrics import DEFAULT_METRICS, METRICS, Metric
from restore.writing import atomic_write, is_environment_error, reason

PROTOCOL = (
    "Result and reference are paired by their path under their folders, without the suffix. Pixels are compared as a network gets them: "
    "upright, without alpha, DICOM after its lookup tables, in nominal 0..1 (16-bit pictures are not reduced to 8). All pixels "
    "count; no border is cut. Gray and colour are compared as colour. The score of several frames is their mean. Means are over the "
    "pictures. The PSNR of identical pictures is infinite: the means leave it out, and the page gives the number of such pictures."
)


DEFAULTS: Mapping[str, Metric] = {name: METRICS[name] for name in DEFAULT_METRICS}


@dataclass(frozen=True)
class Pair:
    """A result and its reference, with their common name."""

    name: str
    result: Path
    reference: Path


@dataclass(frozen=True)
class Problem:
    """A file that could not be compared, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class PictureScores:
    """The scores of one picture by metric, without metrics for which the picture is too small."""

    name: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison.

    Attributes:
        metrics: the computed metrics.
        pictures: the scores of each picture, in the order of the names.
        problems: missing partners, unreadable files, different sizes.
        left_out: metric -> why it is not available.
    """

    metrics: tuple[str, ...]
    pictures: list[PictureScores] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def means(self) -> dict[str, float]:
        """The mean of each metric over its finite scores. If all scores are infinite (the PSNR of identical pictures), so is the mean."""
        columns = {name: [picture.scores[name] for picture in self.pictures if name in picture.scores] for name in self.metrics}
        return {name: _mean(column) for name, column in columns.items() if column}

    @property
    def identical(self) -> int:
        """Number of results that equal their reference: their PSNR is infinite."""
        return sum(any(np.isinf(score) for score in picture.scores.values()) for picture in self.pictures)

    @property
    def mean_of(self) -> str:
        """The label of the means: the number of pictures they cover."""
        count = len(self.pictures)
        differ = f"PSNR of the {count - self.identical} that differ, {self.identical} identical"
        return f"mean of {count}" + (f" ({differ})" if 0 < self.identical < count else "")


def compare(
    results: Path,
    reference: Path,
    *,
    metrics: Mapping[str, Metric] = DEFAULTS,
    on_event: Callable[[PictureScores | Problem], None] | None = None,
) -> Comparison:
    """Score every picture of `results` against its partner in `reference`; two files are compared with each other.

    Args:
        results: a folder of restored pictures, or one picture.
        reference: a folder of reference pictures, or one picture.
        metrics: the metrics to compute. Those whose weights are missing go to `left_out`.
        on_event: called with the scores of each picture and with each problem.

    Raises:
        ValueError: there is nothing to compare, or one path is a file and the other a folder.
    """
    pairs, problems = pair(results, reference)
    left_out = {name: why for name, metric in metrics.items() if (why := metric.problem()) is not None}
    usable = {name: metric for name, metric in metrics.items() if name not in left_out}
    comparison = Comparison(tuple(usable), left_out=left_out)
    for event in chain(problems, _scored(pairs, usable)):
        if isinstance(event, PictureScores):
            comparison.pictures.append(event)
        else:
            comparison.problems.append(event)
        if on_event:
            on_event(event)
    return comparison


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
        return [Pair(results.name, results, reference)], []
    ours, theirs = pictures_in(results), pictures_in(reference)
    for folder, candidates in ((results, ours), (reference, theirs)):
        if not candidates:
            raise ValueError(f"{folder} contains no picture")
    partners = _Partners(ours, theirs)
    pairs, problems = [], []
    for name in ours:
        candidates = partners.of(name)
        if len(candidates) == 1:
            pairs.append(Pair(name.as_posix(), results / name, reference / candidates[0]))
        else:
            rivals = ", ".join(other.as_posix() for other in candidates)
            problems.append(Problem(name.as_posix(), f"several references match: {rivals}" if rivals else "no reference"))
    matched = {partner for name in ours for partner in partners.of(name)}
    stems = {_stem(name) for name in ours}
    lacking = [name for name in theirs if name not in matched and _stem(name) not in stems]
    problems += [Problem(name.as_posix(), "no result for this reference") for name in lacking]
    return pairs, sorted(problems, key=lambda problem: problem.name)


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


def pictures_in(folder: Path) -> list[Path]:
    """The relative paths of the pictures under a folder, sorted. Hidden files and folders (such as a run's private folder) do not count."""
    inner = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    visible = [path for path in inner if not any(part.startswith(".") for part in path.parts)]
    return sorted(path for path in visible if _is_picture(folder / path))


def _is_picture(path: Path) -> bool:
    """Whether a file is a picture. A file whose header cannot be read counts, so that it is reported as a problem."""
    try:
        return looked(path).is_picture
    except Exception:  # whatever a damaged header may raise
        return True


def _scored(pairs: Sequence[Pair], metrics: Mapping[str, Metric]) -> Iterator[PictureScores | Problem]:
    """The scores of each pair. A pair that cannot be compared is a problem and does not stop the others."""
    for entry in pairs:
        try:
            yield PictureScores(entry.name, _scores(read(entry.result), read(entry.reference), metrics))
        except Exception as error:
            if is_environment_error(error):
                raise
            yield Problem(entry.name, reason(error))


def _scores(result: Picture, reference: Picture, metrics: Mapping[str, Metric]) -> dict[str, float]:
    if result.frames != reference.frames:
        raise ValueError(f"{result.frames} frames against {reference.frames} of the reference")
    columns: dict[str, list[float]] = {name: [] for name in metrics}
    for index in range(result.frames):
        first, second = result.frame(index).normalized(), reference.frame(index).normalized()
        if first.shape[:2] != second.shape[:2]:
            sizes = [f"{pixels.shape[1]} x {pixels.shape[0]}" for pixels in (first, second)]
            raise ValueError(f"{sizes[0]} pixels against {sizes[1]} of the reference")
        channels = max(first.shape[2], second.shape[2])
        first, second = (np.repeat(pixels, channels // pixels.shape[2], axis=2) for pixels in (first, second))
        for name, metric in metrics.items():
            try:
                columns[name].append(metric.function(first, second))
            except ValueError:  # the shapes agree and the metric is available, so the picture is too small for it
                continue
    return {name: _mean(column) for name, column in columns.items() if len(column) == result.frames}


def _mean(values: Sequence[float]) -> float:
    """The mean of the finite values; infinite if all are infinite."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite or values))


def text(value: float | None, metric: Metric) -> str:
    """Format a score for people."""
    if value is None:
        return "-"
    return "identical" if np.isinf(value) else f"{value:.2f} {metric.unit}" if metric.unit else f"{value:.4f}"


def write_html(path: Path, comparison: Comparison, title: str, metrics: Mapping[str, Metric] = METRICS) -> None:
    """Write the comparison atomically as one self-contained web page.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    with atomic_write(path) as draft:
        draft.write_text(_page(comparison, title, metrics), encoding="utf-8")


def _page(comparison: Comparison, title: str, metrics: Mapping[str, Metric]) -> str:
    names = comparison.metrics
    means = comparison.means()
    head = _cells("th", ["picture", *(f"{name} ({metrics[name].better} is better)" for name in names)])
    body = "".join(
        _cells("td", [picture.name, *(text(picture.scores.get(name), metrics[name]) for name in names)]) for picture in comparison.pictures
    )
    mean = _cells("th", [comparison.mean_of, *(text(means.get(name), metrics[name]) for name in names)])
    problems = "".join(_cells("td", [problem.name, problem.reason]) for problem in comparison.problems)
    notes_by_name = {name: (metrics[name].function.__doc__ or "").strip().splitlines()[0] for name in names}
    notes_by_name |= {name: f"left out: {why}" for name, why in comparison.left_out.items()}
    notes = "".join(f"<li><b>{html.escape(name)}</b>: {html.escape(note)}</li>" for name, note in notes_by_name.items())
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
        f"</head><body><h1>{html.escape(title)}</h1>\n<table><thead>{head}</thead><tbody>{body}</tbody><tfoot>{mean}</tfoot>"
        f"</table>\n" + (f"<h2>Not compared</h2><table>{problems}</table>\n" if problems else "")
        + f"<h2>Protocol</h2><p>{PROTOCOL}</p><ul>{notes}</ul></body></html>\n"
    )  # fmt: skip


def _cells(tag: str, values: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(value)}</{tag}>" for value in values) + "</tr>\n"


_STYLE = (
    "body{font:15px system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}tfoot th{border-top:2px solid #222}"
)
