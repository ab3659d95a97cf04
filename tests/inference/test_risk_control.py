"""Conformal risk control: the factor against brute force, and the guarantee by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from restore.inference.risk_control import fewest_pictures, mean_loss, smallest_factor

PICTURES = st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=8), min_size=10, max_size=30)


def _brute_force(ratios: list[np.ndarray], alpha: float) -> float:
    """The formula of theorem 1, tried on every factor at which the loss can change."""
    count = len(ratios)
    for factor in np.unique(np.concatenate(ratios)):
        if count / (count + 1) * mean_loss(ratios, factor) + 1 / (count + 1) <= alpha + 1e-12:
            return float(factor)
    raise AssertionError("the largest ratio has no loss")


@given(PICTURES, st.sampled_from([0.1, 0.15, 0.3]))
def test_the_smallest_factor_is_that_of_the_formula(pictures: list[list[int]], alpha: float) -> None:
    ratios = [np.array(one, np.float32) / 4 for one in pictures]
    assert smallest_factor(ratios, alpha) == _brute_force(ratios, alpha)


def test_pictures_count_and_not_pixels() -> None:
    """One picture of many bad pixels weighs as much as one of few."""
    good = [np.full(10, 0.5, np.float32)] * 29
    many, few = np.full(100_000, 2.0, np.float32), np.full(10, 2.0, np.float32)
    assert smallest_factor([*good, many]) == smallest_factor([*good, few]) == 0.5


def test_new_pictures_keep_the_risk() -> None:
    rng = np.random.default_rng(0)

    def pictures(count: int) -> list[np.ndarray]:
        return [rng.exponential(rng.lognormal(0, 0.5), 200).astype(np.float32) for _ in range(count)]

    risks = [mean_loss(pictures(100), smallest_factor(pictures(60))) for _ in range(60)]
    assert 0.07 < np.mean(risks) <= 0.1 + 0.005  # the mean of 60 draws has a deviation of 0.001


def test_too_few_pictures_are_refused() -> None:
    assert fewest_pictures() == 9
    with pytest.raises(ValueError, match="too few"):
        smallest_factor([np.ones(5, np.float32)] * 8)
    assert smallest_factor([np.ones(5, np.float32)] * 9) == 1


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="no pixels"):
        smallest_factor([np.ones(5, np.float32)] * 20 + [np.ones(0, np.float32)])
