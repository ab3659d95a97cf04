"""Tiles cover a picture, blend into one, and lie where the network's own grid lies."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from restore.inference import tiling

LENGTHS = st.integers(1, 3000)
TILES = st.integers(1, 8).map(lambda count: 64 * count)
OVERLAPS = st.integers(0, 128)
MULTIPLES = st.sampled_from([1, 2, 4, 8, 16, 32])


@settings(deadline=None)
@given(LENGTHS, TILES, OVERLAPS, MULTIPLES)
def test_spans_cover_and_their_weights_sum_to_one(length: int, tile: int, overlap: int, multiple: int) -> None:
    spans = tiling.spans(length, tile, overlap, multiple)
    total = np.zeros(length)
    for span in spans:
        assert 0 <= span.start < span.stop <= length
        assert span.stop - span.start <= tile
        assert len(span.weight) == span.stop - span.start
        assert span.weight.min() >= 0
        total[span.start : span.stop] += span.weight
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert spans[0].start == 0
    assert spans[-1].stop == length


@settings(deadline=None)
@given(LENGTHS, TILES, OVERLAPS, MULTIPLES)
def test_spans_overlap_and_start_on_the_grid(length: int, tile: int, overlap: int, multiple: int) -> None:
    spans = tiling.spans(length, tile, overlap, multiple)
    for before, after in itertools.pairwise(spans):
        assert before.start < after.start
        assert before.stop - after.start >= min(overlap, tile // 2)
        assert after.start % multiple == 0


@settings(deadline=None)
@given(LENGTHS, TILES, OVERLAPS)
def test_a_tile_has_no_say_at_its_cut_edges(length: int, tile: int, overlap: int) -> None:
    spans = tiling.spans(length, tile, overlap)
    for index, span in enumerate(spans):
        blind = min(overlap, tile // 2) // 4
        if index > 0:
            assert not span.weight[:blind].any()
        if index < len(spans) - 1:
            assert not span.weight[len(span.weight) - blind :].any()


def test_a_short_side_is_one_span() -> None:
    (span,) = tiling.spans(64, 64, 16)
    assert (span.start, span.stop, span.weight.min()) == (0, 64, 1)


def test_the_grid_covers_a_picture() -> None:
    total = np.zeros((150, 230))
    tiles = list(tiling.grid(150, 230, 64, 32))
    for rows, columns in tiles:
        total[rows.start : rows.stop, columns.start : columns.stop] += rows.weight[:, None] * columns.weight
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert len(tiles) > 6
