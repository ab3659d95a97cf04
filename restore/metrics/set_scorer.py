"""Scores of generated pictures against fixed real ones, such as at each checkpoint of a training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from restore.metrics.distribution import SET_METRICS, SetMetric
from restore.metrics.extractors import Extractor
from restore.metrics.memorisation import copy_report, suspects
from restore.metrics.neighbours import nearest


@dataclass(frozen=True)
class SetScorer:
    """The features of real pictures, taken once, and the metrics to compare generated ones by.

    Attributes:
        extractor: what takes the features.
        real: (M, D) of real pictures that the generator has not seen (or, without any, of its training pictures).
        training: (K, D) of its training pictures, for the test for copies; None without that test.
        metrics: metrics of two sets.
    """

    extractor: Extractor
    real: np.ndarray
    training: np.ndarray | None
    metrics: Mapping[str, SetMetric]

    def scores(self, pictures: Iterable[np.ndarray]) -> dict[str, float]:
        """Score generated pictures (H, W, C) in nominal [0, 1].

        Metrics that are not defined for sets as small as these are left out. With training pictures there are `copy_test` (C_T),
        `copies` (share of suspects; about 0.01 without copies) and `distance_ratio`; see `memorisation.CopyReport`.

        Raises:
            ValueError: there is no picture.
        """
        found = self.extractor.extract(pictures).vectors
        scores: dict[str, float] = {}
        for name, metric in self.metrics.items():
            try:
                scores[name] = metric.function(found, self.real).value
            except ValueError:  # too few pictures
                continue
        if self.training is not None:
            scores["copies"] = suspects(nearest(found, self.training)[1], nearest(self.real, self.training)[1])
            with suppress(ValueError):  # pictures far from all real ones share no cell with them
                copies = copy_report(found, self.real, self.training)
                scores |= {"copy_test": copies.c_t, "distance_ratio": copies.distance_ratio}
        return scores


def scorer(
    extractor: Extractor,
    real: Iterable[np.ndarray],
    training: Iterable[np.ndarray] | None = None,
    *,
    metrics: Mapping[str, SetMetric] = SET_METRICS,
) -> SetScorer:
    """Take the features of real pictures (H, W, C) in nominal [0, 1], and of the training pictures.

    Raises:
        ValueError: the extractor is not available (the text says why), or there is no picture.
    """
    learnt = None if training is None else extractor.extract(training).vectors
    return SetScorer(extractor, extractor.extract(real).vectors, learnt, metrics)
