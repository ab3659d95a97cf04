"""What `restore denoise --confidence` adds to a result: error maps, the expected PSNR, and warnings where neither can be promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from restore import weights
from restore.images.noise_model import NoiseLevel
from restore.inference.confidence import TASK, WEIGHTS, ConfidenceEstimator, ErrorMaps
from restore.inference.confidence_calibration import UNPROMISED
from restore.inference.denoiser import Denoiser, signal_dependent
from restore.inference.loading import find_weights
from restore.inference.noise_estimation import Estimate
from restore.inference.risk_control import ALPHA
from restore.inference.sure import ESTIMATED, expected_psnr
from restore.pipeline.step import Image, SideImage
from restore.runtime import Runtime
from restore.tasks.lazy_cache import LazyCache

MEANINGS = {"error": "expected absolute error", "bound": "90 % bound of the absolute error"}
"""The side images: their names and what they show."""
NAMES = tuple(MEANINGS)
XRAY, GRAY, COLOUR = "denoise-xray", "denoise-gray", "denoise-color"
OTHER_WEIGHTS = UNPROMISED + "it was calibrated for {head}, not for these weights"
OTHER_PICTURES = UNPROMISED + "it was calibrated on {pictures}, and the DICOM header says that this is none"


@dataclass(frozen=True)
class Confidence:
    """What is known of a result's error.

    Attributes:
        side: the maps.
        stats: values for the report.
        warnings: one sentence each.
    """

    side: tuple[SideImage, ...]
    stats: Mapping[str, object]
    warnings: tuple[str, ...]


class DenoiseConfidence:
    """Estimates the error of denoised pictures.

    Args:
        runtime: device and precision.

    Raises:
        ValueError: the confidence weights do not exist.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.entry = find_weights(WEIGHTS, TASK)
        self._runtime = runtime
        self._estimators = LazyCache(self._load)

    def settings(self) -> dict[str, object]:
        """The contents of the confidence weights."""
        return {"confidence_weights": weights.fingerprint(self.entry)}

    def __call__(
        self, image: Image, pixels: np.ndarray, restored: np.ndarray, noise: Estimate | NoiseLevel, entry: weights.Entry, exact: Denoiser
    ) -> Confidence:
        """Estimate the error of one result.

        Args:
            image: the step's input.
            pixels: (H, W, 1|3) float32, what the denoiser was given.
            restored: the same shape, its result.
            noise: the noise level that it used.
            entry: its weights.
            exact: the same denoiser in float32.
        """
        level = noise.level if isinstance(noise, Estimate) else noise
        head = head_for(entry, pixels.shape[2])
        estimator = self._estimators(head)
        maps = estimator(pixels, restored, level)
        doubts = [*maps.doubts, *self._doubts(estimator, entry, head, image.info.radiograph)]
        correlated = not maps.white or (isinstance(noise, Estimate) and noise.correlated)
        quality = expected_psnr(
            pixels, restored, level, lambda region: exact.denoise(region, noise)[0], correlated=correlated,
            uncertainty=ESTIMATED if isinstance(noise, Estimate) else 0.0,
        )  # fmt: skip
        stats = {
            **_means(maps), "bound_share": None if doubts else 1 - ALPHA,
            "expected_psnr": None if doubts else _rounded(maps.psnr), "sure_psnr": _rounded(quality.psnr),
            "sure_uncertainty": _rounded(quality.uncertainty),
        }  # fmt: skip
        planes = (maps.expected, maps.bound)
        side = tuple(SideImage(name, meaning, plane) for (name, meaning), plane in zip(MEANINGS.items(), planes, strict=True))
        return Confidence(side, stats, (*doubts, *([quality.doubt] if quality.doubt else [])))

    def _load(self, head: str) -> ConfidenceEstimator:
        return ConfidenceEstimator.load(self.entry.path, head, self._runtime)

    def _doubts(self, estimator: ConfidenceEstimator, entry: weights.Entry, head: str, radiograph: bool | None) -> list[str]:
        """Why the bound is not promised for these weights, or for a DICOM of this modality."""
        calibration = estimator.calibration
        if calibration is None:
            return []
        doubts = [] if calibration.denoiser == weights.fingerprint(entry) else [OTHER_WEIGHTS.format(head=head)]
        if radiograph is not None and not (radiograph and head == XRAY):
            doubts.append(OTHER_PICTURES.format(pictures=calibration.pictures))
        return doubts


def head_for(entry: weights.Entry, channels: int) -> str:
    """The head for a denoiser's weights: its own, or that of the shipped denoiser most like it."""
    if channels == 3:
        return COLOUR
    return XRAY if signal_dependent(entry.recipe) else GRAY


def _rounded(decibel: float | None) -> float | None:
    return None if decibel is None else round(decibel, 2)


def _means(maps: ErrorMaps) -> dict[str, float]:
    """The means of the maps over the pixels that changed, on the 0..255 scale."""
    changed = maps.expected > 0
    count = max(1, int(np.count_nonzero(changed)))
    names = (("expected_error", maps.expected), ("error_bound", maps.bound))
    return {name: round(255 * float(plane[changed].sum(dtype=np.float64)) / count, 3) for name, plane in names}
