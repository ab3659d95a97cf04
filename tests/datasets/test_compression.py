"""Seeded JPEG compression: grids, repeats, gray and the condition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from restore.datasets import compression
from restore.datasets.compression import CompressionConfig
from restore.images.quantisation import Quantisation

Smooth = Callable[..., np.ndarray]
ONCE = CompressionConfig(twice_fraction=0, shifted_fraction=0, unknown_fraction=0, clean_fraction=0, quality=(20, 20))


def _textured(smooth: Smooth, channels: int) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 0.05, (48, 64, channels))
    return np.asarray(np.clip(smooth(48, 64, channels) + noise, 0, 1), np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_one_compression_is_opencvs(smooth: Smooth, channels: int) -> None:
    picture = _textured(smooth, channels)
    degraded, condition = compression.compress(picture, np.random.default_rng(0), config=replace(ONCE, half_chroma_fraction=1))
    stored = np.rint(picture[:, :, ::-1] * 255).astype(np.uint8)
    coded = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, 20])[1]
    expected = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED).reshape(picture.shape)[:, :, ::-1]
    np.testing.assert_allclose(degraded * 255, expected, atol=1e-3)
    np.testing.assert_array_equal(condition, Quantisation.of_quality(20).condition(slice(0, 48), slice(0, 64)))


@pytest.mark.parametrize("corner", [(0, 0), (3, 5), (7, 1)])
def test_blocks_begin_where_they_are_told(smooth: Smooth, corner: tuple[int, int]) -> None:
    decoded = compression.jpeg(_textured(smooth, 1), 5, top=corner[0], left=corner[1])[:, :, 0]
    for axis, start in enumerate(corner):
        steps = np.abs(np.diff(decoded, axis=axis)).mean(axis=1 - axis)
        by_phase = [steps[phase::8].mean() for phase in range(8)]
        assert int(np.argmax(by_phase) + 1) % 8 == start


def test_a_seed_gives_one_result_and_seeds_differ(smooth: Smooth) -> None:
    picture = _textured(smooth, 3)
    results = [compression.compress(picture, np.random.default_rng(seed), config=CompressionConfig())[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_twice_is_another_picture_and_the_condition_is_the_last(smooth: Smooth) -> None:
    picture = _textured(smooth, 1)
    once, told = compression.compress(picture, np.random.default_rng(4), config=ONCE)
    twice, still = compression.compress(picture, np.random.default_rng(4), config=replace(ONCE, twice_fraction=1, shifted_fraction=1e-9))
    assert not np.array_equal(once, twice)
    np.testing.assert_array_equal(told, still)


def test_what_is_not_told_has_no_condition_and_clean_crops_stay(smooth: Smooth) -> None:
    picture = _textured(smooth, 1)
    degraded, condition = compression.compress(picture, np.random.default_rng(0), config=replace(ONCE, unknown_fraction=1))
    assert not condition.any()
    assert np.abs(degraded - picture).max() > 0.02
    clean, condition = compression.compress(picture, np.random.default_rng(0), config=replace(ONCE, clean_fraction=1))
    assert not condition.any()
    np.testing.assert_allclose(clean, picture, atol=0.5 / 255 + 1e-6)


def test_gray_crops_are_gray_before_and_after(smooth: Smooth) -> None:
    picture = compression.some_gray(_textured(smooth, 3), np.random.default_rng(0), config=replace(ONCE, gray_fraction=1))
    assert np.ptp(picture, axis=2).max() == 0
    degraded, _ = compression.compress(picture, np.random.default_rng(0), config=ONCE)
    assert np.ptp(degraded, axis=2).max() == 0
    colour = _textured(smooth, 3)
    assert compression.some_gray(colour, np.random.default_rng(0), config=replace(ONCE, gray_fraction=0)) is colour
