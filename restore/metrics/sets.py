"""Compares two folders as sets of unpaired pictures, such as generated pictures and real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from restore.limits import nearest
from restore.metrics import picture_sets
from restore.metrics.classes import class_accuracy, class_imbalance, class_shares
from restore.metrics.comparison import Problem
from restore.metrics.distribution import SET_METRICS, SetMetric, SetScore, inception_score
from restore.metrics.extractors import DEFAULT_EXTRACTOR, EXTRACTORS, Extractor
from restore.metrics.memorisation import CopyReport, copy_report
from restore.metrics.picture_sets import PictureSet

CLASSIFIER = "classifier"
"""The name of the extractor that is trained on the class folders of the training pictures."""


@dataclass
class SetComparison:
    """The outcome of a comparison of sets.

    Attributes:
        scores: metric -> its value, with a confidence interval where the metric has one.
        protocol: extractor, numbers of pictures, and each metric's own terms. Numbers of unlike protocols are not comparable.
        problems: files that could not be read.
        left_out: metric -> why it is not defined for these sets.
        cautions: metric -> why its value says little for sets as small as these.
        classes: class -> its share among the results and among the references, as a trained classifier assigns them.
        copies: how near the results are to the training pictures, if these are known.
        results, training: the sets that `copies` compares.
    """

    scores: dict[str, SetScore] = field(default_factory=dict)
    protocol: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    cautions: dict[str, str] = field(default_factory=dict)
    classes: dict[str, tuple[float, float]] = field(default_factory=dict)
    copies: CopyReport | None = None
    results: PictureSet | None = None
    training: PictureSet | None = None


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
        extractor: a key of EXTRACTORS, or CLASSIFIER. The latter is trained on the class folders of `training`, and adds class
            accuracy and balance. Any classifier adds the inception score.
        metrics: the metrics to compute.
        training: the generator's training pictures, for the test for copies.

    Raises:
        ValueError: the extractor is unknown or not available, or a folder has no readable picture.
    """
    row = _extractor(extractor, training)
    comparison = SetComparison()
    found, real = (picture_sets.load(folder, row, comparison.problems) for folder in (results, reference))
    sizes = len(found.names), len(real.names)
    comparison.protocol.update(extractor=row.protocol, results=str(sizes[0]), references=str(sizes[1]))
    for name, metric in metrics.items():
        if min(sizes) < metric.fewest:
            comparison.cautions[name] = f"{metric.caution} below {metric.fewest:,} pictures; the smaller set has {min(sizes):,}"
        try:
            comparison.scores[name] = metric.function(found.features.vectors, real.features.vectors)
            comparison.protocol[name] = metric.protocol
        except ValueError as error:
            comparison.left_out[name] = str(error)
    _add_inception_score(comparison, found)
    if row.classes:
        _add_classes(comparison, found, real, row.classes)
    if training is not None:
        _add_copies(comparison, found, real, picture_sets.load(training, row, comparison.problems))
    return comparison


def _extractor(name: str, training: Path | None) -> Extractor:
    if name == CLASSIFIER:
        if training is None:
            raise ValueError("the extractor classifier learns the classes from the training pictures' folders: name them (--training)")
        return picture_sets.extractor_of(training)
    if name not in EXTRACTORS:
        known = (*EXTRACTORS, CLASSIFIER)
        raise ValueError(f"unknown extractor {name!r}: use one of {', '.join(known)}{nearest(name, known)}")
    return EXTRACTORS[name]


def _add_inception_score(comparison: SetComparison, found: PictureSet) -> None:
    if found.features.logits is None:
        return
    try:
        comparison.scores["inception score"] = inception_score(found.features.logits)
        comparison.protocol["inception score"] = "10 parts"
    except ValueError as error:
        comparison.left_out["inception score"] = str(error)


def _add_classes(comparison: SetComparison, found: PictureSet, real: PictureSet, classes: tuple[str, ...]) -> None:
    """Class accuracy of both sets, and the balance of the classes."""
    ours, theirs = found.features.logits, real.features.logits
    if ours is None or theirs is None:
        return
    shares = zip(class_shares(ours).tolist(), class_shares(theirs).tolist(), strict=True)
    comparison.classes.update(zip(classes, shares, strict=True))
    comparison.scores["class imbalance"] = SetScore(class_imbalance(ours, theirs))
    comparison.protocol["class imbalance"] = "largest difference of a class's share from the references'"
    for name, what, one, logits in (("class accuracy", "results", found, ours), ("real accuracy", "references", real, theirs)):
        try:
            comparison.scores[name] = class_accuracy(logits, one.labels(classes))
            comparison.protocol[name] = f"share of the {what} that the classifier assigns to their folder"
        except ValueError as error:
            comparison.left_out[name] = str(error)


def _add_copies(comparison: SetComparison, found: PictureSet, real: PictureSet, learnt: PictureSet) -> None:
    comparison.protocol["training"] = str(len(learnt.names))
    try:
        copies = copy_report(found.features.vectors, real.features.vectors, learnt.features.vectors)
    except ValueError as error:
        comparison.left_out["copy test"] = str(error)
        return
    comparison.copies, comparison.results, comparison.training = copies, found, learnt
    scores = {
        "copy test": (copies.c_t, "C_T, 5 k-means cells; below -3 the generator copies"),
        "distance ratio": (copies.distance_ratio, "median distance to the nearest training picture, as a multiple of the references'"),
        "suspects": (copies.suspects, "share nearer to a training picture than 99 % of the references; about 0.01 without copies"),
        "authenticity": (
            copies.authentic,
            f"share farther from a training picture than its neighbour; references {copies.authentic_unseen:.3f}",
        ),
    }
    for name, (value, terms) in scores.items():
        comparison.scores[name], comparison.protocol[name] = SetScore(value), terms
