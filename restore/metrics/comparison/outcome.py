"""The outcome of a comparison: scores of each picture, and means with their confidence intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from restore.metrics import Metric
from restore.metrics.comparison.intervals import Interval, intervals
from restore.metrics.comparison.pairing import Problem
from restore.metrics.comparison.protocol import Protocol
from restore.metrics.comparison.scoring import mean_of_finite


@dataclass(frozen=True)
class PictureScores:
    """The scores of one picture.

    Attributes:
        name: the first contender's path below its folder.
        scores: by contender, then by metric, without metrics for which the picture is too small; None for a contender without it.
        reference: the reference's path below its folder.
        digest: SHA-256 of the reference's file, 16 hexadecimal digits.
        lacking: metric -> why it has no score, such as a picture that is too small for it.
        files: the reference and the result of each contender; None for one without a file.
    """

    name: str
    scores: tuple[Mapping[str, float] | None, ...]
    reference: str = ""
    digest: str = ""
    files: tuple[Path | None, ...] = ()
    lacking: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every contender has scores."""
        return all(scores is not None for scores in self.scores)


@dataclass(frozen=True)
class MetricSummary:
    """One metric over the pictures that every contender has.

    Attributes:
        count: number of pictures whose score is finite for every contender.
        means: of each contender, with its interval.
        differences: of each contender to the first one, with the interval of the paired difference.
    """

    count: int
    means: tuple[Interval, ...]
    differences: tuple[Interval, ...]


@dataclass
class Comparison:
    """The outcome of a comparison.

    Attributes:
        contenders: the label of each contender.
        protocol: how the scores were computed.
        pictures: the scores of each picture, in the order of the names.
        problems: missing partners, unreadable files, different sizes.
        left_out: metric -> why it is not available.
        seconds: decode and score, summed over the threads, and wall.
    """

    contenders: tuple[str, ...]
    protocol: Protocol
    pictures: list[PictureScores] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {"decode": 0.0, "score": 0.0, "wall": 0.0})

    @property
    def metrics(self) -> tuple[str, ...]:
        """The computed metrics."""
        return tuple(self.protocol.metrics)

    @property
    def complete(self) -> list[PictureScores]:
        """The pictures that every contender has; only they count in the means."""
        return [picture for picture in self.pictures if picture.complete]

    @property
    def partial(self) -> list[str]:
        """The names of the pictures that some contender lacks."""
        return [picture.name for picture in self.pictures if not picture.complete]

    @property
    def lacking(self) -> dict[str, dict[str, str]]:
        """Metric -> picture -> why this picture has no score by it; only metrics and pictures where one is lacking."""
        reasons: dict[str, dict[str, str]] = {}
        for picture in self.pictures:
            for metric, reason in picture.lacking.items():
                reasons.setdefault(metric, {})[picture.name] = reason
        return reasons

    def means(self, contender: int = 0) -> dict[str, float]:
        """The mean of each metric over its finite scores. If all scores are infinite (the PSNR of identical pictures), so is the mean."""
        columns = {name: self._column(name) for name in self.metrics}
        return {name: mean_of_finite(_finite(scores)[:, contender].tolist()) for name, scores in columns.items() if len(scores)}

    def summary(self) -> dict[str, MetricSummary]:
        """Means, differences and their intervals by metric, without metrics that no picture has."""
        columns = {name: self._column(name) for name in self.metrics}
        return {name: _summary(scores) for name, scores in columns.items() if len(scores)}

    def _column(self, metric: str) -> np.ndarray:
        """The scores (N, K) of one metric for the pictures that every contender has."""
        rows = [[scores.get(metric) for scores in picture.scores if scores is not None] for picture in self.complete]
        complete = [row for row in rows if None not in row]
        return np.array(complete, np.float64).reshape(len(complete), len(self.contenders))

    def identical(self, contender: int = 0) -> int:
        """Number of results of a contender that equal their reference: their PSNR is infinite."""
        return sum(_is_identical(picture.scores[contender]) for picture in self.complete)

    @property
    def mean_of(self) -> str:
        """The label of the means: the number of pictures they cover."""
        count = len(self.complete)
        equal = sum(any(_is_identical(scores) for scores in picture.scores) for picture in self.complete)
        differ = f"PSNR of the {count - equal} that differ, {equal} identical"
        counts = {name: len(self._column(name)) for name in self.metrics}
        remarks = [differ] if 0 < equal < count else []
        remarks += [f"{name} of {scored}" for name, scored in counts.items() if scored != count]
        return f"mean of {count}" + (f" ({', '.join(remarks)})" if remarks else "")


def _is_identical(scores: Mapping[str, float] | None) -> bool:
    return scores is not None and any(np.isinf(score) for score in scores.values())


def _summary(scores: np.ndarray) -> MetricSummary:
    finite = scores[np.isfinite(scores).all(axis=1)]
    if len(finite):
        means, differences = intervals(finite)
        return MetricSummary(len(finite), tuple(means), tuple(differences))
    means = [Interval(mean_of_finite(column.tolist())) for column in scores.T]
    return MetricSummary(0, tuple(means), tuple(Interval(float("nan")) for _ in means))


def _finite(scores: np.ndarray) -> np.ndarray:
    """The rows (N, K) that are finite for every contender; all of them if there is none."""
    finite = np.isfinite(scores).all(axis=1)
    return scores[finite] if finite.any() else scores


def text(value: float | None, metric: Metric) -> str:
    """Format a score for people."""
    if value is None:
        return "-"
    return "identical" if np.isinf(value) else f"{value:z.2f} {metric.unit}" if metric.unit else f"{value:z.4f}"


def range_text(interval: Interval, metric: Metric, *, signed: bool = False) -> str:
    """Format an interval for people: "31.20 .. 32.05"; "-" if there is none."""
    if interval.low is None or interval.high is None:
        return "-"
    digits = f"{'+' if signed else ''}z.{2 if metric.unit else 4}f"
    return f"{interval.low:{digits}} .. {interval.high:{digits}}"


def labels_of(paths: Sequence[Path]) -> tuple[str, ...]:
    """A label for each contender: the path as it was given, with a number where one was given twice."""
    texts = [str(path) for path in paths]
    return tuple(text if text not in texts[:index] else f"{text} ({texts[:index].count(text) + 1})" for index, text in enumerate(texts))
