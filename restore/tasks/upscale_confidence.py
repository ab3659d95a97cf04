"""What `restore upscale --confidence` adds to a result: see `confidence`."""

from __future__ import annotations

import numpy as np

from restore import weights
from restore.inference.confidence import TASK, WEIGHTS
from restore.inference.confidence_calibration import UNPROMISED
from restore.inference.loading import find_weights
from restore.inference.ranges import Range
from restore.inference.upscaling_confidence import UpscalingConfidence
from restore.pipeline.step import Image
from restore.runtime import Runtime
from restore.tasks.confidence import Confidence, doubts_of, known
from restore.tasks.lazy_cache import LazyCache

OTHER_SCALE = UNPROMISED + "it was calibrated for results {own} times as large, not {scale:g}"


class UpscaleConfidence:
    """Estimates the error of upscaled pictures.

    Args:
        upscaler: the weights of the upscaler.
        scale: of its network.
        heads: the head for each scale.
        runtime: device and precision.

    Raises:
        ValueError: the confidence weights do not exist, or the upscaler was trained to invent texture.
    """

    def __init__(self, upscaler: weights.Entry, scale: int, heads: dict[int, str], runtime: Runtime) -> None:
        if invents(upscaler):
            raise ValueError(f"the weights {upscaler.name!r} invent texture, whose error nothing can foretell: use faithful ones for maps")
        self.entry, self._upscaler = find_weights(WEIGHTS, TASK), upscaler
        self._scale, self._head = scale, heads[min(heads, key=lambda own: abs(own - scale))]
        self._runtime = runtime
        self._estimators = LazyCache(self._load)

    def settings(self) -> dict[str, object]:
        """The contents of the confidence weights."""
        return {"confidence_weights": weights.fingerprint(self.entry)}

    def __call__(self, image: Image, restored: np.ndarray, span: Range, scale: float) -> Confidence:
        """Estimate the error of one result.

        Args:
            image: the step's input.
            restored: (H, W, 1|3) float32, its result.
            span: the range in which the network saw the image.
            scale: how many times the result is as large as the image.
        """
        estimator = self._estimators(self._head)
        maps = estimator(image.pixels, restored, span)
        doubts = doubts_of(estimator.head.calibration, self._upscaler, self._head, other_pictures=image.info.radiograph is not None)
        if scale != self._scale:
            doubts = (*doubts, OTHER_SCALE.format(own=self._scale, scale=scale))
        return known(maps, doubts)

    def _load(self, head: str) -> UpscalingConfidence:
        return UpscalingConfidence.load(self.entry.path, head, self._runtime)


def invents(entry: weights.Entry) -> bool:
    """Whether the recipe of an upscaler's weights has a loss that rewards plausible detail rather than true detail."""
    losses = entry.recipe.get("training", {}).get("losses", {})
    return any(losses.get(f"{name}_weight", 0) > 0 for name in ("adversarial", "perceptual", "lpips", "feature_matching"))
