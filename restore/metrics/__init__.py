"""Quality metrics: `METRICS` score one picture, `SET_METRICS` compare sets of pictures. One file for each family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from restore.metrics.distortion import gmsd, ms_ssim, psnr, psnr_b, ssim
from restore.metrics.distribution import SET_METRICS, SetMetric, fid, kid
from restore.metrics.no_reference import brisque
from restore.metrics.perceptual import dists, lpips, lpips_vgg


@dataclass(frozen=True)
class Metric:
    """One metric of arrays (H, W, C) in nominal [0, 1].

    Attributes:
        function: (result, reference) -> number; a ValueError says why it is not defined for these pictures.
        better: "higher" or "lower".
        protocol: what determines its values: window, backbone, channels. Values of unlike protocols are not comparable.
        unit: printed after the value.
        needs_reference: whether it looks at the reference.
        probe_side: the side in pixels of the noise by which `problem` finds out whether the metric is available.
    """

    function: Callable[[np.ndarray, np.ndarray], float]
    better: str
    protocol: str
    unit: str = ""
    needs_reference: bool = True
    probe_side: int = 64

    def problem(self) -> str | None:
        """The reason why the metric is not available here (a missing library or backbone); None if it is."""
        probe = np.random.default_rng(0).random((self.probe_side, self.probe_side, 3), dtype=np.float32)
        try:
            self.function(probe, probe)
        except ValueError as error:
            return str(error)
        return None


def _of_result(function: Callable[[np.ndarray], float]) -> Callable[[np.ndarray, np.ndarray], float]:
    """A no-reference metric with a reference that it ignores."""

    def score(result: np.ndarray, _reference: np.ndarray) -> float:
        return function(result)

    score.__doc__ = function.__doc__
    return score


METRICS: Mapping[str, Metric] = {
    "psnr": Metric(psnr, "higher", "mean error over pixels and channels, peak 1", "dB"),
    "psnr-b": Metric(psnr_b, "higher", "with the blocking effect of 8 x 8 blocks, mean over channels, peak 1", "dB"),
    "ssim": Metric(ssim, "higher", "11 x 11 Gaussian window of sigma 1.5, whole windows only, K1 0.01, K2 0.03, mean over channels"),
    "ms-ssim": Metric(ms_ssim, "higher", "SSIM's window on 5 scales, each the mean of 2 x 2 pixels", probe_side=176),
    "gmsd": Metric(gmsd, "lower", "BT.601 luma, halved, Prewitt gradients, c 170"),
    "lpips": Metric(lpips, "lower", "AlexNet, version 0.1"),
    "lpips-vgg": Metric(lpips_vgg, "lower", "VGG16, version 0.1"),
    "dists": Metric(dists, "lower", "VGG16 with L2 pooling, the authors' weights, no resizing"),
    "brisque": Metric(_of_result(brisque), "lower", "piq, 8 bits, no reference", needs_reference=False),
}
DEFAULT_METRICS = ("psnr", "ssim", "lpips")
"""The metrics that are computed unless others are named."""

__all__ = [
    "DEFAULT_METRICS", "METRICS", "SET_METRICS", "Metric", "SetMetric", "brisque", "dists", "fid", "gmsd", "kid", "lpips", "lpips_vgg",
    "ms_ssim", "psnr", "psnr_b", "ssim",
]  # fmt: skip
