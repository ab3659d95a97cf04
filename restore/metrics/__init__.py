"""Quality metrics: `METRICS` compare a picture with its reference, `SET_METRICS` compare sets of pictures. One file for each family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from restore.metrics.distortion import psnr, ssim
from restore.metrics.distribution import fid, kid
from restore.metrics.perceptual import lpips


@dataclass(frozen=True)
class Metric:
    """One full-reference metric of arrays (H, W, C) in nominal [0, 1].

    Attributes:
        function: (result, reference) -> number.
        better: "higher" or "lower".
        unit: printed after the value.
    """

    function: Callable[[np.ndarray, np.ndarray], float]
    better: str
    unit: str = ""


METRICS: Mapping[str, Metric] = {
    "psnr": Metric(psnr, "higher", "dB"),
    "ssim": Metric(ssim, "higher"),
    "lpips": Metric(lpips, "lower"),
}

SET_METRICS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {"fid": fid, "kid": kid}
"""Distances of two sets of features (N, D), (M, D)."""

__all__ = ["METRICS", "SET_METRICS", "Metric", "fid", "kid", "lpips", "psnr", "ssim"]
