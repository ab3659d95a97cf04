"""Resizing by the cubic kernel, against its definition written out, and against the figures that all papers print."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from restore.metrics import psnr, ssim
from restore.networks.resample import enlarge, resized, shrink

SET5 = Path(__file__).resolve().parents[3] / "shared" / "datasets" / "test" / "set5"


def _keys(x: float) -> float:
    """Keys 1981, eq. 15, with a = -1/2."""
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def _line(values: np.ndarray, scale: float) -> np.ndarray:
    """One row resized as MATLAB's imresize does: kernel widened where it shrinks, weights made to sum to 1, mirrored ends."""
    length, width = len(values), min(scale, 1.0)
    made = []
    for index in range(round(length * scale)):
        centre = (index + 0.5) / scale - 0.5
        places = range(int(np.floor(centre - 2 / width)), int(np.ceil(centre + 2 / width)) + 1)
        weights = np.array([_keys(width * (place - centre)) for place in places])
        mirrored = [place % (2 * length) for place in places]
        samples = [values[place if place < length else 2 * length - 1 - place] for place in mirrored]
        made.append(float(np.dot(weights / weights.sum(), samples)))
    return np.array(made)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_is_the_kernel_written_out(scale: int) -> None:
    picture = np.random.default_rng(0).random((6 * scale, 4 * scale))
    tensor = torch.from_numpy(picture)[None, None]
    for function, factor in ((shrink, 1 / scale), (enlarge, float(scale))):
        rows = np.stack([_line(row, factor) for row in picture])
        expected = np.stack([_line(column, factor) for column in rows.T]).T
        np.testing.assert_allclose(function(tensor, scale)[0, 0].numpy(), expected, atol=1e-12)


def test_a_picture_smaller_than_the_kernel_is_mirrored_as_often_as_needed() -> None:
    picture = torch.full((1, 1, 1, 2), 0.25)
    assert torch.allclose(enlarge(picture, 4), torch.full((1, 1, 4, 8), 0.25))


def test_sides_that_are_no_multiples_are_refused() -> None:
    with pytest.raises(ValueError, match=r"multiples of 4, not 9 x 8"):
        shrink(torch.zeros(1, 1, 9, 8), 4)


def test_any_size_may_be_asked_for() -> None:
    picture = torch.rand(1, 3, 20, 30)
    assert resized(picture, 13, 47).shape == (1, 3, 13, 47)
    assert resized(picture, 20, 30) is picture


@pytest.mark.skipif(not SET5.is_dir(), reason="Set5 is not at hand")
@pytest.mark.parametrize(("scale", "decibels", "similarity"), [(2, 33.66, 0.9299), (4, 28.42, 0.8104)])
def test_bicubic_gives_the_published_figures_of_set5(scale: int, decibels: float, similarity: float) -> None:
    found = []
    for path in sorted(SET5.glob("*.png")):
        pixels = cv2.imread(str(path)).astype(float)[:, :, ::-1]
        height, width = (side // scale * scale for side in pixels.shape[:2])
        luma = np.round(16 + pixels[:height, :width] @ np.array([65.481, 128.553, 24.966]) / 255)
        low = shrink(torch.from_numpy(luma)[None, None], scale)
        back = enlarge(low, scale).round().clamp(0, 255)[0, 0].numpy()
        pair = [array[scale:-scale, scale:-scale, None] / 255 for array in (back, luma)]
        found.append((psnr(*pair), ssim(*pair)))
    assert np.mean([first for first, _ in found]) == pytest.approx(decibels, abs=0.005)
    assert np.mean([second for _, second in found]) == pytest.approx(similarity, abs=0.0001)
