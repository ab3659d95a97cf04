"""JPEG compression is found in decoded pixels, and only where it is."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from restore.datasets.compression import jpeg
from restore.images import quantisation
from restore.inference import compression_traces


@pytest.fixture
def picture(photograph: Callable[..., np.ndarray]) -> np.ndarray:
    """(240, 312, 3) float32."""
    return photograph(240, 312, 3)


@pytest.mark.parametrize("quality", [10, 30, 50, 80])
@pytest.mark.parametrize("corner", [(0, 0), (2, 7)])
@pytest.mark.parametrize("gray", [True, False])
def test_the_table_and_the_grid_are_found(picture: np.ndarray, quality: int, corner: tuple[int, int], gray: bool) -> None:
    source = picture[:, :, :1] if gray else picture
    found = compression_traces.find(jpeg(source, quality, top=corner[0], left=corner[1]))
    assert found is not None
    assert (found.top, found.left) == corner
    assert np.abs(found.steps / quantisation.table(quality) - 1).mean() < 0.03


@pytest.mark.parametrize("quality", [20, 40, 80])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_picture_that_was_turned_since_has_a_turned_table(picture: np.ndarray, quality: int, turns: int) -> None:
    decoded = jpeg(np.ascontiguousarray(picture[:112, :104]), quality)
    table = quantisation.table(quality)
    for turned in (np.rot90(decoded, turns), np.rot90(decoded, turns)[:, ::-1]):
        found = compression_traces.find(np.ascontiguousarray(turned))
        assert found is not None
        assert np.abs(found.steps / (table.T if turns % 2 else table) - 1).mean() < 0.03


@pytest.mark.parametrize("quality", [30, 60, 80])
def test_traces_in_a_page_with_much_paper_are_found(quality: int) -> None:
    page = np.full((400, 480), 205, np.uint8)
    for row in range(40, 380, 60):  # most rows of pixels hold paper alone
        cv2.putText(page, "terms apply to 1,234.89 units", (24, row), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 60, 1, cv2.LINE_AA)
    drawn = page[:, :, None].astype(np.float32) / 255
    found = compression_traces.find(jpeg(drawn, quality))
    assert found is not None
    assert (found.top, found.left) == (0, 0)
    assert np.abs(found.steps / quantisation.table(quality) - 1).mean() < 0.03
    assert compression_traces.find(drawn) is None


@pytest.mark.parametrize("quality", [20, 40, 75, 88])
@pytest.mark.parametrize("kind", ["page", "chart", "sky"])
def test_traces_in_clipped_blocks_are_found(picture: np.ndarray, kind: str, quality: int) -> None:
    source = {"page": _white_page(), "chart": _chart(), "sky": np.clip(picture * 2.2, 0, 1)}[kind]
    found = compression_traces.find(jpeg(source, quality))
    assert found is not None
    assert (found.top, found.left) == (0, 0)
    assert abs(found.quality - quality) <= 1


@pytest.mark.parametrize("kind", ["page", "chart", "sky"])
def test_clipped_pictures_without_blocks_have_no_traces(picture: np.ndarray, kind: str) -> None:
    source = {"page": _white_page(), "chart": _chart(), "sky": np.clip(picture * 2.2, 0, 1)}[kind]
    noise = np.random.default_rng(0).normal(0, 5 / 255, source.shape)
    decoded = jpeg(source, 40)
    resized = cv2.resize(decoded, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_CUBIC)
    for changed in (source, decoded + noise, resized.reshape(*resized.shape[:2], -1)):
        samples = np.rint(255 * np.clip(changed, 0, 1)).astype(np.float32)
        assert compression_traces.find(samples / np.float32(255)) is None


def _white_page() -> np.ndarray:
    """(320, 400, 1) float32: black text on white paper."""
    page = np.full((320, 400), 255, np.uint8)
    for row in range(20, 320, 22):
        cv2.putText(page, "terms apply to 1,234.89 units, and no others", (8, row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 20, 1, cv2.LINE_AA)
    return page[:, :, None].astype(np.float32) / 255


def _chart() -> np.ndarray:
    """(320, 400, 3) float32: lines of saturated colours on white."""
    chart = np.full((320, 400, 3), 255, np.uint8)
    for number, colour in enumerate([(255, 0, 0), (0, 160, 0), (0, 0, 255), (255, 140, 0), (0, 0, 0), (200, 0, 200)]):
        points = np.stack([np.arange(400), 160 + 100 * np.sin(np.arange(400) / (20 + 9 * number) + number)], 1)
        cv2.polylines(chart, [np.rint(points).astype(np.int32)], False, colour, 2, cv2.LINE_AA)
    return chart.astype(np.float32) / 255


@pytest.mark.parametrize("quality", [20, 50, 80, 90])
@pytest.mark.parametrize("corner", [(37, 29), (40, 32)])
@pytest.mark.parametrize("frame", [30, 235])
def test_the_frame_around_a_page_on_a_screen_shows_no_other_traces(quality: int, corner: tuple[int, int], frame: int) -> None:
    found = compression_traces.find(_screen(jpeg(_white_page(), quality), corner, frame))
    if found is not None:
        assert (found.top, found.left) == (corner[0] % 8, corner[1] % 8)
        assert abs(found.quality - quality) <= 1
    else:
        assert corner == (37, 29) or quality > 88  # text hides the corner, and fine steps in clipped blocks are not reported


@pytest.mark.parametrize("frame", [30, 235])
def test_a_screen_without_jpeg_has_no_traces(frame: int) -> None:
    for corner in ((37, 29), (40, 32)):
        assert compression_traces.find(_screen(_white_page(), corner, frame)) is None


def _screen(page: np.ndarray, corner: tuple[int, int], frame: int) -> np.ndarray:
    """A page (H, W, 1) in a window of even gray, below a dark bar for its title: a screenshot, (H + 60, W + 70, 1)."""
    (height, width), (top, left) = page.shape[:2], corner
    screen = np.full((height + 60, width + 70, 1), frame / 255, np.float32)
    screen[:20] = 40 / 255
    screen[top : top + height, left : left + width] = page
    return screen


def test_copies_of_few_blocks_show_no_traces() -> None:
    rng = np.random.default_rng(2)
    checkerboard = np.kron(np.indices((40, 48)).sum(0) % 2, np.ones((8, 8)))[:, :, None] * 160 + 40
    drawn = [checkerboard[1:, 1:]]
    for white in (0, 1, 2, 3):
        for _ in range(6):  # bars of lines over the width of a white window
            stripes = np.full((200, 640, 1), 255.0)
            lines = rng.integers(3, 250, (8, 1, 1))
            lines[:white] = 255
            stripes[40:48] = stripes[112:120] = lines
            drawn.append(stripes)
    assert [compression_traces.find(picture.astype(np.float32) / np.float32(255)) for picture in drawn] == [None] * len(drawn)


def test_nothing_is_found_where_nothing_is(picture: np.ndarray) -> None:
    eight = np.rint(picture * 255).astype(np.float32) / np.float32(255)
    decoded = jpeg(picture, 30)
    resized = np.rint(255 * np.clip(cv2.resize(decoded, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_CUBIC), 0, 1)) / np.float32(255)
    assert compression_traces.find(eight) is None
    assert compression_traces.find(np.asarray(resized, np.float32)) is None
    assert compression_traces.find(decoded * np.float32(0.97) + np.float32(1e-4)) is None  # not 8-bit values


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 300, 3), (31, 31, 1), (40, 33, 1)])
def test_small_and_flat_pictures_have_no_traces(shape: tuple[int, int, int]) -> None:
    assert compression_traces.find(np.full(shape, np.float32(128 / 255))) is None


def test_a_likely_table_is_confirmed_at_its_blocks_alone(picture: np.ndarray) -> None:
    decoded, eight = jpeg(picture, 70, top=2, left=7), np.rint(picture * 255).astype(np.float32) / np.float32(255)
    likely = quantisation.Quantisation.of_quality(70, 2, 7)
    assert compression_traces.confirm(decoded, likely)
    for pixels, expected in (
        (decoded, quantisation.Quantisation.of_quality(70, 2, 6)),
        (decoded, quantisation.Quantisation.of_quality(60, 2, 7)),
        (eight, likely),
        (decoded * np.float32(0.97) + np.float32(1e-4), likely),
        (decoded[:20, :20], likely),
    ):
        assert not compression_traces.confirm(pixels, expected)
