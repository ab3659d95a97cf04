"""Compares two folders as sets of unpaired pictures, such as generated pictures and real ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from restore.images import read
from restore.limits import nearest
from restore.metrics.comparison import Problem, pictures_in, without_maps
from restore.metrics.distribution import SET_METRICS, SetMetric, SetScore, copy_test, inception_score
from restore.metrics.extractors import DEFAULT_EXTRACTOR, EXTRACTORS, Extractor, Features, NoPictures
from restore.writing import is_environment_error, reason


@dataclass(frozen=True)
class SetComparison:
    """The outcome of a comparison of sets.

    Attributes:
        scores: metric -> its value, with a confidence interval where the metric has one.
        protocol: extractor, numbers of pictures, and each metric's own terms. Numbers of unlike protocols are not comparable.
        problems: files that could not be read.
        left_out: metric -> why it is not defined for these sets.
        cautions: metric -> why its value says little for sets as small as these.
    """

    scores: dict[str, SetScore] = field(default_factory=dict)
    protocol: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    cautions: dict[str, str] = field(default_factory=dict)


def compare_sets(
    results: Path,
    reference: Path,
    *,
    extractor: str = DEFAULT_EXTRACTOR,
    metrics: Mapping[str, SetMetric] = SET_METRICS,
    training: Path | None = None,
) -> SetComparison:
    """Compare the pictures under `results` with those under `reference` as sets. Every frame counts as a picture; sizes may differ.

    Args:
        results: a folder of generated or restored pictures.
        reference: a folder of real pictures that the generator has not seen.
        extractor: a key of EXTRACTORS.
        metrics: the metrics to compute. A classifier as extractor adds the inception score.
        training: the generator's training pictures, for the copy test.

    Raises:
        ValueError: the extractor is unknown or not available, or a folder has no readable picture.
    """
    if extractor not in EXTRACTORS:
        raise ValueError(f"unknown extractor {extractor!r}: use one of {', '.join(EXTRACTORS)}{nearest(extractor, EXTRACTORS)}")
    row = EXTRACTORS[extractor]
    comparison = SetComparison()
    found, real = (_features(folder, row, comparison.problems) for folder in (results, reference))
    comparison.protocol.update(extractor=row.protocol, results=str(len(found.vectors)), references=str(len(real.vectors)))
    fewest = min(len(found.vectors), len(real.vectors))
    for name, metric in metrics.items():
        if fewest < metric.fewest:
            comparison.cautions[name] = f"{metric.caution} below {metric.fewest:,} pictures; the smaller set has {fewest:,}"
        try:
            comparison.scores[name] = metric.function(found.vectors, real.vectors)
            comparison.protocol[name] = metric.protocol
        except ValueError as error:
            comparison.left_out[name] = str(error)
    _add_inception_score(comparison, found)
    if training is not None:
        _add_copy_test(comparison, found, real, _features(training, row, comparison.problems))
    return comparison


def _add_inception_score(comparison: SetComparison, found: Features) -> None:
    if found.logits is None:
        return
    try:
        comparison.scores["inception score"] = inception_score(found.logits)
        comparison.protocol["inception score"] = "10 parts"
    except ValueError as error:
        comparison.left_out["inception score"] = str(error)


def _add_copy_test(comparison: SetComparison, found: Features, real: Features, learnt: Features) -> None:
    comparison.protocol["training"] = str(len(learnt.vectors))
    try:
        comparison.scores["copy test"] = SetScore(copy_test(found.vectors, real.vectors, learnt.vectors))
        comparison.protocol["copy test"] = "C_T, 5 k-means cells; below -3 the generator copies"
    except ValueError as error:
        comparison.left_out["copy test"] = str(error)


def _features(folder: Path, extractor: Extractor, problems: list[Problem]) -> Features:
    """The features of all frames under a folder. Files that cannot be read become problems."""
    try:
        return extractor.extract(_frames(folder, problems))
    except NoPictures as error:
        raise ValueError(f"{folder} contains no picture that can be read") from error


def _frames(folder: Path, problems: list[Problem]) -> Iterator[np.ndarray]:
    for name in without_maps(pictures_in(folder)):
        try:
            picture = read(folder / name)
            frames = [picture.frame(index).normalized() for index in range(picture.frames)]
        except Exception as error:
            if is_environment_error(error):
                raise
            problems.append(Problem(name.as_posix(), reason(error)))
            continue
        yield from frames
