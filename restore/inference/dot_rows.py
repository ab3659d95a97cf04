"""Rows of alike dots, such as the buttons of a waistcoat: a finder of defects takes them for dust or a broken scratch.

Dust lies by chance and scratches break irregularly, but three dots of one size and spacing in a line were made.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

REACH = 13
"""Diameter in pixels of the largest dot, and the largest gap from one dot's mask to the next."""
FEWEST = 3
"""Dots of a row."""
AREAS = (6, 150)
"""Pixels of a dot's darkest (or brightest) half."""
SIZES, GAPS = 2.5, 1.7
"""Ratio of the largest to the smallest area, and of gaps, in a row."""
DISTANT = (1.1, 4.0)
"""A gap from dot to dot, in diameters."""
BESIDE = 1.5
"""How far from the row's line and ends its defects may lie, in diameters: else there is more than a row."""
LARGEST = 250_000
"""Pixels of the box of a row at most."""


@dataclass(frozen=True)
class _Dot:
    """Centre (x, y) and area in pixels."""

    centre: np.ndarray
    area: int


def without_rows(gray: np.ndarray, defects: np.ndarray) -> np.ndarray:
    """Leave out the defects that are rows of alike dots.

    Args:
        gray: (H, W) float32, nominal [0, 1].
        defects: (H, W) bool.

    Returns:
        (H, W) bool.
    """
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (REACH, REACH))
    groups, labels, boxes, _ = cv2.connectedComponentsWithStats(cv2.dilate(defects.astype(np.uint8), disk), connectivity=8)
    kept = defects.copy()
    for number in range(1, groups):
        left, top, width, height = boxes[number, : cv2.CC_STAT_AREA]
        if width * height > LARGEST:
            continue
        window = np.s_[max(0, top - REACH) : top + height + REACH, max(0, left - REACH) : left + width + REACH]
        inside, patch = (labels[window] == number) & defects[window], gray[window]
        dark, bright = cv2.morphologyEx(patch, cv2.MORPH_CLOSE, disk) - patch, patch - cv2.morphologyEx(patch, cv2.MORPH_OPEN, disk)
        if any(_is_row(contrast, inside) for contrast in (dark, bright)):
            kept[window][inside] = False
    return kept


def _is_row(contrast: np.ndarray, inside: np.ndarray) -> bool:
    """Whether what stands out among some defects, both (H, W), is a row of dots and nothing else."""
    marked = inside & (contrast > 0.5 * contrast[inside].max())
    count, _, boxes, centres = cv2.connectedComponentsWithStats(marked.astype(np.uint8), connectivity=8)
    dots = []
    for number in range(1, count):
        width, height, area = boxes[number, cv2.CC_STAT_WIDTH], boxes[number, cv2.CC_STAT_HEIGHT], int(boxes[number, cv2.CC_STAT_AREA])
        if area >= AREAS[0] // 2:
            if not AREAS[0] <= area <= AREAS[1] or max(width, height) > 2 * min(width, height) or area < 0.5 * width * height:
                return False
            dots.append(_Dot(centres[number], area))
    return len(dots) >= FEWEST and _alike_and_even(dots, np.argwhere(inside)[:, ::-1])


def _alike_and_even(dots: list[_Dot], defects: np.ndarray) -> bool:
    """Whether dots have one size and lie on a line at even gaps, and all pixels (N, 2) of the defects, (x, y), lie along it."""
    areas = np.array([dot.area for dot in dots])
    points = np.array([dot.centre for dot in dots])
    middle = points.mean(0)
    axes = np.linalg.svd(points - middle, full_matrices=False)[2].T
    along, across = ((points - middle) @ axes).T
    gaps, diameter = np.diff(np.sort(along)), float(np.sqrt(areas.mean() * 4 / np.pi))
    places, distances = ((defects - middle) @ axes).T
    margin = BESIDE * diameter
    if np.abs(distances).max() > margin or places.min() < along.min() - margin or places.max() > along.max() + margin:
        return False
    near = DISTANT[0] * diameter <= gaps.min() and gaps.max() <= DISTANT[1] * diameter
    return bool(areas.max() <= SIZES * areas.min() and gaps.max() <= GAPS * gaps.min() and near and np.abs(across).max() <= diameter)
