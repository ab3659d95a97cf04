"""Guided upsampling: a coarse map gets the fine picture's edges, whatever rows are asked for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from restore.inference.guided_filter import coefficients, rows_of


def _enlarged(guide: np.ndarray, coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
    linear = coefficients(guide, coarse, radius=2, epsilon=1e-4)
    return rows_of(linear, *fine.shape)(slice(0, fine.shape[0]), fine)


def test_a_constant_map_stays_constant() -> None:
    guide = np.random.default_rng(0).random((20, 30), np.float32)
    coarse = np.broadcast_to(np.float32([0.2, -0.1]), (20, 30, 2))
    out = _enlarged(guide, coarse, np.random.default_rng(1).random((81, 119), np.float32))
    np.testing.assert_allclose(out, np.broadcast_to(np.float32([0.2, -0.1]), out.shape), atol=1e-5)


def test_the_maps_edge_becomes_the_pictures() -> None:
    fine = np.full((120, 120), 0.2, np.float32)
    fine[:, 50:] = 0.8
    guide = cv2.resize(fine, (24, 24), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(np.where(guide > 0.5, 0.3, -0.3).astype(np.float32), (0, 0), 1.5)[:, :, None]
    out = _enlarged(guide, np.concatenate([blurred, -blurred], 2), fine)
    plain = cv2.resize(blurred, (120, 120), interpolation=cv2.INTER_LINEAR)
    jump, smooth = out[60, 51, 0] - out[60, 48, 0], plain[60, 51] - plain[60, 48]
    assert jump > 3 * smooth
    assert jump > 0.25
    np.testing.assert_allclose(out[:, :, 1], -out[:, :, 0], atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (37, 23)])
def test_any_size_and_any_rows(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    guide, coarse, fine = rng.random((9, 7), np.float32), rng.random((9, 7, 2), np.float32), rng.random(size, np.float32)
    apply = rows_of(coefficients(guide, coarse, radius=2, epsilon=1e-3), *size)
    whole = apply(slice(0, size[0]), fine)
    assert whole.shape == (*size, 2)
    assert np.isfinite(whole).all()
    parts = [apply(slice(top, min(size[0], top + 5)), fine[top : top + 5]) for top in range(0, size[0], 5)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
