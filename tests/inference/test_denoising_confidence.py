"""The error of denoised pictures: shapes, bands of rows, ranges, and when its bound is not promised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from restore import networks
from restore.datasets.degrade import gaussian
from restore.images.noise_model import NoiseLevel
from restore.inference import confidence
from restore.inference.confidence import ConfidenceHead
from restore.inference.confidence_calibration import Calibration, Traits, read
from restore.inference.denoising_confidence import DenoisingConfidence, span_of
from restore.runtime import Runtime

Smooth = Callable[..., np.ndarray]
BAND = {
    "low": 5.0, "high": 20.0, "factor": 2.0, "error_factor": 3.0, "square_factor": 2.0, "pictures": 50,
    "ranges": {"relative": [0, 10], "correlation": [-0.3, 0.3], "energy": [0.5, 1.5]},
}  # fmt: skip
HEAD = {"measure": "noise", "weights": "x", "pictures": "photographs", "digest": "y", "bands": [BAND]}
RECIPE: dict[str, Any] = {"calibration": {"a": HEAD}}


def _calibration() -> Calibration:
    calibration = read(RECIPE, "a")
    assert calibration is not None
    return calibration


@pytest.fixture
def estimator(fp32: Runtime) -> DenoisingConfidence:
    torch.manual_seed(0)
    return DenoisingConfidence(ConfidenceHead(networks.build("error_head", channels=1, width=8), None, fp32))


def _denoised(smooth: Smooth, height: int, width: int, channels: int = 1, sigma: float = 12) -> tuple[np.ndarray, np.ndarray, NoiseLevel]:
    clean = smooth(height, width, channels)
    noisy, level = gaussian(clean, sigma / 255, np.random.default_rng(0))
    return noisy, clean + 0.1 * (noisy - clean), level


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (33, 50), (64, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size(estimator: DenoisingConfidence, smooth: Smooth, size: tuple[int, int], channels: int) -> None:
    noisy, restored, level = _denoised(smooth, *size, channels)
    maps = estimator(noisy, restored, level)
    assert maps.expected.shape == maps.bound.shape == size
    assert maps.expected.dtype == maps.bound.dtype == np.float32
    assert (maps.expected > 0).all() and (maps.bound > 0).all()
    assert maps.doubts  # not calibrated


def test_bands_of_rows_change_nothing(estimator: DenoisingConfidence, smooth: Smooth, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy, restored, level = _denoised(smooth, 150, 40)
    whole = estimator(noisy, restored, level)
    monkeypatch.setattr(confidence, "ROWS_OF_PIXELS", 40 * 30)
    parts = estimator(noisy, restored, level)
    np.testing.assert_allclose(parts.expected, whole.expected, rtol=1e-4)
    np.testing.assert_allclose(parts.bound, whole.bound, rtol=1e-4)


def test_the_maps_have_the_unit_of_the_picture(estimator: DenoisingConfidence, smooth: Smooth) -> None:
    """A picture of another range (Hounsfield units, counts) gets the same map in its own unit."""
    noisy, restored, level = _denoised(smooth, 96, 96)
    factor = 1000.0
    wide = NoiseLevel(level.slope * factor, level.constant * factor**2)
    one, two = estimator(noisy, restored, level), estimator(noisy * np.float32(factor), restored * np.float32(factor), wide)
    span = span_of(noisy * np.float32(factor), wide).span
    assert span > 100
    assert two.expected.mean() / factor == pytest.approx(one.expected.mean(), rel=0.2)


def test_what_the_denoiser_excludes_has_no_error(estimator: DenoisingConfidence, smooth: Smooth) -> None:
    noisy, restored, level = _denoised(smooth, 64, 64)
    restored[:20] = noisy[:20]
    maps = estimator(noisy, restored, level)
    assert maps.expected[:20].max() == maps.bound[:20].max() == 0
    assert maps.expected[20:].min() > 0


def test_the_factors_of_the_band_are_applied(estimator: DenoisingConfidence, smooth: Smooth, fp32: Runtime) -> None:
    noisy, restored, level = _denoised(smooth, 64, 64)
    raw = estimator(noisy, restored, level)
    estimator.head.calibration = _calibration()
    maps = estimator(noisy, restored, level)
    np.testing.assert_allclose(maps.bound, 2 * raw.bound, rtol=1e-6)
    np.testing.assert_allclose(maps.expected, 3 * raw.expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"sigma": 3}, "outside the calibrated"), ({"sigma": 20}, "outside the calibrated"), ({"relative": 11}, "another kind"),
     ({"correlation": 0.5}, "correlated"), ({"energy": 0.2}, "size of the noise")],
)  # fmt: skip
def test_pictures_unlike_the_calibration_pictures_get_no_promise(change: dict[str, float], word: str) -> None:
    like = {"relative": 1.0, "correlation": 0.0, "energy": 1.0}
    assert _calibration().doubts(Traits(10, like)) == ()
    (doubt,) = _calibration().doubts(Traits(change.pop("sigma", 10), like | change))
    assert word in doubt and "not promised" in doubt


def test_correlated_noise_is_noticed(estimator: DenoisingConfidence, smooth: Smooth) -> None:
    noisy, restored, level = _denoised(smooth, 128, 128)
    span = span_of(noisy, level)
    white = estimator.examine(noisy, restored, level, span)[1]
    assert abs(white.values["correlation"]) < 0.05
    assert white.values["energy"] == pytest.approx(0.81, abs=0.05)
    rolled = restored + 0.5 * (np.roll(noisy, 1, axis=1) - np.roll(restored, 1, axis=1))
    smeared = noisy + rolled - restored
    assert estimator.examine(smeared, restored, level, span)[1].values["correlation"] > 0.1


@pytest.mark.parametrize(
    "bad",
    [{"bands": []}, {"bands": [BAND, BAND]}, {"bands": [{**BAND, "low": 30.0}]}, {"bands": [{**BAND, "factor": float("nan")}]},
     {"bands": [{**BAND, "ranges": {}}]}, {"bands": 3}, {"measure": "colour"}],
)  # fmt: skip
def test_a_damaged_calibration_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="confidence weights"):
        read({"calibration": {"a": {**RECIPE["calibration"]["a"], **bad}}}, "a")
    assert read({}, "a") is None
