"""The weight of another result, chosen without the clean picture."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from restore.datasets.degrade import gaussian, to_8_bits
from restore.images.noise_model import NoiseLevel
from restore.inference import blend_weight
from restore.inference.blend_weight import Prior, measured_weight

Smooth = Callable[..., np.ndarray]
OPEN = Prior(0.5, 10.0)


def _pair(wide: float) -> blend_weight.Pair:
    """A narrow blur, and a wider one minus it."""

    def both(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        before, after = (cv2.GaussianBlur(picture, (0, 0), width).reshape(picture.shape) for width in (0.7, wide))
        return before, after.astype(np.float64) - before

    return both


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("wide", [1.2, 4.0])
def test_the_weight_is_near_the_best_one(smooth: Smooth, wide: float, stored: bool) -> None:
    clean = smooth(256, 256)
    noisy, level = gaussian(clean, 25 / 255, np.random.default_rng(1))
    noisy = to_8_bits(noisy) if stored else noisy
    before, distance = _pair(wide)(noisy)
    best = float(np.clip(((clean - before) * distance).sum() / np.square(distance).sum(), 0, 1))
    for seed in (0, 1):
        assert measured_weight(noisy, level, _pair(wide), OPEN, seed=seed).value == pytest.approx(best, abs=0.08)


def test_the_answer_of_one_run_stands_for_the_average_of_several(smooth: Smooth) -> None:
    clean = smooth(256, 256)
    noisy, level = gaussian(clean, 25 / 255, np.random.default_rng(1))
    one, asked = _pair(1.2), []

    def averaged(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As a blur is the same for every view, the average is one run."""
        asked.append(picture)
        return one(picture)

    expected = measured_weight(noisy, level, one, OPEN)
    assert measured_weight(noisy, level, one, OPEN, averaged=averaged) == expected
    assert len(asked) == 1
    assert measured_weight(noisy, level, one, OPEN, averaged=lambda picture: (picture, 2 * one(picture)[1])) != expected


def test_an_uncertain_weight_is_drawn_to_that_of_most_pictures(smooth: Smooth) -> None:
    noisy, level = gaussian(smooth(80, 80), 25 / 255, np.random.default_rng(1))
    weight = measured_weight(noisy, level, _pair(1.2), Prior(0.3, 1e-6))
    assert weight.value == pytest.approx(0.3, abs=0.01)
    assert abs(weight.measured - 0.3) > 0.1


def test_optimism_is_taken_off(smooth: Smooth) -> None:
    noisy, level = gaussian(smooth(256, 256), 25 / 255, np.random.default_rng(1))
    # three times the distance, so that the best weight lies inside the range
    pair = _pair(1.2)
    half = measured_weight(noisy, level, lambda picture: (pair(picture)[0], 3 * pair(picture)[1]), Prior(0.5, 1e6))
    less = measured_weight(noisy, level, lambda picture: (pair(picture)[0], 3 * pair(picture)[1]), Prior(0.5, 1e6, optimism=0.1))
    assert 0.1 < half.value < 1
    assert less.value == pytest.approx(half.value - 0.1, abs=1e-6)
    assert less.measured == half.measured


def test_a_large_picture_is_measured_in_regions(smooth: Smooth) -> None:
    sizes = []

    def pair(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sizes.append(picture.shape[:2])
        return _pair(1.2)(picture)

    measured_weight(smooth(500, 300), NoiseLevel.gaussian(5), pair, OPEN)
    assert set(sizes) == {(192, 300)}
    assert len(sizes) == 2 * 2  # two regions, with the probe and without it


def test_equal_results_have_no_weight(smooth: Smooth) -> None:
    weight = measured_weight(smooth(64, 64), NoiseLevel.gaussian(5), lambda picture: (picture, np.zeros(picture.shape)), OPEN)
    assert weight.value == 0
