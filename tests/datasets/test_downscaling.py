"""Downscaling: by the cubic kernel, and as cameras and the internet do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from restore.datasets import downscaling
from restore.datasets.downscaling import DownscalingConfig

Smooth = Callable[..., np.ndarray]
REAL = DownscalingConfig(kind="real")


def _downscaled(picture: np.ndarray, seed: int, config: DownscalingConfig, scale: int = 4) -> np.ndarray:
    return downscaling.downscale(picture, np.random.default_rng(seed), scale=scale, config=config)[0]


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_real_degradation_has_the_size_range_and_depth_that_it_promises(smooth: Smooth, scale: int, channels: int) -> None:
    for seed in range(12):
        small = _downscaled(smooth(64, 96, channels), seed, REAL, scale)
        assert small.shape == (64 // scale, 96 // scale, channels)
        assert small.dtype == np.float32
        assert 0 <= small.min() <= small.max() <= 1
        np.testing.assert_allclose(small * 255, np.rint(small * 255), atol=1e-3)


def test_real_degradation_depends_on_its_seed_alone_and_differs_from_seed_to_seed(smooth: Smooth) -> None:
    picture = smooth(64, 64, 3)
    np.testing.assert_array_equal(_downscaled(picture, 5, REAL), _downscaled(picture, 5, REAL))
    assert np.abs(_downscaled(picture, 5, REAL) - _downscaled(picture, 6, REAL)).max() > 0.02


def test_it_degrades_but_the_image_is_still_recognisable(smooth: Smooth) -> None:
    picture = smooth(128, 128, 3)
    plain = _downscaled(picture, 0, DownscalingConfig())
    apart = [np.abs(_downscaled(picture, seed, REAL) - plain).mean() for seed in range(20)]
    gentle = [np.abs(_downscaled(picture, seed, DownscalingConfig(kind="real", strength=0.3)) - plain).mean() for seed in range(20)]
    assert 0.01 < np.mean(apart) < 0.15
    assert np.mean(gentle) < 0.6 * np.mean(apart)


def test_a_fraction_is_downscaled_by_the_cubic_kernel_alone(smooth: Smooth) -> None:
    picture = smooth(64, 64, 1)
    plain, config = _downscaled(picture, 0, DownscalingConfig()), DownscalingConfig(kind="real", real_fraction=0.5)
    same = sum(np.array_equal(_downscaled(picture, seed, config), plain) for seed in range(60))
    assert 15 < same < 45


@pytest.mark.parametrize(
    ("setting", "word"),
    [({"blur": (3.0, 0.2)}, "blur"), ({"sigma": (0.0, 1.0)}, "sigma"), ({"strength": 2.0}, "strength"),
     ({"real_fraction": -1.0}, "real_fraction")],
)  # fmt: skip
def test_senseless_ranges_are_refused(setting: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        DownscalingConfig(**setting)


def test_every_kernel_keeps_the_brightness() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        for kernel in (downscaling._kernel(rng, REAL, 1.0), downscaling._sinc(rng)):
            assert kernel.sum() == pytest.approx(1, abs=1e-5)
            assert kernel.shape[0] % 2 == 1 and kernel.shape[0] == kernel.shape[1] <= 21
