"""The error of upscaled pictures: shapes, bands of rows, ranges, and the traits of pictures unlike the calibration pictures."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from restore import networks
from restore.datasets.degrade import gaussian, jpeg, to_8_bits
from restore.datasets.downscaling import bicubic
from restore.inference import confidence
from restore.inference.confidence import ConfidenceHead
from restore.inference.confidence_calibration import Traits, read
from restore.inference.ranges import Range
from restore.inference.upscaling_confidence import UpscalingConfidence, blockiness, sharpness, white_noise
from restore.runtime import Runtime

Smooth = Callable[..., np.ndarray]
BAND = {
    "low": 1.0, "high": 20.0, "factor": 2.0, "error_factor": 3.0, "square_factor": 2.0, "pictures": 50,
    "ranges": {"relative": [0, 10], "noise": [0, 1], "sharpness": [0.3, 0.5], "blocks": [0, 1.1]},
}  # fmt: skip
RECIPE = {"calibration": {"a": {"measure": "detail", "weights": "x", "pictures": "photographs", "digest": "y", "bands": [BAND]}}}


@pytest.fixture
def estimator(fp32: Runtime) -> UpscalingConfidence:
    torch.manual_seed(0)
    return UpscalingConfidence(ConfidenceHead(networks.build("error_head", channels=1, width=8), None, fp32))


def _textured(side: int, channels: int = 1) -> np.ndarray:
    """A picture with flat areas and sharp detail, (side, side, channels) float32 in [0, 1]."""
    generator = np.random.default_rng(3)
    picture = cv2.resize(generator.random((6, 6, channels), dtype=np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    picture = 0.5 + 0.2 * (picture.reshape(side, side, channels) - 0.5)
    for _ in range(side // 4):
        centre = generator.integers(0, side, 2).tolist()
        cv2.circle(picture, centre, int(generator.integers(2, side // 8)), generator.random(channels).tolist(), -1, cv2.LINE_AA)
    return np.clip(picture, 0, 1)


def _upscaled(small: np.ndarray, height: int, width: int) -> np.ndarray:
    """Not the cubic kernel's picture, as if a network had added detail."""
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LANCZOS4).reshape(height, width, -1)


@pytest.mark.parametrize(("height", "width", "scale"), [(1, 1, 4), (3, 7, 2), (33, 50, 4), (21, 40, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size(estimator: UpscalingConfidence, smooth: Smooth, height: int, width: int, scale: int, channels: int) -> None:
    small = smooth(height, width, channels)
    maps = estimator(small, _upscaled(small, scale * height, scale * width), Range())
    assert maps.expected.shape == maps.bound.shape == (scale * height, scale * width)
    assert maps.expected.dtype == maps.bound.dtype == np.float32
    assert (maps.expected > 0).all() and (maps.bound > 0).all()
    assert maps.doubts == (confidence.UNCALIBRATED,)


def test_bands_of_rows_change_nothing(estimator: UpscalingConfidence, monkeypatch: pytest.MonkeyPatch) -> None:
    small = _textured(50, 3)
    restored = _upscaled(small, 200, 200)
    whole = estimator(small, restored, Range())
    monkeypatch.setattr(confidence, "ROWS_OF_PIXELS", 200 * 30)
    parts = estimator(small, restored, Range())
    np.testing.assert_allclose(parts.expected, whole.expected, rtol=1e-4)
    np.testing.assert_allclose(parts.bound, whole.bound, rtol=1e-4)


def test_the_maps_have_the_unit_of_the_picture(estimator: UpscalingConfidence) -> None:
    """A picture of another range (Hounsfield units, counts) gets the same map in its own unit."""
    small = _textured(40)
    restored = _upscaled(small, 160, 160)
    one, traits = estimator.examine(small, restored, Range())
    two, same = estimator.examine(1000 * small - 500, 1000 * restored - 500, Range(-500, 1000))
    np.testing.assert_allclose(two.expected, 1000 * one.expected, rtol=1e-3)
    assert same.level == pytest.approx(traits.level, rel=1e-3)
    assert same.values == pytest.approx(traits.values, rel=1e-2)


def test_the_factors_of_the_band_are_applied(estimator: UpscalingConfidence) -> None:
    small = _textured(64)
    restored = _upscaled(small, 128, 128)
    raw = estimator(small, restored, Range())
    estimator.head.calibration = read(RECIPE, "a")
    maps = estimator(small, restored, Range())
    np.testing.assert_allclose(maps.bound, 2 * raw.bound, rtol=1e-6)
    np.testing.assert_allclose(maps.expected, 3 * raw.expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"level": 0.5}, "outside the calibrated"), ({"noise": 3}, "noisy"), ({"sharpness": 0.27}, "sharpness"), ({"blocks": 2}, "JPEG"),
     ({"relative": 11}, "another kind")],
)  # fmt: skip
def test_pictures_unlike_the_calibration_pictures_get_no_promise(change: dict[str, float], word: str) -> None:
    calibration = read(RECIPE, "a")
    assert calibration is not None
    like = {"relative": 0.5, "noise": 0.1, "sharpness": 0.4, "blocks": 1.02}
    assert calibration.doubts(Traits(5, like)) == ()
    (doubt,) = calibration.doubts(Traits(change.get("level", 5), {**like, **change}))
    assert word in doubt and "not promised" in doubt


def test_traits_notice_noise_blur_and_blocks() -> None:
    clean = to_8_bits(bicubic(_textured(512), 2))
    noisy = to_8_bits(gaussian(clean, 4 / 255, np.random.default_rng(0))[0])[:, :, 0]
    blocky = jpeg(clean, 50)[:, :, 0]
    clean = clean[:, :, 0]
    assert white_noise(noisy) > 2 > 4 * white_noise(clean)
    flat = gaussian(np.full((96, 96, 1), 0.5, np.float32), 8 / 255, np.random.default_rng(0))[0][:, :, 0]
    assert white_noise(flat) == pytest.approx(8, rel=0.2)
    assert sharpness(cv2.GaussianBlur(clean, (0, 0), 1.0)) < 0.3 < sharpness(clean) - 0.03
    assert blockiness(blocky) > 1.3 > blockiness(clean) + 0.15


@pytest.mark.parametrize("side", [1, 5, 17, 30])
def test_traits_of_small_and_flat_pictures_are_finite(side: int) -> None:
    flat = np.full((side, side), 0.3, np.float32)
    assert np.isfinite([white_noise(flat), sharpness(flat), blockiness(flat)]).all()
