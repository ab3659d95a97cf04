"""Metrics of two sets of features (N, D), (M, D): distances, coverage, and a test for copies of the training set.

The features come from `restore.metrics.extractors`. A number is comparable with another only if extractor and set sizes agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

# SciPy's rooms are imported where they are used: together they take half a second, which every command would wait for
NORMAL_95 = 1.959964
"""Standard deviations on each side of the mean within which 95 % of a normal distribution lie."""
ROUGH = "a rough estimate, whose value depends on the number of pictures"
NEIGHBOURS = 5
"""k of precision, recall, density and coverage (Naeem et al. 2020, section 5)."""


@dataclass(frozen=True)
class SetScore:
    """A number with its 95 % confidence interval; without one, both ends are NaN."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class SetMetric:
    """One metric of two sets of features.

    Attributes:
        function: (results (N, D), references (M, D)) -> score; a ValueError says why it is not defined for these sets.
        better: "higher" or "lower".
        protocol: what determines its values besides the extractor and the sizes of the sets.
        fewest: pictures below which `caution` holds.
        caution: what is wrong with its value for small sets.
    """

    function: Callable[[np.ndarray, np.ndarray], SetScore]
    better: str
    protocol: str
    fewest: int = 0
    caution: str = ""


def fid(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance of two sets of features (N, D), (M, D): |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)); 0 for equal sets.

    Heusel et al. 2017 (eq. 6). Below 2,048 pictures it is biased upwards; `kid` is not.

    Raises:
        ValueError: a set of fewer than two.
    """
    from scipy import linalg

    _check(first, second)
    means = [x.mean(0) for x in (first, second)]
    covariances = [np.atleast_2d(np.cov(x, rowvar=False)) for x in (first, second)]
    # the trace of the product's root from its eigenvalues, which are real and not negative apart from rounding
    eigenvalues = linalg.eigvals(covariances[0] @ covariances[1]).real
    root = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    difference = means[0] - means[1]
    return float(difference @ difference + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * root)


def kid(first: np.ndarray, second: np.ndarray) -> float:
    """Squared maximum mean discrepancy, unbiased, of two sets of features (N, D), (M, D) by the kernel (x y / D + 1)^3.

    Binkowski et al. 2018 (section 4).

    Raises:
        ValueError: a set of fewer than two.
    """
    return kid_interval(first, second).value


def kid_interval(first: np.ndarray, second: np.ndarray) -> SetScore:
    """`kid` with a 95 % interval from the jackknife over the pictures of both sets.

    The estimates without one picture follow from the sums of the kernel's rows, so all pictures count and no subsets are drawn. Where
    both sets come from one distribution, the jackknife overstates the variance; the interval then is too wide rather than too narrow.

    Raises:
        ValueError: a set of fewer than two.
    """
    _check(first, second)
    width = first.shape[1]

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray((a @ b.T / width + 1) ** 3)

    between = kernel(first, second)
    means: list[float] = []
    without: list[np.ndarray] = []
    for features, across in ((first, between.sum(1)), (second, between.sum(0))):
        count, same = len(features), kernel(features, features)
        rows = same.sum(1) - np.diagonal(same)
        total, others = rows.sum(), between.size // count
        means.append(total / (count * (count - 1)))
        if count > 2:
            inner = (total - 2 * rows) / ((count - 1) * (count - 2)) - means[-1]
            cross = (between.sum() - across) / ((count - 1) * others) - between.mean()
            without.append(inner - 2 * cross)
    value = float(means[0] + means[1] - 2 * between.mean())
    if len(without) < 2:
        return SetScore(value)
    variance = sum((len(change) - 1) / len(change) * float(np.square(change - change.mean()).sum()) for change in without)
    spread = NORMAL_95 * variance**0.5
    return SetScore(value, value - spread, value + spread)


def inception_score(logits: np.ndarray, *, splits: int = 10) -> SetScore:
    """exp(E KL(p(y|x) | p(y))) of class logits (N, classes), the mean over `splits` parts (Salimans et al. 2016, section 4).

    The interval is that of the mean of the parts (t distribution).

    Raises:
        ValueError: fewer pictures than splits.
    """
    from scipy.special import stdtrit

    if len(logits) < splits:
        raise ValueError(f"the inception score in {splits} parts needs at least {splits} pictures, not {len(logits)}")
    shifted = logits - logits.max(1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    parts = []
    for part in np.array_split(log_probabilities, splits):
        log_marginal = np.log(np.exp(part).mean(0))
        parts.append(float(np.exp((np.exp(part) * (part - log_marginal)).sum(1).mean())))
    spread = float(stdtrit(splits - 1, 0.975) * np.std(parts, ddof=1) / splits**0.5) if splits > 1 else float("nan")
    return SetScore(float(np.mean(parts)), float(np.mean(parts)) - spread, float(np.mean(parts)) + spread)


def precision(results: np.ndarray, references: np.ndarray, *, neighbours: int = NEIGHBOURS) -> float:
    """Share of results inside the k-nearest-neighbour ball of a reference (Kynkäänniemi et al. 2019, eq. 2).

    Raises:
        ValueError: a set does not have more than `neighbours` pictures.
    """
    radii = _radii(references, neighbours)
    return float((_distances(results, references) <= radii).any(1).mean())


def recall(results: np.ndarray, references: np.ndarray, *, neighbours: int = NEIGHBOURS) -> float:
    """Share of references inside the k-nearest-neighbour ball of a result (Kynkäänniemi et al. 2019, eq. 2)."""
    return precision(references, results, neighbours=neighbours)


def density(results: np.ndarray, references: np.ndarray, *, neighbours: int = NEIGHBOURS) -> float:
    """Mean number of reference balls around a result, by k (Naeem et al. 2020, eq. 4); about 1 for equal distributions."""
    return float((_distances(results, references) <= _radii(references, neighbours)).sum(1).mean() / neighbours)


def coverage(results: np.ndarray, references: np.ndarray, *, neighbours: int = NEIGHBOURS) -> float:
    """Share of references whose k-nearest-neighbour ball holds a result (Naeem et al. 2020, eq. 5)."""
    return float((_distances(results, references).min(0) <= _radii(references, neighbours)).mean())


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
    near = [_distances(features, training).min(1) for features in (results, test)]
    member = [_distances(features, centres).argmin(1) for features in (results, test)]
    total = weight = 0.0
    for cell in range(cells):
        generated, real = (distances[members == cell] for distances, members in zip(near, member, strict=True))
        if min(len(generated), len(real)) < 2:
            continue
        total += len(real) * _mann_whitney(generated, real)
        weight += len(real)
    if not weight:
        raise ValueError("the copy test needs at least two results and two test pictures")
    return total / weight


def _mann_whitney(first: np.ndarray, second: np.ndarray) -> float:
    """z-score of the Mann-Whitney U statistic; positive where values of `first` are larger."""
    from scipy.stats import rankdata

    counts = len(first), len(second)
    ranks = rankdata(np.concatenate([first, second]))
    u = ranks[: counts[0]].sum() - counts[0] * (counts[0] + 1) / 2
    product = counts[0] * counts[1]
    return float((u - product / 2) / (product * (sum(counts) + 1) / 12) ** 0.5)


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Euclidean distances of all pairs of (N, D), (M, D) -> (N, M)."""
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(first, second))


