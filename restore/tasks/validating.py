"""The validation of a training run: held-out samples, and metrics from `restore.metrics`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from restore.limits import nearest
from restore.metrics import METRICS, SET_METRICS
from restore.metrics.extractors import features
from restore.training.loop_config import AUTO, LoopConfig
from restore.training.validation import Validation, ValidationMetric

log = logging.getLogger(__name__)
Samples = Dataset[dict[str, Tensor]]
VALIDATION_SAMPLES = 32
"""Held-out crops that a run is scored on."""
ALWAYS = ("psnr", "ssim")
"""Metrics of every validation, besides the one that chooses the best weights."""


def of_pairs(held_out: Samples | None, config: LoopConfig) -> Validation | None:
    """Make the validation of a run whose predictions have targets.

    Args:
        held_out: VALIDATION_SAMPLES samples with an input and a target; None if no images are held out.
        config: `best_by` is a key of METRICS, or auto for PSNR.

    Returns:
        None if the run is not to be validated, there are no samples, or none of the held-out images can be read.

    Raises:
        ValueError: the metric is unknown, compares nothing with a reference, or is not available.
    """
    best_by = "psnr" if config.best_by == AUTO else config.best_by
    candidates = [name for name, metric in METRICS.items() if metric.needs_reference]
    _check_name(best_by, candidates)
    with torch.random.fork_rng(devices=[]):  # a metric's network draws its first weights
        problem = METRICS[best_by].problem()
    if problem:
        raise ValueError(f"loop.best_by={best_by} cannot be computed: {problem}")
    samples = _samples(held_out, config)
    if not samples:
        return None
    target = samples[0]["target"].permute(1, 2, 0).numpy()
    if problem := _too_small(best_by, target):
        raise ValueError(f"loop.best_by={best_by} cannot be computed: {problem}; raise data.crop, or choose another metric")
    names = [name for name in dict.fromkeys((best_by, *ALWAYS)) if _too_small(name, target) is None]
    metrics = {name: ValidationMetric(partial(_mean, METRICS[name].function), METRICS[name].better == "higher") for name in names}
    return Validation(_batches(samples, config), metrics, best_by)


def of_domains(held_out: Samples | None, config: LoopConfig) -> Validation | None:
    """Make the validation of a run between two domains without pairs: the distance of the translations to the target's images.

    The arguments, the returned value and the errors are those of `of_pairs`; `best_by` is a key of SET_METRICS, or auto for KID, which
    validates only if the features' backbone is available.
    """
    best_by = "kid" if config.best_by == AUTO else config.best_by
    _check_name(best_by, SET_METRICS)
    samples = _samples(held_out, config)
    if not samples:
        return None
    try:
        with torch.random.fork_rng(devices=[]):  # the backbone draws its first weights
            features([np.zeros((32, 32, 3), np.float32)])
    except ValueError as error:
        if config.best_by == AUTO:
            log.warning("no validation: %s", error)
            return None
        raise ValueError(f"loop.best_by={best_by} cannot be computed: {error}") from error
    metrics = {
        name: ValidationMetric(partial(_distance, name), SET_METRICS[name].better == "higher") for name in dict.fromkeys((best_by, "kid"))
    }
    return Validation(_batches(samples, config), metrics, best_by, prediction="translated")


def _check_name(best_by: str, candidates: Iterable[str]) -> None:
    names = list(candidates)
    if best_by not in names:
        raise ValueError(f"unknown loop.best_by={best_by}: use one of {', '.join(names)}{nearest(best_by, names)}")


def _samples(held_out: Samples | None, config: LoopConfig) -> list[dict[str, Tensor]]:
    """The held-out samples; none if the run is not to be validated or no image can be read."""
    if held_out is None or not config.validate_every:
        return []
    try:
        return [held_out[index] for index in range(VALIDATION_SAMPLES)]
    except ValueError as error:  # each unreadable image was logged
        log.warning("no validation: %s", error)
        return []


def _batches(samples: list[dict[str, Tensor]], config: LoopConfig) -> list[dict[str, Tensor]]:
    size = min(config.batch_size, len(samples))
    return [default_collate(samples[start : start + size]) for start in range(0, len(samples), size)]


def _mean(metric: Callable[[np.ndarray, np.ndarray], float], predictions: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> float:
    return float(np.mean([metric(prediction, target) for prediction, target in zip(predictions, targets, strict=True)]))


def _distance(name: str, predictions: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> float:
    return SET_METRICS[name].function(features(predictions), features(targets)).value


def _too_small(name: str, target: np.ndarray) -> str | None:
    """The reason why a metric is not defined for crops of this size; None if it is."""
    try:
        METRICS[name].function(target, target)
    except ValueError as error:
        return str(error)
    return None
