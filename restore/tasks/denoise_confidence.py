"""What `restore denoise --confidence` adds to a result: see `confidence`, and a PSNR by SURE."""

from __future__ import annotations

import numpy as np

from restore import weights
from restore.images.noise_model import NoiseLevel
from restore.inference.confidence import TASK, WEIGHTS
from restore.inference.denoiser import Denoiser, signal_dependent
from restore.inference.denoising_confidence import DenoisingConfidence
from restore.inference.loading import find_weights
from restore.inference.noise_estimate import Estimate
from restore.inference.sure import ESTIMATED, expected_psnr
from restore.pipeline.step import Image
from restore.runtime import Runtime
from restore.tasks.confidence import Confidence, doubts_of, known, rounded
from restore.tasks.lazy_cache import LazyCache

XRAY, GRAY, COLOUR = "denoise-xray", "denoise-gray", "denoise-color"


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
        radiograph = image.info.radiograph
        other_pictures = radiograph is not None and not (radiograph and head == XRAY)
        found = known(maps, doubts_of(estimator.head.calibration, entry, head, other_pictures=other_pictures))
        quality = expected_psnr(
            pixels, restored, level, lambda region: exact.denoise(region, noise)[0],
            correlated="correlation" in maps.odd or (isinstance(noise, Estimate) and noise.correlated),
            uncertainty=ESTIMATED if isinstance(noise, Estimate) else 0.0,
        )  # fmt: skip
        stats = {**found.stats, "sure_psnr": rounded(quality.psnr), "sure_uncertainty": rounded(quality.uncertainty)}
        return Confidence(found.side, stats, (*found.warnings, *([quality.doubt] if quality.doubt else [])))

    def _load(self, head: str) -> DenoisingConfidence:
        return DenoisingConfidence.load(self.entry.path, head, self._runtime)


def head_for(entry: weights.Entry, channels: int) -> str:
    """The head for a denoiser's weights: its own, or that of the shipped denoiser most like it."""
    if channels == 3:
        return COLOUR
    return XRAY if signal_dependent(entry.recipe) else GRAY
