"""Curves of brightness: monotone, within their slopes, straight beyond their ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restore.inference.tone_curve import ToneCurve, equalising


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), strength=st.floats(0, 2), power=st.floats(0.2, 8))
def test_an_equalising_curve_is_monotone_and_keeps_its_ends(seed: int, strength: float, power: float) -> None:
    sample = np.random.default_rng(seed).random(5000) ** power
    curve = equalising(sample, 0.0, 1.0, strength)
    assert (np.diff(curve.outputs) > 0).all()
    assert (curve.outputs[0], curve.outputs[-1]) == pytest.approx((0, 1))


def test_strength_zero_is_the_identity_and_one_gives_frequent_values_room() -> None:
    sample = np.random.default_rng(0).normal(0.3, 0.05, 5000)
    values = np.linspace(-0.5, 1.5, 100, dtype=np.float32)
    np.testing.assert_allclose(equalising(sample, 0.0, 1.0, 0.0)(values), values, atol=1e-6)
    slopes = np.diff(equalising(sample, 0.0, 1.0, 1.0).outputs) * 64
    assert slopes.max() == pytest.approx(slopes[int(0.3 * 64)]) and slopes.max() > 1.5
    assert slopes.min() >= 0.45


def test_a_curve_goes_on_straight_beyond_its_ends() -> None:
    curve = ToneCurve(np.array([0.0, 1.0, 2.0]), np.array([0.0, 3.0, 4.0]))
    np.testing.assert_allclose(curve(np.array([-1, 0.5, 1.5, 5], np.float32)), [-3, 1.5, 3.5, 7])
