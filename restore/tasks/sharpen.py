"""The step of `restore sharpen`: estimates the blur of an image and removes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median_low

from restore.inference import sharpener
from restore.inference.loading import InferenceOptions, find_weights
from restore.inference.sharpener import Sharpener
from restore.pipeline.step import Image, Result, Sidecars, Step
from restore.tasks.lazy_cache import LazyCache
from restore.tasks.options import SharpenOptions
from restore.weights import fingerprint

DEFAULT = "sharpen"
CLEAN = 85
"""JPEG quality from which on its traces do not show after sharpening."""
BLOCKY = "the JPEG's own artefacts were sharpened with it: run `restore artifacts` first, or both steps in a pipeline"


class Sharpen(Step[float]):
    """The step of `restore sharpen`. A sharp image stays as it is.

    Args:
        options: see `SharpenOptions`.
        weights: a name, a file or a run's folder; None uses the shipped weights.
        inference: device, precision, tiles.

    Raises:
        ValueError: the weights do not exist or are for another task.
    """

    name = "sharpen"

    def __init__(self, options: SharpenOptions, weights: str | Path | None, inference: InferenceOptions) -> None:
        self.options, self.inference = options, inference
        self.entry = find_weights(weights or DEFAULT, "sharpen", inference)
        self._blur = None if options.blur == "auto" else float(options.blur)
        self.unifies = self._blur is None
        self._sharpeners = LazyCache(self._load)

    def settings(self) -> dict[str, object]:
        """The weights' content, the options, the precision and the tiles."""
        return {"weights": fingerprint(self.entry), **self.options.as_dict(), **self.inference.fingerprint()}

    def analyse(self, image: Image) -> float:
        """The standard deviation of the blur in pixels, specified or estimated; 0 for a sharp image."""
        return sharpener.estimate(image.pixels, image.valid) if self._blur is None else self._blur

    def unified(self, own: float, samples: Sequence[float], image: Image) -> float:
        """The samples' median. Of two in the middle it is the narrower: too wide a filter does more harm."""
        return median_low(samples)

    def __call__(self, image: Image, analysis: float | None = None, sidecars: Sidecars | None = None) -> Result:
        """Sharpen an image."""
        blur = self.analyse(image) if analysis is None else analysis
        stats = {"weights": self.entry.name, "blur": round(blur, 2)}
        if blur <= 0:
            return Result(image.pixels, stats)
        tables = image.info.quantisation
        warnings = (BLOCKY,) if tables is not None and tables.quality < CLEAN else ()
        model = self._sharpeners(self.entry.path)
        restored, noise, info = model.sharpen(image.pixels, blur, self.options.strength, valid=image.valid)
        return Result(restored, {**stats, "noise_level": round(noise, 2), **info.stats()}, warnings)

    def _load(self, path: Path) -> Sharpener:
        return Sharpener.load(path, self.inference)
