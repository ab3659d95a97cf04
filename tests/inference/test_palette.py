"""The palette of one picture on another: identity for its own, the other's statistics in every band of brightness."""

from __future__ import annotations

import numpy as np

from restore.inference.palette import BANDS, palette, transfer


def _picture(seed: int, size: tuple[int, int] = (60, 80)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    gray = rng.random(size, np.float32)
    chroma = np.stack([0.2 * gray - 0.1, 0.1 - 0.1 * gray], 2) + rng.normal(0, 0.03, (*size, 2))
    return gray, chroma.astype(np.float32)


def test_the_own_palette_changes_nothing() -> None:
    gray, chroma = _picture(0)
    np.testing.assert_allclose(transfer(gray, chroma, palette(gray, chroma)), chroma, atol=1e-6)


def test_the_result_has_the_other_pictures_means() -> None:
    gray, chroma = _picture(0)
    other = palette(*_picture(1, (30, 50)))
    shifted = type(other)(other.means + 0.1, other.deviations)
    made = palette(gray, transfer(gray, chroma, shifted))
    np.testing.assert_allclose(made.means, shifted.means, atol=0.01)
    np.testing.assert_allclose(made.deviations, shifted.deviations, rtol=0.2)


def test_only_the_rank_of_brightness_counts() -> None:
    gray, chroma = _picture(0)
    dark = palette(gray**3, chroma)
    np.testing.assert_allclose(dark.means, palette(gray, chroma).means)
    assert dark.means.shape == (BANDS, 2)


def test_noise_is_not_stretched_without_bound() -> None:
    gray, chroma = _picture(0)
    made = transfer(gray, chroma * 1e-3, palette(gray, chroma))
    assert made.std() < chroma.std()


def test_a_flat_picture_and_a_gray_hint() -> None:
    flat = np.full((8, 8), 0.5, np.float32)
    none = np.zeros((8, 8, 2), np.float32)
    assert palette(flat, none).is_gray
    assert not palette(flat, none + np.float32(0.1)).is_gray
    assert np.isfinite(transfer(flat, none, palette(*_picture(0)))).all()
