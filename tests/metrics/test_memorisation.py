"""Tests for copies, and the diversity of a set."""

from __future__ import annotations

import numpy as np
import pytest

from restore.metrics.diversity import diversity, lpips_diversity
from restore.metrics.memorisation import authenticity, copy_report, copy_test

Sets = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture
def sets() -> Sets:
    """Training, unseen and new pictures of one distribution."""
    training, unseen, new = np.random.default_rng(3).standard_normal((3, 400, 6))
    return training, unseen, new


def _copies(training: np.ndarray) -> np.ndarray:
    return training + 0.05 * np.random.default_rng(4).standard_normal(training.shape)


def test_the_copy_test_tells_copies_from_new_pictures(sets: Sets) -> None:
    training, unseen, new = sets
    assert copy_test(_copies(training), unseen, training) < -10
    assert abs(copy_test(new, unseen, training)) < 3
    assert copy_test(2.5 * new, unseen, training) > 3
    assert copy_test(new, unseen, training) == copy_test(new, unseen, training), "seeded"


def test_copies_are_not_authentic(sets: Sets) -> None:
    training, unseen, new = sets
    assert authenticity(_copies(training), training) < 0.02
    assert authenticity(new, training) == pytest.approx(authenticity(unseen, training), abs=0.08)


def test_the_report_says_what_it_found(sets: Sets) -> None:
    training, unseen, new = sets
    copied = copy_report(_copies(training), unseen, training)
    assert copied.verdict.startswith("copies") and copied.distance_ratio < 0.3
    assert (copied.index == np.arange(400)).mean() > 0.95, "each copy's nearest training picture is its original"
    some = copy_report(np.concatenate([_copies(training)[:40], new[:360]]), unseen, training)
    assert some.verdict.startswith("some copies: ") and 0.09 < some.suspects < 0.2
    fresh = copy_report(new, unseen, training)
    assert fresh.verdict == "no sign of copies" and fresh.distance_ratio == pytest.approx(1, abs=0.1)
    assert "farther" in copy_report(3 * new, unseen, training).verdict


def test_the_copy_test_refuses_references_that_were_trained_on(sets: Sets) -> None:
    training, _, new = sets
    with pytest.raises(ValueError, match="has not seen"):
        copy_report(new, training[:50], training)
    with pytest.raises(ValueError, match="at least two"):
        copy_report(new[:1], new, training)


def test_a_collapsed_set_is_less_diverse(sets: Sets) -> None:
    training, _, new = sets
    assert diversity(new, training) == pytest.approx(1, abs=0.03)
    assert diversity(0.5 * new, training) == pytest.approx(0.5, abs=0.03)
    assert diversity(new[:1].repeat(9, 0), training) == 0
    with pytest.raises(ValueError, match="equal"):
        diversity(new, new[:1].repeat(9, 0))


def test_the_perceptual_diversity_of_equal_pictures_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restore.metrics.diversity.lpips", lambda first, second: float(np.abs(first - second).mean()))
    pictures = [np.full((32, 32, 1), value, np.float32) for value in (0.0, 1.0)]
    assert lpips_diversity(pictures) == 1
    assert lpips_diversity([pictures[0]] * 3) == 0
    with pytest.raises(ValueError, match="at least two"):
        lpips_diversity(pictures[:1])
