"""Back-projection: an upscaled picture is corrected so that its reduction is nearer to the picture it came from.

Irani and Peleg 1991, "Improving resolution by image registration"; one step, as in Timofte et al. 2016, "Seven ways to improve
example-based single image super resolution", section 3.5. It trusts the small picture: what JPEG or noise added to it comes back.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from restore.images.frame import bands
from restore.networks.resample import enlarge, shrink

MARGIN = 8
"""Rows of the small picture that a band sees beyond its own; the two kernels reach 4."""


def back_project(small: np.ndarray, large: np.ndarray, scale: int, strength: float = 1.0) -> np.ndarray:
    """Add the enlarged difference of `small` and the reduced `large`.

    Args:
        small: (H, W, C) float32.
        large: (scale H, scale W, C) float32.
        scale: a whole number.
        strength: factor on what is added.

    Returns:
        The shape of `large`.
    """
    result = np.empty_like(large)
    for rows in bands((small.shape[0], small.shape[1] * scale**2)):
        above, below = max(0, rows.start - MARGIN), min(len(small), rows.stop + MARGIN)
        part = large[scale * above : scale * below]
        difference = _planes(small[above:below]) - shrink(_planes(part), scale)
        added = enlarge(difference, scale)[0].numpy().transpose(1, 2, 0)[scale * (rows.start - above) :][: scale * (rows.stop - rows.start)]
        own = slice(scale * rows.start, scale * rows.stop)
        result[own] = large[own] + np.float32(strength) * added
    return result


def _planes(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
