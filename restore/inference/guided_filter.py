"""Guided upsampling: a coarse map gets the edges of a fine picture.

He, Sun and Tang 2010, "Guided image filtering"; He and Sun 2015, "Fast guided filter" (algorithm 2: the coefficients are computed at
the coarse size and enlarged). In each window the map is taken for a linear function of the picture, map = a picture + b.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np


def coefficients(guide: np.ndarray, coarse: np.ndarray, *, radius: int, epsilon: float) -> np.ndarray:
    """The coefficients of each pixel's linear function (He et al. 2010, eq. 5, 6 and 8).

    Args:
        guide: (h, w) float32, the picture at the size of `coarse`, nominal [0, 1].
        coarse: (h, w, K) float32.
        radius: of the windows in pixels.
        epsilon: variance of the guide below which a window counts as flat.

    Returns:
        (h, w, 2 K) float32: the factors a, then the offsets b.
    """

    def mean(plane: np.ndarray) -> np.ndarray:
        side = 2 * radius + 1
        return np.asarray(cv2.boxFilter(plane, -1, (side, side), borderType=cv2.BORDER_REFLECT_101 if min(plane.shape) > radius else 2))

    average = mean(guide)
    variance = mean(guide * guide) - average * average
    factors, offsets = [], []
    for plane in np.moveaxis(coarse, 2, 0):
        middle = mean(np.ascontiguousarray(plane))
        factor = (mean(guide * plane) - average * middle) / (variance + epsilon)
        factors.append(mean(factor))
        offsets.append(mean(middle - factor * average))
    return np.stack([*factors, *offsets], 2)


def rows_of(linear: np.ndarray, height: int, width: int) -> Callable[[slice, np.ndarray], np.ndarray]:
    """Enlarge `coefficients`, some rows at a time, so that no map of the whole fine picture is needed.

    Args:
        linear: (h, w, 2 K) float32.
        height, width: of the fine picture.

    Returns:
        A function (rows, (rows, width) of the fine picture) -> (rows, width, K), the map at these rows.
    """
    planes = [cv2.resize(plane, (width, linear.shape[0]), interpolation=cv2.INTER_LINEAR) for plane in np.moveaxis(linear, 2, 0)]
    wide, count = np.stack(planes, 2), linear.shape[2] // 2

    def apply(rows: slice, fine: np.ndarray) -> np.ndarray:
        position = np.clip((np.arange(rows.start, rows.stop) + 0.5) * len(wide) / height - 0.5, 0, len(wide) - 1)
        above = position.astype(np.intp)
        below = np.minimum(above + 1, len(wide) - 1)
        share = (position - above).astype(np.float32)[:, None, None]
        enlarged = wide[above] * (1 - share) + wide[below] * share
        return np.asarray(enlarged[:, :, :count] * fine[:, :, None] + enlarged[:, :, count:])

    return apply
