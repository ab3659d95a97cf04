"""Distances of sets."""

from __future__ import annotations

import numpy as np
import pytest

from restore.metrics import SET_METRICS
from restore.metrics.distribution import fid, kid


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
    with pytest.raises(ValueError, match="at least two"):
        SET_METRICS[name](np.zeros((1, 3)), np.zeros((4, 3)))
