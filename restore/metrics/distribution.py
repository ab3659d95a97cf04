"""Metrics of two sets of features (N, D), (M, D): distances, precision, recall and coverage.

The features come from `restore.metrics.extractors`. A number is comparable with another only if extractor and set sizes agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from restore.metrics.diversity import diversity
from restore.metrics.neighbours import ROWS, blocks, nearest, radii

# SciPy's rooms are imported where they are used: together they take half a second, which every command would wait for
NORMAL_95 = 1.959964
"""Standard deviations on each side of the mean within which 95 % of a normal distribution lie."""
ROUGH = "a rough estimate"
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
    value = float(difference @ difference + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * root)
    return 0.0 if value <= 0 else value  # a distance, negative by rounding alone


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
    across = _kernel_sums(first, second)
    between = float(across[0].sum()) / (len(first) * len(second))
    means: list[float] = []
    without: list[np.ndarray] = []
    for features, others, sums in ((first, second, across[0]), (second, first, across[1])):
        count = len(features)
        rows = _kernel_sums(features, features)[0] - _kernel(np.square(features).sum(1), features.shape[1])
        total = rows.sum()
        means.append(total / (count * (count - 1)))
        if count > 2:
            inner = (total - 2 * rows) / ((count - 1) * (count - 2)) - means[-1]
            cross = (sums.sum() - sums) / ((count - 1) * len(others)) - between
            without.append(inner - 2 * cross)
    value = float(means[0] + means[1] - 2 * between)
    if len(without) < 2:
        return SetScore(value)
    variance = sum((len(change) - 1) / len(change) * float(np.square(change - change.mean()).sum()) for change in without)
    spread = NORMAL_95 * variance**0.5
    return SetScore(value, value - spread, value + spread)


def _kernel_sums(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The kernel of all pairs of (N, D), (M, D), summed over the second set and over the first one: (N,), (M,)."""
    rows, columns = [], np.zeros(len(second))
    for start in range(0, len(first), ROWS):
        block = _kernel(first[start : start + ROWS] @ second.T, first.shape[1])
        rows.append(block.sum(1))
        columns += block.sum(0)
    return np.concatenate(rows), columns


def _kernel(products: np.ndarray, width: int) -> np.ndarray:
    return np.asarray((products / width + 1) ** 3)


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
    reach = radii(references, neighbours)
    return float(np.concatenate([(block <= reach).any(1) for block in blocks(results, references)]).mean())


def recall(results: np.ndarray, references: np.ndarray, *, neighbours: int = NEIGHBOURS) -> float:
    """Share of references inside the k-nearest-neighbour ball of a result (Kynkäänniemi et al. 2019, eq. 2)."""
    return precision(references, results, neighbours=neighbours)


def density(results: np.ndarray, references: np.ndarray, *, neighbours: int = NEIGHBOURS) -> float:
    """Mean number of reference balls around a result, by k (Naeem et al. 2020, eq. 4); about 1 for equal distributions."""
    reach = radii(references, neighbours)
    return float(np.concatenate([(block <= reach).sum(1) for block in blocks(results, references)]).mean() / neighbours)


def coverage(results: np.ndarray, references: np.ndarray, *, neighbours: int = NEIGHBOURS) -> float:
    """Share of references whose k-nearest-neighbour ball holds a result (Naeem et al. 2020, eq. 5)."""
    return float((nearest(references, results)[1] <= radii(references, neighbours)).mean())


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
    "diversity": SetMetric(_plain(diversity), "higher", "mean distance of two pictures, as a fraction of the references'"),
}
"""Metrics of two sets of features. `inception_score` takes logits; `memorisation.copy_report` takes a third set."""
