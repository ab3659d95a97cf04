"""Buttons are no dust: rows of alike dots stay."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from restore.inference.dot_rows import without_rows


def spotted(spots: list[tuple[int, int, int]], *, dark: bool, line: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A gray picture with round spots (x, y, radius), and the mask that a finder makes of them; `line`: of all at once."""
    drawn = np.zeros((100, 100), np.uint8)
    for x, y, radius in spots:
        cv2.circle(drawn, (x, y), radius, 255, -1)
    ground = np.random.default_rng(0).uniform(0.45, 0.55, drawn.shape).astype(np.float32)
    mask = cv2.dilate(drawn, np.ones((3, 3), np.uint8))
    if line:
        (x0, y0, _), (x1, y1, _) = spots[0], spots[-1]
        cv2.line(mask, (x0, y0), (x1, y1), 255, 5)
    return np.where(drawn > 0, 0.1 if dark else 0.9, ground).astype(np.float32), mask > 0


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("line", [True, False])
@pytest.mark.parametrize("step", [(0, 9), (9, 0), (6, 7)])
def test_a_row_of_alike_dots_is_no_defect(dark: bool, line: bool, step: tuple[int, int]) -> None:
    gray, mask = spotted([(30 + n * step[0], 30 + n * step[1], 2) for n in range(4)], dark=dark, line=line)
    assert not without_rows(gray, mask).any()


@pytest.mark.parametrize(
    "spots",
    [
        [(30, 30, 2)], [(30, 30, 2), (30, 39, 2)],  # too few
        [(30, 30, 2), (30, 39, 2), (30, 58, 2), (30, 64, 2)],  # uneven gaps
        [(30, 30, 2), (30, 41, 5), (30, 54, 2)],  # uneven sizes
        [(30, 30, 2), (38, 39, 2), (29, 48, 2)],  # no line
    ],
)  # fmt: skip
def test_dust_stays_a_defect(spots: list[tuple[int, int, int]]) -> None:
    gray, mask = spotted(spots, dark=True)
    assert np.array_equal(without_rows(gray, mask), mask)


def test_a_scratch_and_the_edge_of_a_picture_stay_defects() -> None:
    gray, mask = np.full((60, 80), 0.5, np.float32), np.zeros((60, 80), bool)
    gray[5:55, 40:42], mask[5:55, 39:43] = 0.9, True
    gray[:3, :3], mask[:4, :4] = 0.0, True
    assert np.array_equal(without_rows(gray, mask), mask)
    assert not without_rows(gray, np.zeros_like(mask)).any()


@pytest.mark.parametrize("value", [0.8, 0.3])
def test_a_scratch_beside_a_row_stays_a_defect(value: float) -> None:
    gray, mask = spotted([(40, 30 + 9 * n, 2) for n in range(4)], dark=True)
    gray[5:95, 52:54], mask[5:95, 51:55] = value, True
    assert without_rows(gray, mask)[5:95, 51:55].all()
