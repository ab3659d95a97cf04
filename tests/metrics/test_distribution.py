"""Distances of sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from restore.metrics import SET_METRICS
from restore.metrics.distribution import coverage, density, fid, inception_score, kid, kid_interval, precision, recall
from restore.metrics.neighbours import ROWS, nearest, radii


def _sets(shift: float = 0.0, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.standard_normal((4000, 5)), scale * random.standard_normal((4000, 5)) + shift


def test_the_frechet_distance_of_gaussians_is_the_formulas() -> None:
    # |shift|^2 + (scale - 1)^2 a dimension
    first, second = _sets(0.5, 2.0)
    assert fid(first, second) == pytest.approx(5 * (0.25 + 1.0), rel=0.03)
    assert fid(first, first) == pytest.approx(0, abs=1e-6)


def test_fewer_pictures_than_features_are_no_trouble() -> None:
    random = np.random.default_rng(1)
    first = random.standard_normal((6, 40))
    assert fid(first, first) == pytest.approx(0, abs=1e-5)
    assert np.isfinite(fid(first, random.standard_normal((5, 40))))


def test_the_kernel_distance_is_unbiased_and_grows() -> None:
    alike = [kid(*(np.random.default_rng(seed).standard_normal((2, 30, 5)))) for seed in range(200)]
    assert abs(np.mean(alike)) < 3 * np.std(alike) / len(alike) ** 0.5
    assert kid(*_sets(1.0)) > kid(*_sets(0.5)) > 0.01


@pytest.mark.parametrize("name", sorted(SET_METRICS))
def test_one_picture_is_no_set(name: str) -> None:
    with pytest.raises(ValueError, match=r"at least two|more than"):
        SET_METRICS[name].function(np.zeros((1, 3)), np.zeros((1, 3)))


def test_distances_are_torch_fidelitys() -> None:
    metric_fid = pytest.importorskip("torch_fidelity.metric_fid")
    metric_kid = pytest.importorskip("torch_fidelity.metric_kid")
    first, second = _sets(0.3, 1.2)
    first, second = first[:300], second[:300]
    statistics = [metric_fid.fid_features_to_statistics(torch.from_numpy(features)) for features in (first, second)]
    expected = metric_fid.fid_statistics_to_metric(*statistics, False)[metric_fid.KEY_METRIC_FID]
    assert fid(first, second) == pytest.approx(expected, abs=1e-3)
    # one subset of all pictures; torch-fidelity leaves out the pairs (i, i) between the sets in no mode
    found = metric_kid.kid_features_to_metric(
        torch.from_numpy(first), torch.from_numpy(second), kid_subsets=1, kid_subset_size=300, verbose=False, rng_seed=0
    )
    assert kid(first, second) == pytest.approx(found[metric_kid.KEY_METRIC_KID_MEAN], abs=1e-3)


def test_precision_and_recall_are_torch_fidelitys() -> None:
    metric = pytest.importorskip("torch_fidelity.metric_prc")
    first, second = _sets(1.0, 0.7)
    found = metric.prc_features_to_metric(
        *(torch.from_numpy(features[:200]) for features in (first, second)), prc_neighborhood=5, prc_batch_size=1000,
        save_cpu_ram=False, verbose=False,
    )  # fmt: skip
    assert precision(first[:200], second[:200]) == pytest.approx(found[metric.KEY_METRIC_PRECISION], abs=1e-6)
    assert recall(first[:200], second[:200]) == pytest.approx(found[metric.KEY_METRIC_RECALL], abs=1e-6)


def test_the_jackknife_is_that_of_leaving_each_picture_out() -> None:
    first, second = (features[:12] for features in _sets(0.4))
    changes = [[kid(np.delete(first, one, 0), second) for one in range(12)], [kid(first, np.delete(second, one, 0)) for one in range(12)]]
    variance = sum(11 / 12 * np.square(np.array(part) - np.mean(part)).sum() for part in changes)
    score = kid_interval(first, second)
    assert score.high - score.value == pytest.approx(1.959964 * variance**0.5, rel=1e-6)


def test_the_interval_covers_zero_for_two_halves_of_one_set() -> None:
    covered = [
        score.low <= 0 <= score.high
        for seed in range(100)
        for score in [kid_interval(*np.random.default_rng(seed).standard_normal((2, 40, 8)))]
    ]
    assert np.mean(covered) >= 0.95
    far = kid_interval(*_sets(1.0))
    assert far.low > 0


def test_density_and_coverage_of_equal_distributions() -> None:
    random = np.random.default_rng(2)
    first, second = random.standard_normal((2, 1000, 8))
    assert density(first, second) == pytest.approx(1, abs=0.05)
    assert coverage(first, second) == pytest.approx(1 - 1 / 2**5, abs=0.03)  # 1 - the chance that no result is among the 5 nearest
    assert coverage(first[:1].repeat(1000, 0), second) < 0.05 < recall(first, second)


def test_the_inception_score_of_sure_and_of_unsure_classes() -> None:
    sure = 50 * np.eye(5)[np.arange(500) % 5]
    assert inception_score(sure).value == pytest.approx(5, abs=1e-6)
    assert inception_score(np.zeros((50, 5))).value == pytest.approx(1)
    with pytest.raises(ValueError, match="at least 10"):
        inception_score(np.zeros((9, 5)))


def test_more_pictures_than_a_block_of_rows_give_the_plain_formulas() -> None:
    random = np.random.default_rng(4)
    first, second = random.standard_normal((ROWS + 300, 3)), random.standard_normal((ROWS + 100, 3))

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / 3 + 1) ** 3

    def inner(x: np.ndarray) -> float:
        return (kernel(x, x).sum() - np.trace(kernel(x, x))) / (len(x) * (len(x) - 1))

    assert kid(first, second) == pytest.approx(inner(first) + inner(second) - 2 * kernel(first, second).mean(), rel=1e-9)
    index, distance = nearest(first, second)
    plain = np.linalg.norm(first[:, None] - second[None], axis=2)
    assert (index == plain.argmin(1)).all() and distance == pytest.approx(plain.min(1))
    assert radii(first, 2) == pytest.approx(np.sort(np.linalg.norm(first[:, None] - first[None], axis=2), 1)[:, 2])
    assert precision(first, second) == pytest.approx((plain <= radii(second, 5)).any(1).mean())


def test_the_distance_of_equal_sets_is_not_negative() -> None:
    for seed in range(20):
        features = np.random.default_rng(seed).normal(size=(6, 8))
        assert str(fid(features, features))[0] != "-"