def _radii(features: np.ndarray, neighbours: int) -> np.ndarray:
    """Distance of each picture to its k-th nearest neighbour in the same set."""
    if len(features) <= neighbours:
        raise ValueError(f"each set needs more than {neighbours} pictures, not {len(features)}")
    return np.asarray(np.partition(_distances(features, features), neighbours, axis=1)[:, neighbours])


def _check(first: np.ndarray, second: np.ndarray) -> None:
    if min(len(first), len(second)) < 2:
        raise ValueError(f"each set needs at least two pictures, not {len(first)} and {len(second)}")


def _plain(function: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[np.ndarray, np.ndarray], SetScore]:
    return lambda results, references: SetScore(function(results, references))


SET_METRICS: Mapping[str, SetMetric] = {
    "fid": SetMetric(_plain(fid), "lower", "Fréchet distance", 2048, "biased upwards"),
    "kid": SetMetric(kid_interval, "lower", "cubic kernel, unbiased over all pairs, interval by the jackknife"),
    "precision": SetMetric(_plain(precision), "higher", f"k = {NEIGHBOURS}", 1000, ROUGH),
    "recall": SetMetric(_plain(recall), "higher", f"k = {NEIGHBOURS}", 1000, ROUGH),
    "density": SetMetric(_plain(density), "higher", f"k = {NEIGHBOURS}", 1000, ROUGH),
    "coverage": SetMetric(_plain(coverage), "higher", f"k = {NEIGHBOURS}", 1000, ROUGH),
}
"""Metrics of two sets of features. `inception_score` takes logits, `copy_test` a third set."""
