"""Texture for wide holes: from the known parts alone, into wide holes alone, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from restore.inference import texture_synthesis
from restore.inference.texture_synthesis import RAMP, SIZE, STEP, synthesize_texture


def _scene(channels: int = 3, *, side: int = 160) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A textured picture, the same with a flat square in its middle, and where that is."""
    rng = np.random.default_rng(0)
    picture = (0.5 + 0.1 * rng.standard_normal((side, side, channels))).astype(np.float32)
    hole = np.zeros((side, side), bool)
    hole[50:110, 50:110] = True
    return picture, np.where(hole[:, :, None], np.float32(0.5), picture), hole


@pytest.mark.parametrize("channels", [1, 3])
def test_a_wide_hole_gets_the_detail_of_its_surroundings(channels: int) -> None:
    picture, filled, hole = _scene(channels)
    output = synthesize_texture(filled, hole)
    assert output.shape == filled.shape
    assert output.dtype == np.float32
    np.testing.assert_array_equal(output[~hole], filled[~hole])
    inner = np.s_[50 + RAMP + 2 : 110 - RAMP - 2, 50 + RAMP + 2 : 110 - RAMP - 2]
    assert 0.5 < output[inner].std() / picture[inner].std() < 1.2
    assert abs(output[inner].mean() - 0.5) < 0.02


def test_what_ends_at_the_edge_of_a_hole_goes_on_in_it() -> None:
    across = np.arange(160)
    stripes = np.broadcast_to((0.5 + 0.2 * np.sin(across * 2 * np.pi / 13))[None, :, None], (160, 160, 3)).astype(np.float32)
    _, _, hole = _scene()
    output = synthesize_texture(np.where(hole[:, :, None], np.float32(0.5), stripes), hole)
    inner = np.s_[60:100, 60:100]
    assert np.corrcoef(output[inner].ravel(), stripes[inner].ravel())[0, 1] > 0.9


def test_patches_continue_their_neighbours_sources() -> None:
    side = 300  # so many sources that a draw of them holds few that lie next to another
    _, filled, _ = _scene(1, side=side)
    hole = np.zeros((side, side), bool)
    hole[100:200, 100:200] = True
    detail, colours = (filled - 0.5) * ~hole[:, :, None], np.full_like(filled, 0.5)
    copy = texture_synthesis._PatchCopier(detail, colours, texture_synthesis._source_centres(hole), hole)
    copy.run()
    pairs = [(source, copy.chosen.get((down, across + STEP))) for (down, across), source in copy.chosen.items()]
    together = [np.array_equal(other - source, (0, STEP)) for source, other in pairs if other is not None]
    assert np.mean(together) > 0.05


def test_the_same_picture_gets_the_same_texture() -> None:
    _, filled, hole = _scene()
    np.testing.assert_array_equal(synthesize_texture(filled, hole), synthesize_texture(filled, hole))


def test_nothing_of_what_is_missing_is_copied() -> None:
    _, filled, hole = _scene()
    other, own = filled.copy(), np.random.default_rng(1).standard_normal((20, 20, 3)).astype(np.float32)
    other[70:90, 70:90] += 0.3 * own
    output = synthesize_texture(other, hole)
    apart = (output - synthesize_texture(filled, hole))[70:90, 70:90]
    assert abs(np.corrcoef(apart.ravel(), own.ravel())[0, 1]) < 0.4  # smoothed away; the coarse colours, which it changes a little, guide
    np.testing.assert_array_equal(output[~hole], filled[~hole])


def test_thin_holes_and_pictures_with_nothing_to_copy_stay() -> None:
    _, filled, hole = _scene()
    thin = np.zeros_like(hole)
    thin[80:88] = True
    np.testing.assert_array_equal(synthesize_texture(filled, thin), filled)
    nearly_all = np.ones_like(hole)
    nearly_all[: SIZE // 2] = False
    np.testing.assert_array_equal(synthesize_texture(filled, nearly_all), filled)
    small = np.s_[: SIZE - 4, : SIZE - 4]
    np.testing.assert_array_equal(synthesize_texture(filled[small], np.ones((SIZE - 4, SIZE - 4), bool)), filled[small])


def test_a_hole_at_the_border_is_filled_too() -> None:
    picture, _, _ = _scene()
    hole = np.zeros(picture.shape[:2], bool)
    hole[:60, :60] = True
    flat = np.where(hole[:, :, None], np.float32(0.5), picture)
    assert synthesize_texture(flat, hole)[:30, :30].std() > 0.05


def test_ties_go_to_the_nearer_patch() -> None:
    hole = np.zeros((300, 300), bool)
    hole[200:260, 200:260] = True
    flat = np.zeros((300, 300, 1), np.float32)
    copy = texture_synthesis._PatchCopier(flat, flat + np.float32(0.5), texture_synthesis._source_centres(hole), hole)
    copy.run()
    away = [np.abs(source - place).max() for place, source in copy.chosen.items()]
    assert max(away) <= 30 + STEP + 2 * SIZE  # half the hole, and so far beyond its edge as a whole patch and the sources' draw take


def test_a_source_much_stronger_than_what_is_there_is_avoided() -> None:
    _, filled, hole = _scene(1)
    copier = texture_synthesis._PatchCopier(filled - 0.5, filled, texture_synthesis._source_centres(hole), hole)
    texture, highlight = np.full(64, 0.1, np.float32), np.zeros(64, np.float32)
    highlight[:4] = 1
    penalties = copier._foreign(np.stack([texture, 1.4 * texture, highlight]), strength=0.01)
    assert list(penalties[:2]) == [0, 0]
    assert penalties[2] > 0.1
