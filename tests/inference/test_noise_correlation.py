"""The measured spectrum of noise against the noise that was added."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from restore.inference.noise_correlation import measured_spectrum
from restore.inference.noise_estimate import Estimate
from restore.inference.noise_estimation import estimate

Smooth = Callable[..., np.ndarray]


def _noise(kind: str, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    white = rng.standard_normal((height, width)).astype(np.float32)
    if kind == "blurred":
        return cv2.blur(white, (3, 3)) * np.float32(0.24)
    if kind == "lines":
        return white * np.float32(0.05) + np.float32(0.05) * rng.standard_normal((height, 1)).astype(np.float32)
    return white * np.float32(0.08)


def _lag(values: np.ndarray, rows: int, columns: int) -> float:
    height, width = values.shape[:2]
    return float((values[: height - rows, : width - columns] * values[rows:, columns:]).mean())


@pytest.mark.parametrize("kind", ["blurred", "lines"])
def test_correlated_noise(smooth: Smooth, kind: str) -> None:
    noise = _noise(kind, 300, 400)
    noisy = smooth(300, 400) + noise[:, :, None]
    found = estimate(noisy)
    spectrum = measured_spectrum([noisy], [found])
    assert spectrum is not None and not spectrum.white
    drawn = spectrum.field((300, 400, 1), np.random.default_rng(1))[:, :, 0] * np.sqrt(found.level.variance(np.float64(0.5)))
    for lag in ((0, 0), (0, 1), (1, 0), (0, 2), (2, 2)):
        assert _lag(drawn, *lag) == pytest.approx(_lag(noise, *lag), abs=0.2 * _lag(noise, 0, 0))


def test_white_noise_is_white_in_flat_and_in_textured_pictures(smooth: Smooth, photograph: Smooth) -> None:
    for clean in (smooth(300, 400), photograph(300, 400)):
        noisy = clean + _noise("white", 300, 400)[:, :, None]
        spectrum = measured_spectrum([noisy], [estimate(noisy)])
        assert spectrum is not None and spectrum.white


def test_it_is_not_known_where_texture_looks_like_noise_or_pictures_are_small(smooth: Smooth) -> None:
    picture = smooth(40, 40) + _noise("blurred", 40, 40)[:, :, None]
    assert measured_spectrum([picture], [Estimate(estimate(picture).level, colour=8.0, spread=5.0)]) is None
    assert measured_spectrum([picture], [Estimate(estimate(picture).level, colour=8.0, spread=1.2)]) is None
