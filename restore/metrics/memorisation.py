"""Does a generator copy its training pictures? Tests on features of generated, unseen real and training pictures.

The features (N, D) come from `restore.metrics.extractors`; distances are Euclidean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restore.metrics.neighbours import distances, nearest, radii

COPYING = -3.0
"""C_T below which a generator counts as copying (Meehan et al. 2020, section 4)."""
NEAR, MOST_NEAR = 0.01, 0.05
"""A result is suspiciously near if only this fraction of the unseen real pictures is nearer; more suspects than the second are copies."""


def copy_test(results: np.ndarray, test: np.ndarray, training: np.ndarray, *, cells: int = 5, seed: int = 0) -> float:
    """C_T: are generated pictures nearer to the training set than real test pictures are? (Meehan et al. 2020, section 3).

    The Mann-Whitney z-scores of the distances to the nearest training picture, in cells of k-means, weighted by the test pictures in
    each. Below about -3 the generator copies; above 3 its pictures lie farther from the training set than real ones.

    Args:
        results, test, training: features (N, D), (M, D), (K, D).
        cells: number of k-means cells of the training set; cells with fewer than two pictures of a set are left out.

    Raises:
        ValueError: no cell holds two results and two test pictures.
    """
    from scipy.cluster.vq import kmeans2

    cells = max(1, min(cells, len(training) // 10))
    centres, _ = kmeans2(training, cells, minit="++", rng=seed)
    near = [nearest(features, training)[1] for features in (results, test)]
    member = [distances(features, centres).argmin(1) for features in (results, test)]
    total = weight = 0.0
    for cell in range(cells):
        generated, real = (values[members == cell] for values, members in zip(near, member, strict=True))
        if min(len(generated), len(real)) < 2:
            continue
        total += len(real) * _mann_whitney(generated, real)
        weight += len(real)
    if not weight:
        raise ValueError("the copy test needs at least two results and two test pictures")
    return total / weight


def authenticity(results: np.ndarray, training: np.ndarray) -> float:
    """Share of results that lie farther from their nearest training picture than that picture from its own nearest neighbour.

    Alaa et al. 2022 (section 4.3). The value of unseen real pictures is what a generator without copies reaches.

    Raises:
        ValueError: fewer than two training pictures.
    """
    index, distance = nearest(results, training)
    return float((distance > radii(training, 1)[index]).mean())


@dataclass(frozen=True)
class CopyReport:
    """How near generated pictures are to the training pictures, beside unseen real ones.

    Attributes:
        c_t: see `copy_test`.
        distance_ratio: the median distance of the results to their nearest training picture, as a multiple of the unseen pictures'.
        suspects: share of results that are nearer to a training picture than 99 % of the unseen pictures are.
        authentic, authentic_unseen: `authenticity` of the results and of the unseen pictures.
        index, distance: (N,) of each result: its nearest training picture, and how far that is as a multiple of the unseen
            pictures' median.
    """

    c_t: float
    distance_ratio: float
    suspects: float
    authentic: float
    authentic_unseen: float
    index: np.ndarray
    distance: np.ndarray

    @property
    def verdict(self) -> str:
        """One sentence: whether the generator copies."""
        if self.c_t < COPYING:
            return "copies: the pictures are nearer to the training pictures than unseen real pictures are"
        if self.suspects > MOST_NEAR:
            return f"some copies: {self.suspects:.0%} of the pictures are nearer to a training picture than 99 % of unseen real pictures"
        if self.c_t > -COPYING:
            return "no sign of copies; the pictures are farther from the training pictures than unseen real pictures are"
        return "no sign of copies"


def copy_report(results: np.ndarray, unseen: np.ndarray, training: np.ndarray) -> CopyReport:
    """Compare the distances of results (N, D) to the training pictures (K, D) with those of unseen real pictures (M, D).

    Raises:
        ValueError: a set of fewer than two, or the unseen pictures are training pictures themselves.
    """
    if min(len(results), len(unseen), len(training)) < 2:
        raise ValueError("the copy test needs at least two results, two references and two training pictures")
    index, distance = nearest(results, training)
    expected = nearest(unseen, training)[1]
    scale = float(np.median(expected))
    if scale == 0:
        raise ValueError("the references are training pictures themselves: the copy test needs pictures that the generator has not seen")
    return CopyReport(
        c_t=copy_test(results, unseen, training),
        distance_ratio=float(np.median(distance)) / scale,
        suspects=suspects(distance, expected),
        authentic=authenticity(results, training),
        authentic_unseen=authenticity(unseen, training),
        index=index,
        distance=distance / scale,
    )


def suspects(distance: np.ndarray, expected: np.ndarray) -> float:
    """Share of results that are nearer to a training picture (N,) than 99 % of the unseen real pictures are (M,)."""
    return float((distance < np.quantile(expected, NEAR)).mean())


def _mann_whitney(first: np.ndarray, second: np.ndarray) -> float:
    """z-score of the Mann-Whitney U statistic; positive where values of `first` are larger."""
    from scipy.stats import rankdata

    counts = len(first), len(second)
    ranks = rankdata(np.concatenate([first, second]))
    u = ranks[: counts[0]].sum() - counts[0] * (counts[0] + 1) / 2
    product = counts[0] * counts[1]
    return float((u - product / 2) / (product * (sum(counts) + 1) / 12) ** 0.5)
