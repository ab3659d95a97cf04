"""Adding chroma keeps the luma: in floats, and exactly in integers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from restore.images.luma import chroma, luma, on_grid, with_chroma


def _gray_and_chroma(levels: int, repeats: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    gray = np.tile(np.arange(levels + 1, dtype=np.float32) / np.float32(levels), (repeats, 1))
    return gray, rng.uniform(-0.6, 0.6, (*gray.shape, 2)).astype(np.float32)


def test_chroma_changes_no_luma_and_stays_in_the_gamut() -> None:
    gray, added = _gray_and_chroma(255, 64)
    colour = with_chroma(gray, added)
    assert colour.min() >= -1e-6
    assert colour.max() <= 1 + 1e-6
    np.testing.assert_allclose(luma(colour), gray, atol=1e-6)


def test_inside_the_gamut_the_chroma_is_the_one_added() -> None:
    gray = np.full((4, 4), 0.5, np.float32)
    added = np.broadcast_to(np.float32([0.1, -0.12]), (4, 4, 2))
    np.testing.assert_allclose(chroma(with_chroma(gray, added)), added, atol=1e-6)


def test_beyond_the_gamut_the_hue_stays() -> None:
    gray = np.full((1, 1), 0.9, np.float32)
    kept = chroma(with_chroma(gray, np.full((1, 1, 2), 0.4, np.float32)))[0, 0]
    assert 0.01 < kept[0] < 0.1
    assert kept[0] == pytest.approx(kept[1], rel=1e-4)


@pytest.mark.parametrize("levels", [255, 65535])
def test_whole_samples_have_exactly_the_luma(levels: int) -> None:
    gray, added = _gray_and_chroma(levels, 40 if levels == 255 else 2)
    samples = np.rint(on_grid(with_chroma(gray, added), gray, levels).astype(np.float64) * levels)
    assert np.array_equal(np.rint(samples @ [0.299, 0.587, 0.114]), np.rint(gray.astype(np.float64) * levels))
    assert samples.min() >= 0
    assert samples.max() <= levels


def test_other_programs_find_the_same_gray_values() -> None:
    gray, added = _gray_and_chroma(255, 200)
    eight = np.rint(on_grid(with_chroma(gray, added), gray, 255) * 255).astype(np.uint8)
    expected = np.rint(gray * 255).astype(np.uint8)
    assert np.array_equal(np.asarray(Image.fromarray(eight).convert("L")), expected)
    assert np.array_equal(cv2.cvtColor(eight, cv2.COLOR_RGB2GRAY), expected)


def test_beyond_black_and_white_there_is_no_colour() -> None:
    gray = np.float32([[-0.5, 1.5]])
    np.testing.assert_allclose(with_chroma(gray, np.full((1, 2, 2), 0.2, np.float32)), np.repeat(gray[..., None], 3, 2), atol=1e-6)


def test_a_gray_picture_is_its_own_luma() -> None:
    gray = np.random.default_rng(0).random((5, 7, 1), np.float32)
    assert np.array_equal(luma(gray), gray[:, :, 0])
    np.testing.assert_allclose(luma(np.repeat(gray, 3, 2)), gray[:, :, 0], atol=1e-6)
