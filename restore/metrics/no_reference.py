"""No-reference quality of arrays (H, W[, C]) in nominal [0, 1]: BRISQUE by piq."""

from __future__ import annotations

from importlib import util

import numpy as np
import torch

from restore.networks import backbones

SMALLEST = 32
"""Pixels; the statistics of the half-size picture need this side."""


def brisque(picture: np.ndarray) -> float:
    """BRISQUE (Mittal et al. 2012) of one picture by piq; lower is better, natural pictures have about 0 to 30.

    Args:
        picture: (H, W) or (H, W, C) float, C 1 or 3, nominal [0, 1]; it is rounded to 8 bits, on which the metric was trained.

    Raises:
        ValueError: the picture is too small or flat, or piq or its weights are missing; the message says how to get them.
    """
    if min(picture.shape[:2]) < SMALLEST:
        raise ValueError(f"BRISQUE needs at least {SMALLEST} x {SMALLEST} pixels, not {picture.shape[0]} x {picture.shape[1]}")
    if util.find_spec("piq") is None:
        raise ValueError("BRISQUE needs piq: pip install 'restore-suite[metrics]'")
    import piq

    planes = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
    stored = np.rint(np.clip(planes, 0, 1) * 255).astype(np.float32) / np.float32(255)
    with backbones.explained("BRISQUE's", None), torch.inference_mode():
        try:
            return float(piq.brisque(torch.from_numpy(stored)[None], data_range=1.0))
        except AssertionError as error:  # piq's check of the statistics
            raise ValueError("BRISQUE is not defined for a picture this flat") from error
