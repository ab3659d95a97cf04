"""Sharpening by an unsharp mask: the step of `restore unsharp`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from restore.inference.loading import InferenceOptions
from restore.pipeline.step import Image, Result, Sidecars, Step
from restore.tasks.options import UnsharpOptions


class Unsharp(Step[None]):
    """The step of `restore unsharp`.

    Args:
        options: see `UnsharpOptions`.
        weights: None; it has none.
        inference: not used.

    Raises:
        ValueError: weights were given.
    """

    name = "unsharp"

    def __init__(self, options: UnsharpOptions, weights: str | Path | None, inference: InferenceOptions) -> None:
        if weights is not None:
            raise ValueError("unsharp has no weights: leave --weights out")
        self.options = options

    def settings(self) -> dict[str, Any]:
        """The options."""
        return self.options.as_dict()

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        """Add `amount` times what a Gaussian blur takes away."""
        blurred = cv2.GaussianBlur(image.pixels, (0, 0), self.options.radius, borderType=cv2.BORDER_REFLECT)
        detail = image.pixels - blurred.reshape(image.pixels.shape)
        return Result(image.pixels + np.float32(self.options.amount) * detail, {"detail": round(float(np.abs(detail).mean()), 4)})
