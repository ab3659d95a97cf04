"""Euclidean distances and nearest neighbours of features (N, D), in blocks of rows, so that memory grows with one set only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

ROWS = 1024
"""Rows whose distances are held at a time."""


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances of all pairs of (N, D), (M, D) -> (N, M)."""
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(first, second))


def blocks(first: np.ndarray, second: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of `distances`, ROWS at a time."""
    return (distances(first[start : start + ROWS], second) for start in range(0, len(first), ROWS))


def nearest(features: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row of (N, D), the index of the nearest row of (M, D) and its distance: (N,), (N,)."""
    found = [(block.argmin(1), block.min(1)) for block in blocks(features, others)]
    return np.concatenate([index for index, _ in found]), np.concatenate([distance for _, distance in found])


def radii(features: np.ndarray, neighbours: int) -> np.ndarray:
    """Distance of each row of (N, D) to its k-th nearest neighbour among the others: (N,).

    Raises:
        ValueError: there are no more than k rows.
    """
    if len(features) <= neighbours:
        raise ValueError(f"each set needs more than {neighbours} pictures, not {len(features)}")
    # the nearest of all is the picture itself
    return np.concatenate([np.partition(block, neighbours, axis=1)[:, neighbours] for block in blocks(features, features)])
