"""Seam blending changes holes only and reduces steps at their edges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from restore.inference import seam_blending
from restore.inference.seam_blending import FRACTION, blend_seams


def _hole(side: int = 60) -> np.ndarray:
    hole = np.zeros((side, side), bool)
    hole[20:45, 10:50] = True
    return hole


@pytest.mark.parametrize("channels", [1, 3])
def test_a_step_is_reduced_only_near_the_edge(channels: int) -> None:
    hole = _hole()
    filled = np.where(hole[:, :, None], 0.6, 0.4).astype(np.float32).repeat(channels, 2)
    output = blend_seams(filled, hole)
    assert (output.shape, output.dtype) == (filled.shape, np.float32)
    np.testing.assert_array_equal(output[~hole], filled[~hole])
    assert output[20, 30] == pytest.approx(0.6 - 0.2 * FRACTION, abs=1e-3)
    assert (np.diff(output[20:33, 30, 0]) > 0).all()
    assert output[32, 30] == pytest.approx(0.6, abs=0.005)


def test_without_a_step_nothing_changes() -> None:
    flat = np.full((60, 60, 3), 0.3, np.float32)
    np.testing.assert_allclose(blend_seams(flat, _hole()), flat, atol=1e-6)


def test_fine_detail_stays() -> None:
    hole = _hole()
    noise = np.random.default_rng(0).uniform(0.4, 0.6, (60, 60, 3)).astype(np.float32)
    moved = (blend_seams(noise, hole) - noise)[hole]
    assert 0 < moved.std() < 0.1 * noise.std()


@pytest.mark.parametrize("rows", [16, 37])
def test_a_large_picture_in_strips_is_the_same(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    rng = np.random.default_rng(0)
    filled = cv2.GaussianBlur(rng.random((240, 50, 3), dtype=np.float32), (0, 0), 3)
    hole = cv2.GaussianBlur(rng.random((240, 50), dtype=np.float32), (0, 0), 8) > 0.5
    hole[60:200, 5:40] = True
    whole = blend_seams(filled, hole)
    monkeypatch.setattr(seam_blending, "ROWS", rows)
    np.testing.assert_allclose(blend_seams(filled, hole), whole, atol=1e-6)


def test_a_hole_wider_than_a_strip_and_all_that_it_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seam_blending, "ROWS", 10)
    hole = np.ones((300, 30), bool)
    hole[:20] = False
    filled = np.where(hole[:, :, None], np.float32(0.6), np.float32(0.4))
    output = blend_seams(filled, hole)
    assert output[20, 15, 0] < 0.6
    np.testing.assert_array_equal(output[60:], filled[60:])
