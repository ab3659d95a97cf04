"""A restored picture stays within the quantisation intervals of its JPEG."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import fft

from restore.datasets.compression import jpeg
from restore.images.luma import WEIGHTS
from restore.images.quantisation import Quantisation
from restore.inference import quantisation_constraint
from restore.inference.quantisation_constraint import HALF_WIDTH, constrain

Photograph = Callable[..., np.ndarray]


def _coefficients(plane: np.ndarray, top: int, left: int) -> np.ndarray:
    """(blocks, 8, 8) on the scale of 8-bit samples."""
    height, width = (plane.shape[0] - top) // 8, (plane.shape[1] - left) // 8
    grid = 255 * plane[top : top + 8 * height, left : left + 8 * width].reshape(height, 8, width, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    return np.asarray(fft.dctn(grid, axes=(1, 2), norm="ortho"))


@pytest.mark.parametrize("corner", [(0, 0), (3, 6)])
@pytest.mark.parametrize("channels", [1, 3])
def test_changes_are_limited_block_by_block(
    photograph: Photograph, corner: tuple[int, int], channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantisation_constraint, "ROWS", 3)
    pixels = photograph(77, 90, channels)
    restored = pixels + np.random.default_rng(0).normal(0, 0.1, pixels.shape).astype(np.float32)
    before = restored.copy()
    found = Quantisation.of_quality(40, *corner)
    constrain(pixels, restored, found)
    luma = (restored - pixels)[:, :, 0] if channels == 1 else (restored - pixels) @ WEIGHTS
    coefficients = _coefficients(luma, *corner)
    assert (np.abs(coefficients) <= HALF_WIDTH * found.steps + 1e-2).all()
    wide = np.abs(_coefficients((before - pixels)[:, :, 0], *corner)) if channels == 1 else None
    if wide is not None:  # what lies inside stays
        inside = (wide < HALF_WIDTH * found.steps).all((1, 2))
        assert not inside.all()
    np.testing.assert_array_equal(restored[: corner[0]], before[: corner[0]])
    np.testing.assert_array_equal(restored[:, : corner[1]], before[:, : corner[1]])
    if channels == 3:  # colour differences are free
        np.testing.assert_allclose(np.diff(restored, axis=2), np.diff(before, axis=2), atol=1e-5)


def test_what_lies_inside_the_intervals_stays(photograph: Photograph) -> None:
    pixels = photograph(64, 64, 1)
    restored = pixels + np.float32(0.5 / 255)
    before = restored.copy()
    constrain(pixels, restored, Quantisation.of_quality(30))
    np.testing.assert_allclose(restored, before, atol=1e-6)


@pytest.mark.parametrize("quality", [30, 90])
def test_a_poor_restoration_comes_nearer_to_the_original(photograph: Photograph, quality: int) -> None:
    clean = photograph(160, 200, 1)
    decoded = jpeg(clean, quality)
    restored = clean + np.random.default_rng(1).normal(0, 0.06, clean.shape).astype(np.float32)
    before = float(np.mean((restored - clean) ** 2))
    constrain(decoded, restored, Quantisation.of_quality(quality))
    assert float(np.mean((restored - clean) ** 2)) < 0.9 * before


@pytest.mark.parametrize("shape", [(5, 40, 1), (40, 7, 3), (1, 1, 1), (12, 12, 3)])
def test_pictures_without_a_whole_block_stay(shape: tuple[int, int, int]) -> None:
    pixels, restored = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    constrain(pixels, restored, Quantisation.of_quality(50, 5, 5))
    np.testing.assert_array_equal(restored, 1)
