"""The validation of a generator: its pictures against held-out real ones as sets, and the test for copies of training pictures."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from restore.limits import nearest
from restore.metrics import SET_METRICS
from restore.metrics.extractors import DEFAULT_EXTRACTOR, EXTRACTORS, Extractor
from restore.metrics.set_scorer import SetScorer, scorer
from restore.training.loop_config import AUTO, LoopConfig
from restore.training.validation import Validation, ValidationMetric

log = logging.getLogger(__name__)
Samples = Dataset[dict[str, Tensor]]
VALIDATION_PICTURES = 128
"""Pictures that are generated for a validation, and held-out ones that they are compared with."""
FEWEST = 2
"""Fewer different held-out pictures are no set."""
TRAINING_PICTURES = 512
"""Training pictures in which copies are looked for."""
ALWAYS = ("kid", "precision", "recall", "diversity")
COPIES = "copies"
"""Share of generated pictures that are suspiciously near to a training picture; about 0.01 without copies."""
FALLBACK = "pixels"
"""The extractor where the backbone of the default one is not available."""


class SetScores:
    """The scores of the pictures that are asked for, computed once for all metrics.

    Args:
        scorer: compares them.
    """

    def __init__(self, scorer: SetScorer) -> None:
        self._scorer = scorer
        self._of: Sequence[np.ndarray] = ()
        self._scores: Mapping[str, float] = {}

    def score(self, name: str, predictions: Sequence[np.ndarray], _targets: Sequence[np.ndarray]) -> float:
        """One metric of the predictions; not a number where it is not defined for them."""
        if predictions is not self._of:
            self._of, self._scores = predictions, self._scorer.scores(predictions)
        return self._scores.get(name, float("nan"))


def of_samples(held_out: Samples | None, learnt: Samples, config: LoopConfig) -> Validation | None:
    """Make the validation of a generator.

    Args:
        held_out: at least VALIDATION_PICTURES samples of held-out pictures with their noise and labels; None if none are held out.
        learnt: at least TRAINING_PICTURES samples of training pictures.
        config: `best_by` is a key of SET_METRICS, or auto for KID.

    Returns:
        None if the run is not to be validated, or fewer than FEWEST different held-out pictures can be read.

    Raises:
        ValueError: the metric is unknown.
    """
    best_by = "kid" if config.best_by == AUTO else config.best_by
    if best_by not in SET_METRICS:
        raise ValueError(f"unknown loop.best_by={best_by}: use one of {', '.join(SET_METRICS)}{nearest(best_by, SET_METRICS)}")
    if held_out is None or not config.validate_every:
        return None
    try:
        samples = [held_out[index] for index in range(VALIDATION_PICTURES)]
    except ValueError as error:  # each unreadable image was logged
        log.warning("no validation: %s", error)
        return None
    distinct = len({item["real"].numpy().tobytes() for item in samples})
    if distinct < FEWEST:
        log.warning("no validation: %d held-out pictures are too few to compare sets with; raise data.test_fraction", distinct)
        return None
    training = [_array(learnt[index]["real"]) for index in range(TRAINING_PICTURES)]
    names = list(dict.fromkeys((best_by, *ALWAYS)))
    with torch.random.fork_rng(devices=[]):  # a backbone draws its first weights
        scores = SetScores(
            scorer(_extractor(), [_array(item["real"]) for item in samples], training, metrics={name: SET_METRICS[name] for name in names})
        )
    metrics = {name: ValidationMetric(partial(scores.score, name), SET_METRICS[name].better == "higher") for name in names}
    metrics[COPIES] = ValidationMetric(partial(scores.score, COPIES), higher_is_better=False)
    size = min(config.batch_size, len(samples))
    batches = [default_collate(samples[start : start + size]) for start in range(0, len(samples), size)]
    return Validation(batches, metrics, best_by, prediction="generated")


def _extractor() -> Extractor:
    try:
        EXTRACTORS[DEFAULT_EXTRACTOR].extract([np.zeros((32, 32, 3), np.float32)])
    except ValueError as error:
        log.info("validation compares small gray pictures: %s", error)
        return EXTRACTORS[FALLBACK]
    return EXTRACTORS[DEFAULT_EXTRACTOR]


def _array(picture: Tensor) -> np.ndarray:
    """(C, H, W) -> (H, W, C)."""
    return picture.permute(1, 2, 0).numpy()
