"""Seeded faults of exposure: within the range, ordered as they were, undone where nothing was clipped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from restore.datasets.exposure import FAULTS, ExposureConfig, damage, encoded, exposed, linear

CONFIG = ExposureConfig()


def picture(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((40, 50, channels), np.float32)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_fault_stays_within_black_and_white_and_keeps_the_order(name: str, channels: int) -> None:
    for seed in range(5):
        given = picture(channels)
        result = FAULTS[name](given, np.random.default_rng(seed), CONFIG)
        assert result.dtype == np.float32 and result.shape == given.shape
        assert result.min() >= 0 and result.max() <= 1
        for channel in range(channels):
            order = np.argsort(given[:, :, channel].ravel())
            assert (np.diff(result[:, :, channel].ravel()[order]) >= -1e-6).all()
        assert np.abs(result - given).mean() > 0.003


def test_the_same_seed_gives_the_same_fault_and_some_crops_stay() -> None:
    first, second = (damage(picture(), np.random.default_rng(7), config=CONFIG)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    given = picture()
    clean = replace(CONFIG, clean_fraction=1.0)
    assert damage(given, np.random.default_rng(0), config=clean) == (given, None)


def test_light_is_coded_and_decoded() -> None:
    codes = np.linspace(0, 1, 256, dtype=np.float32)
    np.testing.assert_allclose(encoded(linear(codes)), codes, atol=1e-5)
    assert linear(np.float32([0.5]))[0] == pytest.approx(0.2140, abs=1e-4)


def test_a_stop_halves_the_light_and_brightening_clips() -> None:
    given = picture()
    np.testing.assert_allclose(linear(exposed(given, -1)), linear(given) / 2, atol=1e-5)
    np.testing.assert_allclose(exposed(exposed(given, -1), 1), given, atol=1e-4)
    assert (exposed(given, 2) > 0.999).mean() > 0.3
