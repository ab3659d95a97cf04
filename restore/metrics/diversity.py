"""How unlike each other the pictures of a set are, beside the real ones: collapsed generators make pictures that are alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restore.metrics.neighbours import blocks
from restore.metrics.perceptual import lpips


def diversity(results: np.ndarray, references: np.ndarray) -> float:
    """Mean distance of two results as a fraction of that of two references, features (N, D), (M, D); 1 is as diverse as the references.

    Raises:
        ValueError: a set of fewer than two, or all references are equal.
    """
    if min(len(results), len(references)) < 2:
        raise ValueError(f"each set needs at least two pictures, not {len(results)} and {len(references)}")
    real = _mean_distance(references)
    if real == 0:
        raise ValueError("all references are equal, so no diversity can be compared with theirs")
    return _mean_distance(results) / real


def lpips_diversity(pictures: Sequence[np.ndarray], *, pairs: int = 200, seed: int = 0) -> float:
    """Mean LPIPS (AlexNet) of random pairs of different pictures (H, W, C) of one size, in nominal [0, 1] (Zhu et al. 2017, section 4.2).

    Raises:
        ValueError: fewer than two pictures, unlike sizes, or LPIPS is not available.
    """
    if len(pictures) < 2:
        raise ValueError(f"the diversity of a set needs at least two pictures, not {len(pictures)}")
    random = np.random.default_rng(seed)
    drawn = [random.choice(len(pictures), 2, replace=False) for _ in range(pairs)]
    return float(np.mean([lpips(pictures[first], pictures[second]) for first, second in drawn]))


def _mean_distance(features: np.ndarray) -> float:
    total = sum(float(block.sum()) for block in blocks(features, features))
    return total / (len(features) * (len(features) - 1))
