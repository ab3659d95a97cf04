"""Pictures made small: the cubic kernel's way, and that of cameras and the internet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from restore.datasets.shrinking import ShrinkingConfig

from restore.datasets import shrinking

Smooth = Callable[..., np.ndarray]
REAL = ShrinkingConfig(kind="real")


def _damaged(picture: np.ndarray, seed: int, config: ShrinkingConfig, scale: int = 4) -> np.ndarray:
    return shrinking.damage(picture, np.random.default_rng(seed), scale=scale, config=config)[0]


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_real_damage_has_the_size_range_and_depth_that_it_promises(smooth: Smooth, scale: int, channels: int) -> None:
    for seed in range(12):
        small = _damaged(smooth(64, 96, channels), seed, REAL, scale)
        assert small.shape == (64 // scale, 96 // scale, channels)
        assert small.dtype == np.float32
        assert 0 <= small.min() <= small.max() <= 1
        np.testing.assert_allclose(small * 255, np.rint(small * 255), atol=1e-3)


def test_real_damage_is_its_seeds_alone_and_differs_from_seed_to_seed(smooth: Smooth) -> None:
    picture = smooth(64, 64, 3)
    np.testing.assert_array_equal(_damaged(picture, 5, REAL), _damaged(picture, 5, REAL))
    assert np.abs(_damaged(picture, 5, REAL) - _damaged(picture, 6, REAL)).max() > 0.02


def test_it_harms_but_the_picture_is_still_there(smooth: Smooth) -> None:
    picture = smooth(128, 128, 3)
    plain = _damaged(picture, 0, ShrinkingConfig())
    apart = [np.abs(_damaged(picture, seed, REAL) - plain).mean() for seed in range(20)]
    gentle = [np.abs(_damaged(picture, seed, ShrinkingConfig(kind="real", strength=0.3)) - plain).mean() for seed in range(20)]
    assert 0.01 < np.mean(apart) < 0.15
    assert np.mean(gentle) < 0.6 * np.mean(apart)


def test_a_share_is_made_small_by_the_cubic_kernel_alone(smooth: Smooth) -> None:
    picture = smooth(64, 64, 1)
    plain, config = _damaged(picture, 0, ShrinkingConfig()), ShrinkingConfig(kind="real", real_share=0.5)
    same = sum(np.array_equal(_damaged(picture, seed, config), plain) for seed in range(60))
    assert 15 < same < 45


@pytest.mark.parametrize(
    ("setting", "word"),
    [({"blur": (3.0, 0.2)}, "blur"), ({"sigma": (0.0, 1.0)}, "sigma"), ({"strength": 2.0}, "strength"),
     ({"real_share": -1.0}, "real_share")],
)  # fmt: skip
def test_senseless_ranges_are_refused(setting: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        ShrinkingConfig(**setting)


def test_every_kernel_keeps_the_brightness() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        for kernel in (shrinking._kernel(rng, REAL, 1.0), shrinking._sinc(rng)):
            assert kernel.sum() == pytest.approx(1, abs=1e-5)
            assert kernel.shape[0] % 2 == 1 and kernel.shape[0] == kernel.shape[1] <= 21
