"""`Denoiser`: takes the noise out of arrays, at a level that is given or estimated."""

from __future__ import annotations

from pathlib import Path
from typing import Self, Unpack

import numpy as np

from restore.images.noise import NoiseLevel
from restore.inference import exclusions, mats, means
from restore.inference.calling import Picture, called
from restore.inference.fallbacks import RunInfo
from restore.inference.loading import Recipe, RunOptions, network_of, runner_of
from restore.inference.noise import Estimate, level_of
from restore.inference.ranges import Range
from restore.networks.spec import RestorationNetwork

Noise = Estimate | NoiseLevel | float | None
"""A noise level as users give it: a standard deviation of 255, a NoiseLevel, an Estimate; None estimates it from the picture."""


class Denoiser:
    """A denoising network ready to use. It holds no state of a picture, so threads may share one.

    Args:
        network: predicts the correction of a picture.
        recipe: the recipe of its weights.
        options: see `RunOptions`.

    Raises:
        ValueError: a network that takes a mask: that is an inpainter's.
    """

    def __init__(self, network: RestorationNetwork, recipe: Recipe | None = None, **options: Unpack[RunOptions]) -> None:
        if network.spec.takes_mask:
            raise ValueError("a network that takes a mask fills holes, and does not denoise: use an Inpainter")
        self.recipe: Recipe = recipe or {}
        self.runner = runner_of(network, options)
        self.spec, self.runtime = self.runner.spec, self.runner.runtime

    @classmethod
    def load(cls, name: str | Path, **options: Unpack[RunOptions]) -> Self:
        """A denoiser with the weights called `name` (a name, a file or a run's folder).

        Raises:
            ValueError: no such weights, or weights for another task.
        """
        return cls(*network_of(name, "denoise"), **options)

    @property
    def signal_dependent(self) -> bool:
        """Whether the weights were trained mostly on noise that grows with the signal, as in X-rays."""
        return signal_dependent(self.recipe)

    def __call__(self, picture: Picture, noise_level: NoiseLevel | float | None = None, strength: float = 1.0) -> Picture:
        """Denoise a picture.

        Args:
            picture: an array or a tensor; see `called`.
            noise_level: standard deviation on the 0..255 scale or a NoiseLevel; None estimates it from each picture.
            strength: fraction of the correction that is applied, 0..1.

        Returns:
            The same kind, type and shape.

        Raises:
            ValueError: a shape or type that is no picture.
        """
        return called(picture, lambda pixels, valid: self.denoise(pixels, noise_level, strength, valid=valid)[0])

    def denoise(
        self, pixels: np.ndarray, noise_level: Noise = None, strength: float = 1.0, *, valid: np.ndarray | None = None
    ) -> tuple[np.ndarray, RunInfo]:
        """Denoise normalized pixels.

        Args:
            pixels: (H, W, 1|3) float32, nominal [0, 1].
            noise_level: see `Noise`.
            strength: fraction of the correction that is applied, 0..1.
            valid: (H, W) bool, where it is a picture (see `Frame.valid`); None where all of it is.

        Returns:
            (H, W, 1|3) float32, not clipped, and how it went.
        """
        noise = self.noise_level(pixels, noise_level, valid)
        level = noise.level if isinstance(noise, Estimate) else noise
        excluded = self._excluded(pixels, level, valid)
        if excluded is None:
            return self._denoised(pixels, noise, strength, None)
        inner = mats.inner(excluded)
        restored, rest = pixels.copy(), excluded[inner]
        region = np.ascontiguousarray(pixels[inner])
        restored[inner], info = self._denoised(region, noise, strength, rest if rest.any() else None)
        return restored, info

    def noise_level(self, pixels: np.ndarray, noise_level: Noise, valid: np.ndarray | None = None) -> Estimate | NoiseLevel:
        """The level to work with: the one given (a number is Gaussian sigma of 255), or the picture's own by estimate."""
        return level_of(pixels, noise_level, valid) if self.spec.takes_noise else NoiseLevel()

    def confidence(self, noise: Estimate | NoiseLevel, span: Range) -> float:
        """The fraction of the correction to apply, see `Estimate.confidence`. Specified levels and estimates of radiographs are trusted."""
        return noise.confidence(span.span) if isinstance(noise, Estimate) and not self.signal_dependent else 1.0

    def _denoised(
        self, pixels: np.ndarray, noise: Estimate | NoiseLevel, strength: float, excluded: np.ndarray | None
    ) -> tuple[np.ndarray, RunInfo]:
        """`denoise` for a picture whose noise level and whose parts (H, W) bool to leave alone are known."""
        level = noise.level if isinstance(noise, Estimate) else noise
        picture = pixels if excluded is None else exclusions.continued(pixels, excluded, level)
        confidence = 1.0

        def trusted(span: Range) -> float:
            nonlocal confidence
            confidence = self.confidence(noise, span)
            return confidence

        restored, info = self.runner.run(picture, strength, level=level, confidence=trusted)
        if self.spec.takes_noise:
            means.keep(picture, restored, level, strength * confidence)
        if excluded is not None:
            restored[excluded] = pixels[excluded]
        return restored, info

    def _excluded(self, pixels: np.ndarray, level: NoiseLevel, valid: np.ndarray | None) -> np.ndarray | None:
        """(H, W) bool, where a picture stays as it is; None for nowhere."""
        if not self.spec.takes_noise:
            return None
        excluded = exclusions.find(pixels, level)
        if valid is None or not valid.any():
            return excluded
        return ~valid if excluded is None else ~valid | excluded


def signal_dependent(recipe: Recipe) -> bool:
    """Whether a recipe trains mostly on noise that grows with the signal, as in X-rays."""
    return bool(recipe.get("training", {}).get("noise", {}).get("poisson_fraction", 0) > 0.5)
