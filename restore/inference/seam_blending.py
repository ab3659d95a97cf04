"""Seam blending: reduces the step between a filling and its surroundings."""

from __future__ import annotations

import cv2
import numpy as np

from restore.inference.arrays import local_mean

NEAR = 2.0
"""Standard deviation in pixels of the Gaussian that averages the colours on each side of an edge."""
REACH = 4.0
"""Depth in pixels at which the correction falls to 1/e."""
FURTHEST = 20
"""Depth in pixels below which the colours do not change."""
FRACTION = 0.35
"""Fraction of the step that is removed; some of the step belongs to the picture."""
ROWS, HALO = 256, 48
"""Rows of the strips that a large picture is processed in, and the rows of context on either side of a strip."""


def blend_seams(filled: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Reduce the step across the edges of holes.

    The step is the difference between the nearest colours on both sides, each averaged over its own side only. The hole's colours shift
    towards the other side, less with depth. (Poisson editing, Perez et al. 2003, shifts the whole hole and smears differences at its edge.)

    Args:
        filled: (H, W, C) float32, its holes filled.
        hole: (H, W) bool, neither empty nor full.

    Returns:
        (H, W, C) float32, with the values of `filled` outside the hole.
    """
    result = filled.copy()
    for top in range(0, len(hole), ROWS):
        strip, padded = slice(top, top + ROWS), slice(max(0, top - HALO), top + ROWS + HALO)
        strip_hole = hole[padded]
        if hole[strip].any() and not strip_hole.all():
            result[strip] += _correction(filled[padded], strip_hole)[top - padded.start :][:ROWS]
    return result


def _correction(filled: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The change of the colours, (H, W, C) float32; 0 outside the hole."""
    step = local_mean(filled, ~hole, NEAR) - local_mean(filled, hole, NEAR)
    depth, labels = cv2.distanceTransformWithLabels(hole.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    outside = np.flatnonzero(~hole)
    nearest = np.empty(int(labels.max()) + 1, np.int32)
    nearest[labels.ravel()[outside]] = outside
    # smooth the step along the edge like the colours that it comes from
    step = local_mean(step.reshape(-1, step.shape[2])[nearest[labels]], hole, NEAR)
    fraction = np.where(hole & (depth <= FURTHEST), FRACTION * np.exp((1 - depth) / REACH), 0).astype(np.float32)
    return np.asarray(fraction[:, :, None] * step)
