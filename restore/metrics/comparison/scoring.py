"""Scores pictures in threads: while one is scored, the next ones are decoded. Results come in order, and memory is bounded."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from restore.images import Picture, read
from restore.images.errors import SALVAGE
from restore.metrics import Metric
from restore.metrics.comparison.pairing import Problem
from restore.metrics.comparison.protocol import Protocol
from restore.parallel import PIXELS_IN_FLIGHT, PixelBudget, cores, in_order
from restore.writing import is_environment_error, reason

MOST_WORKERS = 8


@dataclass(frozen=True)
class Task:
    """One picture to score.

    Attributes:
        name: the picture's name.
        reference: the reference's file.
        reference_name: its path below its folder.
        results: the file of each contender, by its label.
    """

    name: str
    reference: Path
    reference_name: str
    results: Mapping[str, Path]


@dataclass
class Scored:
    """The outcome of a task.

    Attributes:
        task: what was scored.
        scores: the scores of each contender whose file could be compared, without metrics for which the picture is too small.
        problems: what could not be compared.
        lacking: metric -> why it has no score.
        digest: SHA-256 of the reference's file, 16 hexadecimal digits; "" if it could not be read.
        seconds: time spent in decoding and scoring.
    """

    task: Task
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    lacking: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    seconds: dict[str, float] = field(default_factory=lambda: {"decode": 0.0, "score": 0.0})

    @property
    def failed(self) -> set[str]:
        """The contenders whose file could not be compared."""
        return {problem.contender for problem in self.problems}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the block's time to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


def score_all(tasks: Iterable[Task], protocol: Protocol, metrics: Mapping[str, Metric], *, workers: int | None = None) -> Iterator[Scored]:
    """Score every task, in order. What cannot be compared is a problem of its task.

    Args:
        tasks: the pictures.
        protocol: channels and border.
        metrics: the metrics to compute.
        workers: number of threads; by default one a core, up to MOST_WORKERS.

    Raises:
        OSError: the machine's fault, such as too many open files.
    """
    scorer = Scorer(protocol, metrics, PixelBudget(PIXELS_IN_FLIGHT))
    return in_order(scorer, tasks, workers or min(MOST_WORKERS, cores()))


@dataclass(frozen=True)
class Scorer:
    """Scores one task; several threads may call it."""

    protocol: Protocol
    metrics: Mapping[str, Metric]
    budget: PixelBudget

    def __call__(self, task: Task) -> Scored:
        """Open, decode and score the files of a task."""
        scored = Scored(task)
        with _problem_of(scored, ""):
            with scored.timed("decode"):
                scored.digest = _digest(task.reference)
                reference = read(task.reference)
            results = dict(self._opened(scored, reference))
            with self.budget.hold(reference.size[0] * reference.size[1] * 2):
                self._score(scored, reference, results)
        return scored

    def _opened(self, scored: Scored, reference: Picture) -> Iterator[tuple[str, Picture]]:
        for label, path in scored.task.results.items():
            with _problem_of(scored, label), scored.timed("decode"):
                picture = read(path)
                if picture.frames != reference.frames:
                    raise ValueError(f"{picture.frames} frames against {reference.frames} of the reference")
                yield label, picture

    def _score(self, scored: Scored, reference: Picture, results: Mapping[str, Picture]) -> None:
        """Fill the scores: the mean over the frames, where every frame has one."""
        columns: dict[str, dict[str, list[float]]] = {label: {name: [] for name in self.metrics} for label in results}
        for index in range(reference.frames):
            with scored.timed("decode"):
                frame = reference.frame(index)
                expected = frame.with_hidden()
            for label, picture in results.items():
                if label in scored.failed:
                    continue
                with _problem_of(scored, label):
                    with scored.timed("decode"):
                        result = picture.frame(index).on_scale_of(frame)
                        pixels = equal_where_missing(result.with_hidden(), result.valid(), expected, frame.valid())
                        pair = self.protocol.compared(pixels, expected, max(picture.bits, reference.bits))
                    with scored.timed("score"):
                        self._add(columns[label], scored.lacking, *pair)
        for label, column in columns.items():
            if label not in scored.failed:
                scored.scores[label] = {name: mean_of_finite(values) for name, values in column.items() if len(values) == reference.frames}

    def _add(self, column: dict[str, list[float]], lacking: dict[str, str], result: np.ndarray, reference: np.ndarray) -> None:
        """Add the scores of one frame, or why there is none."""
        for name, metric in self.metrics.items():
            try:
                column[name].append(metric.function(result, reference))
            except ValueError as error:  # the shapes agree and the metric is available, so the picture is too small for it
                lacking[name] = str(error)


def equal_where_missing(result: np.ndarray, valid: np.ndarray | None, reference: np.ndarray, present: np.ndarray | None) -> np.ndarray:
    """The pixels (H, W, C) of a result; where neither picture has values (NaN, a raster's tag), those that the reference was filled with.

    Args:
        valid, present: where the result and the reference have values, (H, W) bool; None for everywhere.

    Raises:
        ValueError: one has values where the other has none.
    """
    if (valid is None and present is None) or result.shape[:2] != reference.shape[:2]:
        return result
    own, other = (~mask if mask is not None else np.zeros(result.shape[:2], bool) for mask in (valid, present))
    for count, where in ((np.sum(own & ~other), "where the reference has values"), (np.sum(other & ~own), "of the reference alone")):
        if count:
            raise ValueError(
                f"{count:,} of {own.size:,} pixels are missing (NaN, infinite or tagged so) {where}: fill them before the comparison"
            )
    if own.all():
        raise ValueError("all pixels are missing (NaN, infinite or tagged so): there is nothing to compare")
    filled = reference if reference.shape[2] == result.shape[2] else reference.mean(axis=2, keepdims=True)
    return np.where(own[:, :, None], filled, result)


@contextmanager
def _problem_of(scored: Scored, contender: str) -> Iterator[None]:
    """Turn what goes wrong with a file into a problem of the picture."""
    try:
        yield
    except Exception as error:
        if is_environment_error(error):
            raise
        scored.problems.append(Problem(scored.task.name, reason(error).replace(SALVAGE, ""), contender))


def mean_of_finite(values: Sequence[float]) -> float:
    """The mean of the finite values; infinite if all are infinite."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite or values))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
