"""Are generated pictures of their class, and are all classes made? By the logits (N, K) of a classifier."""

from __future__ import annotations

import numpy as np

from restore.metrics.distribution import NORMAL_95, SetScore


def class_accuracy(logits: np.ndarray, labels: np.ndarray) -> SetScore:
    """Share of pictures that the classifier assigns to their own class, with Wilson's 95 % interval (Wilson 1927).

    Args:
        logits: (N, K).
        labels: (N,) indices of classes; pictures with -1 have none and do not count.

    Raises:
        ValueError: no picture has a class.
    """
    known = labels >= 0
    if not known.any():
        raise ValueError("no picture lies in a folder named like a class")
    share, count = float((logits[known].argmax(1) == labels[known]).mean()), int(known.sum())
    square = NORMAL_95**2 / count
    middle = (share + square / 2) / (1 + square)
    spread = NORMAL_95 * ((share * (1 - share) + square * count / (4 * count)) / count) ** 0.5 / (1 + square)
    return SetScore(share, max(0.0, middle - spread), min(1.0, middle + spread))


def class_shares(logits: np.ndarray) -> np.ndarray:
    """The share of each class (K,) among the pictures, as the classifier assigns them."""
    return np.bincount(logits.argmax(1), minlength=logits.shape[1]) / len(logits)


def class_imbalance(results: np.ndarray, references: np.ndarray) -> float:
    """The largest difference of a class's share between two sets of pictures, by their logits; 0 is equal, 1 the worst."""
    return float(np.abs(class_shares(results) - class_shares(references)).max())
