"""Seams: a filling meets what lies around it."""

from __future__ import annotations

import cv2
import numpy as np

from restore.inference.arrays import local_mean

NEAR = 2.0
"""Standard deviation in pixels of the Gaussian whose colours are compared on both sides of an edge."""
REACH = 4.0
"""Pixels into a hole over which its colours are moved: to 1/e there."""
FURTHEST = 20
"""Pixels into a hole beyond which they stay."""
SHARE = 0.35
"""Of the step between both sides that is taken away; some of it is the picture's own."""
ROWS, HALO = 256, 48
"""A large picture is gone through in strips of so many rows, seen with so many more on either side: as far as its steps have a say."""


def blended(filled: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Lessen the step across the edges of holes.

    The step is that of the nearest colours on either side, each averaged over its own side alone; the hole's side moves towards the
    other, less the further in. (Poisson editing, Perez et al. 2003, moves all of a hole, and smears what differs at its edge far into it.)

    Args:
        filled: (H, W, C) float32, its holes filled.
        hole: (H, W) bool, neither all nor nothing of it.

    Returns:
        (H, W, C) float32, outside the hole the very values of `filled`.
    """
    result = filled.copy()
    for top in range(0, len(hole), ROWS):
        strip, seen = slice(top, top + ROWS), slice(max(0, top - HALO), top + ROWS + HALO)
        within = hole[seen]
        if hole[strip].any() and not within.all():
            result[strip] += _moves(filled[seen], within)[top - seen.start :][:ROWS]
    return result


def _moves(filled: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """What is added to the colours, (H, W, C) float32, 0 outside the hole."""
    step = local_mean(filled, ~hole, NEAR) - local_mean(filled, hole, NEAR)
    depth, labels = cv2.distanceTransformWithLabels(hole.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    known = np.flatnonzero(~hole)
    nearest = np.empty(int(labels.max()) + 1, np.int32)
    nearest[labels.ravel()[known]] = known
    # along an edge a step is no rougher than the colours that it is made of
    step = local_mean(step.reshape(-1, step.shape[2])[nearest[labels]], hole, NEAR)
    share = np.where(hole & (depth <= FURTHEST), SHARE * np.exp((1 - depth) / REACH), 0).astype(np.float32)
    return np.asarray(share[:, :, None] * step)
