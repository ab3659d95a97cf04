"""Random fields have the spectrum that they are drawn from."""

from __future__ import annotations

import numpy as np
import pytest

from restore.images.noise_spectrum import SIDE, WHITE, NoiseSpectrum


def _lag(values: np.ndarray, rows: int, columns: int) -> float:
    height, width = values.shape[:2]
    return float((values[: height - rows, : width - columns] * values[rows:, columns:]).mean())


def _box() -> NoiseSpectrum:
    """The spectrum of white noise after a mean over 3 x 3 pixels, of variance 1."""
    line = (1 + 2 * np.cos(2 * np.pi * np.fft.fftfreq(SIDE))) ** 2 / 3
    return NoiseSpectrum(np.outer(line, line))


@pytest.mark.parametrize("shape", [(200, 300, 1), (64, 900, 3)])
def test_a_field_has_its_autocovariance(shape: tuple[int, int, int]) -> None:
    field = _box().field(shape, np.random.default_rng(0))
    assert field.shape == shape
    assert field.dtype == np.float32
    assert _box().variance == pytest.approx(1)
    for lag, expected in {(0, 0): 1, (0, 1): 2 / 3, (1, 0): 2 / 3, (1, 1): 4 / 9, (0, 3): 0}.items():
        assert _lag(field, *lag) == pytest.approx(expected, abs=0.06)


def test_a_small_field_is_noise_too() -> None:
    fields = [_box().field((8, 5, 1), np.random.default_rng(seed)) for seed in range(200)]
    assert np.mean([_lag(field, 0, 0) for field in fields]) == pytest.approx(1, abs=0.1)
    assert np.mean([_lag(field, 0, 1) for field in fields]) == pytest.approx(2 / 3, abs=0.1)


def test_white_noise_is_drawn_as_it_is() -> None:
    np.testing.assert_array_equal(
        WHITE.field((9, 9, 1), np.random.default_rng(3)), np.random.default_rng(3).standard_normal((9, 9, 1), np.float32)
    )


def test_lines_are_whole_rows_and_columns() -> None:
    spectrum = NoiseSpectrum(np.ones((SIDE, SIDE)), (4.0, 1.0))
    drawn = spectrum.field((300, 200, 1), np.random.default_rng(0))[:, :, 0]
    assert not spectrum.white and spectrum.variance == 6
    assert float(drawn.mean(axis=1).var()) == pytest.approx(4, rel=0.2)
    assert float(drawn.mean(axis=0).var()) == pytest.approx(1, rel=0.3)
    assert float(drawn.var()) == pytest.approx(6, rel=0.15)
