"""8-bit pictures that a curve spreads: no bands in a sky, and no change where nothing is spread or nothing is smooth."""

from __future__ import annotations

import numpy as np

from restore.inference.dither import dithered, unrounded

SLOPE = 3.0
SLOPES = np.full((256, 1), SLOPE)


def sky() -> tuple[np.ndarray, np.ndarray]:
    """(64, 512, 1) a smooth gradient of 20 levels, and the same in 8 bits."""
    smooth = np.linspace(0.4, 0.4 + 20 / 255, 512, dtype=np.float32)[None].repeat(64, 0)[:, :, None]
    return smooth, np.rint(smooth * 255).astype(np.float32) / np.float32(255)


def spread(picture: np.ndarray) -> np.ndarray:
    return np.float32(0.4) + np.float32(SLOPE) * (picture - np.float32(0.4))


def stored(picture: np.ndarray) -> np.ndarray:
    """What an 8-bit file keeps, in levels."""
    return np.rint(np.clip(picture, 0, 1) * 255)[:, :, 0]


def test_a_spread_sky_has_no_bands() -> None:
    smooth, rounded = sky()
    better = unrounded(rounded, SLOPES)
    errors = []
    for result in (spread(rounded), dithered(spread(better), better != rounded)):
        columns = stored(result).mean(axis=0)
        errors.append(np.abs(columns - 255 * spread(smooth)[0, :, 0])[40:-40].max())
    assert errors[0] > 1.4  # half a step, three levels high
    assert errors[1] < 0.45
    assert np.abs(better - rounded).max() <= 0.5 / 255 + 1e-6


def test_nothing_changes_where_nothing_is_spread() -> None:
    _, rounded = sky()
    assert unrounded(rounded, np.ones((256, 1))) is rounded
    slopes = np.ones((256, 1))
    slopes[:110] = 2
    result = unrounded(rounded, slopes)
    above = np.rint(rounded * 255) >= 110
    assert np.array_equal(result[above], rounded[above])
    assert not np.array_equal(result[~above], rounded[~above])


def test_texture_mats_and_clipped_values_stay() -> None:
    picture = np.random.default_rng(0).integers(90, 110, (80, 90, 3)).astype(np.float32) / 255
    picture[:20], picture[-20:], picture[:, :20] = 0.5, 1.0, 0.0
    rounded = (np.rint(picture * 255) / 255).astype(np.float32)
    assert np.array_equal(unrounded(rounded, np.full((256, 3), 2.0)), rounded)


def test_dither_is_seeded_and_half_a_step() -> None:
    _, rounded = sky()
    where = np.zeros(rounded.shape, bool)
    where[10:20] = True
    first, second = dithered(rounded, where), dithered(rounded, where)
    assert np.array_equal(first, second) and np.array_equal(first[~where], rounded[~where])
    assert 0.2 / 255 < np.abs(first - rounded)[where].mean() < np.abs(first - rounded).max() <= 0.5 / 255 + 1e-6
    assert dithered(rounded, ~where & where) is rounded
