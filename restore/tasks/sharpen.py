"""The step of `restore sharpen`: estimates the blur of an image and removes it."""

from __future__ import annotations

from pathlib import Path

from restore.inference import sharpener
from restore.inference.loading import InferenceOptions
from restore.pipeline.step import Image, Result, Sidecars, Step
from restore.tasks.options import SharpenOptions


class Sharpen(Step[float]):
    """The step of `restore sharpen`. A sharp image stays as it is.

    Args:
        options: see `SharpenOptions`.
        weights: None; it has none.
        inference: not used.

    Raises:
        ValueError: weights were given.
    """

    name, work = "sharpen", "sharpening"

    def __init__(self, options: SharpenOptions, weights: str | Path | None, inference: InferenceOptions) -> None:
        if weights is not None:
            raise ValueError("sharpen has no weights: leave --weights out")
        self.options = options
        self._blur = None if options.blur == "auto" else float(options.blur)

    def settings(self) -> dict[str, object]:
        """The options."""
        return self.options.as_dict()

    def analyse(self, image: Image) -> float:
        """The standard deviation of the blur in pixels, specified or estimated; 0 for a sharp image."""
        return sharpener.estimate(image.pixels, image.valid) if self._blur is None else self._blur

    def __call__(self, image: Image, analysis: float | None = None, sidecars: Sidecars | None = None) -> Result:
        """Sharpen an image."""
        blur = self.analyse(image) if analysis is None else analysis
        if blur <= 0:
            return Result(image.pixels, {"blur": 0.0})
        sharpened, noise = sharpener.sharpen(image.pixels, blur, self.options.strength, valid=image.valid)
        return Result(sharpened, {"blur": round(blur, 2), "noise_level": round(noise, 2)})
