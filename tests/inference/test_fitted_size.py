"""A result at a smaller size is carried up: its own detail stays, edges are the picture's, texture that it left out stays out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from restore.inference import fitted_size


def _smooth(shape: tuple[int, ...], seed: int, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(seed).random(shape, np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), sigma), np.float32).reshape(shape) * 4 - 1.5


@pytest.mark.parametrize(("height", "width", "channels"), [(90, 131, 3), (131, 90, 1), (64, 700, 3), (30, 31, 1)])
def test_reduced_again_it_is_the_small_one(height: int, width: int, channels: int) -> None:
    picture = _smooth((height, width, channels), 0, 6)
    reduced = fitted_size.reduced(picture, 30)
    assert min(reduced.shape[:2]) == 30
    small = reduced + 0.2 * _smooth(reduced.shape, 1, 1.5)
    result = fitted_size.enlarged(small, picture)
    assert result.shape == picture.shape
    assert result.dtype == np.float32
    assert np.abs(fitted_size.reduced(result, 30) - small).mean() < 0.01


def test_edges_are_the_pictures_and_fine_texture_is_left_out() -> None:
    picture = np.full((240, 240, 3), 0.2, np.float32)
    picture[:, 123:] = 0.8
    texture = np.random.default_rng(0).normal(0, 0.02, picture.shape).astype(np.float32)
    small = 1 - fitted_size.reduced(picture, 40)  # a translation that inverts
    result = fitted_size.enlarged(small, picture + texture)
    jump = float((result[:, 122] - result[:, 123]).mean())
    plain = np.asarray(cv2.resize(small, (240, 240), interpolation=cv2.INTER_CUBIC))
    assert jump > 4 * float((plain[:, 122] - plain[:, 123]).mean())
    assert jump > 0.4
    assert float(result[:, :100].std()) < 0.5 * 0.02


def test_the_picture_itself_comes_back_and_offsets_stay() -> None:
    picture = 300 * _smooth((100, 140, 1), 2, 8) + 5000
    result = fitted_size.enlarged(fitted_size.reduced(picture, 50) - 70, picture)
    np.testing.assert_allclose(result, picture - 70, atol=0.02 * float(np.ptp(picture)))


def test_flat_pictures_stay_flat() -> None:
    picture = np.full((70, 90, 3), 0.4, np.float32)
    result = fitted_size.enlarged(fitted_size.reduced(picture, 16), picture)
    np.testing.assert_allclose(result, 0.4, atol=1e-4)
