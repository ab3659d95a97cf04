"""`Denoiser`: removes noise from arrays, at a specified or an estimated level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from restore.images.noise_model import NoiseLevel
from restore.inference import correction_limit, excluded_regions, impulse_noise, mean_preservation, nonlocal_blend, uniform_borders
from restore.inference.array_interface import FRACTION, Picture, apply
from restore.inference.network_model import NetworkModel
from restore.inference.noise_estimate import Estimate
from restore.inference.noise_estimation import resolve_level
from restore.inference.normalizing_runner import NormalizingRunner
from restore.inference.picture_tuning import PictureTuner
from restore.inference.ranges import Range
from restore.inference.tile_faults import InferenceInfo
from restore.limits import number
from restore.networks.spec import ModelSpec
from restore.weights_file import Recipe

Noise = Estimate | NoiseLevel | float | None
"""A noise level: a standard deviation on the 0..255 scale, a NoiseLevel or an Estimate. None estimates it from the picture."""


@dataclass(frozen=True)
class Refinement:
    """What `Denoiser.denoise` does for more quality.

    Attributes:
        single: the same weights in float32, without a self-ensemble. The result is blended with a non-local estimate; see `nonlocal_blend`.
        tuner: fine-tunes the weights on the picture first; None leaves this out. It is left out too where the level is an estimate that is
            not applied in full: what is taken for noise may be texture.
    """

    single: NormalizingRunner
    tuner: PictureTuner | None = None


class Denoiser(NetworkModel):
    """A denoising network ready to use. It keeps no state between pictures, so threads may share one.

    Args:
        network: predicts the correction of a picture.
        recipe: the recipe of its weights.
        options: see `InferenceOptions`; by default those of this machine.

    Raises:
        ValueError: the network takes a mask, so it belongs into an `Inpainter`.
    """

    task = "denoise"

    @classmethod
    def check(cls, spec: ModelSpec) -> None:
        """Raise ValueError if the network takes a mask."""
        if spec.takes_mask:
            raise ValueError("this network takes a mask and fills holes: use an Inpainter")

    @property
    def signal_dependent(self) -> bool:
        """Whether the weights were trained mostly on noise that grows with the signal, as in X-rays."""
        return signal_dependent(self.recipe)

    def __call__(
        self, picture: Picture, noise_level: NoiseLevel | float | Literal["auto"] | None = None, strength: float = 1.0
    ) -> Picture:  # fmt: skip
        """Denoise a picture.

        Args:
            picture: an array or a tensor; see `array_interface.apply`.
            noise_level: standard deviation on the 0..255 scale or a NoiseLevel; "auto" or None estimates it from each picture.
            strength: fraction of the correction that is applied, 0..1.

        Returns:
            The same kind, type and shape.

        Raises:
            ValueError: an option is out of range, or the shape or type is not that of a picture.
        """
        number("strength", strength, FRACTION)
        level: NoiseLevel | float | None = None if noise_level == "auto" else noise_level
        if level is not None and not isinstance(level, NoiseLevel):
            number("noise_level", level, {"range": (0, 255)})
        return apply(picture, lambda pixels, valid: self.denoise(pixels, level, strength, valid=valid)[0])

    def denoise(
        self, pixels: np.ndarray, noise_level: Noise = None, strength: float = 1.0, *, valid: np.ndarray | None = None,
        refinement: Refinement | None = None,
    ) -> tuple[np.ndarray, InferenceInfo]:  # fmt: skip
        """Denoise normalized pixels. Impulse noise is replaced first; see `impulse_noise`.

        Args:
            pixels: (H, W, 1|3) float32, nominal [0, 1].
            noise_level: see `Noise`.
            strength: fraction of the correction that is applied, 0..1.
            valid: (H, W) bool, the pixels that hold picture (see `Frame.visible`); None for all.
            refinement: what else is done for the result. It is for white noise, so it is left out where the noise is correlated.

        Returns:
            (H, W, 1|3) float32, not clipped; and information about the run.
        """
        clean, share = impulse_noise.cleaned(pixels, valid)
        restored, info = self._without_impulses(clean, noise_level, strength, valid, refinement)
        if share:
            info.impulses = share
            if strength != 1:
                restored += np.float32(1 - strength) * (pixels - clean)
        return restored, info

    def _without_impulses(
        self, pixels: np.ndarray, noise_level: Noise, strength: float, valid: np.ndarray | None, refinement: Refinement | None
    ) -> tuple[np.ndarray, InferenceInfo]:
        """`denoise` of a picture whose impulse noise was replaced."""
        noise = self.noise_level(pixels, noise_level, valid)
        level = self._for_network(noise)
        if isinstance(noise, Estimate) and level == NoiseLevel():
            return pixels.copy(), InferenceInfo(self.runtime.precision)
        excluded = self._excluded(pixels, level, valid)
        if excluded is None:
            return self._denoised(pixels, noise, strength, None, refinement)
        inner = uniform_borders.inner(excluded)
        restored, rest = pixels.copy(), excluded[inner]
        region = np.ascontiguousarray(pixels[inner])
        restored[inner], info = self._denoised(region, noise, strength, rest if rest.any() else None, refinement)
        return restored, info

    def noise_level(self, pixels: np.ndarray, noise_level: Noise, valid: np.ndarray | None = None) -> Estimate | NoiseLevel:
        """The specified level (a number is a Gaussian's sigma on the 0..255 scale), or an estimate from the picture."""
        return resolve_level(pixels, noise_level, valid) if self.spec.takes_noise else NoiseLevel()

    def confidence(self, noise: Estimate | NoiseLevel, span: Range) -> float:
        """The fraction of the correction to apply; see `Estimate.confidence`.

        It is 1 for specified levels and for radiographs.
        """
        return noise.confidence(span.span) if isinstance(noise, Estimate) and not self.signal_dependent else 1.0

    def _understated(self, noise: Estimate | NoiseLevel) -> bool:
        """Whether the noise of a pixel is much stronger than the level. Weights for radiographs are not given that of cameras."""
        return isinstance(noise, Estimate) and (noise.understated or (noise.coarse > 0 and not self.signal_dependent))

    def _for_network(self, noise: Estimate | NoiseLevel) -> NoiseLevel:
        """The level that the network is given. Weights for radiographs recognise grain by themselves."""
        if not isinstance(noise, Estimate):
            return noise
        if self.signal_dependent:
            return noise.level
        return noise.for_camera_network if of_camera(self.recipe) else noise.for_network

    def _denoised(
        self, pixels: np.ndarray, noise: Estimate | NoiseLevel, strength: float, excluded: np.ndarray | None,
        refinement: Refinement | None,
    ) -> tuple[np.ndarray, InferenceInfo]:  # fmt: skip
        """`denoise` with a resolved noise level; pixels of the mask `excluded`, (H, W) bool, do not change."""
        level = self._for_network(noise)
        picture = pixels if excluded is None else excluded_regions.extrapolate(pixels, excluded, level)
        confidence = 1.0

        def trusted(span: Range) -> float:
            nonlocal confidence
            confidence = self.confidence(noise, span)
            return confidence

        if refinement is None or not self.spec.takes_noise or (isinstance(noise, Estimate) and noise.correlated):
            restored, info = self.runner.run(picture, strength, level=level, confidence=trusted)
        else:
            trusted(self.runner.range_of(picture, level))
            restored, info = self._refined(picture, level, refinement, trusted=confidence == 1)
            if strength * confidence != 1:
                restored = picture + np.float32(strength * confidence) * (restored - picture)
        if self.spec.takes_noise and not self._understated(noise):
            correction_limit.limit(picture, restored, level)
        if isinstance(noise, Estimate) and noise.unmeasured and not self.signal_dependent:
            correction_limit.limit_energy(picture, restored, noise.camera.sigma, noise.coarse)
        if self.spec.takes_noise:
            mean_preservation.preserve(picture, restored, level, strength * confidence)
        if excluded is not None:
            restored[excluded] = pixels[excluded]
        return restored, info

    def _refined(
        self, picture: np.ndarray, level: NoiseLevel, refinement: Refinement, *, trusted: bool
    ) -> tuple[np.ndarray, InferenceInfo]:  # fmt: skip
        """The whole correction of the network, fine-tuned on the picture if its level is `trusted`, blended with the non-local estimate."""
        tuned = refinement.tuner(picture, level) if refinement.tuner is not None and trusted else None
        runner, single = (tuned.runner, tuned.single) if tuned is not None else (self.runner, refinement.single)
        restored, info = runner.run(picture, level=level)
        restored, weight = nonlocal_blend.blended(
            picture, restored, level, lambda region: single.run(region, level=level)[0], self.runtime.device
        )
        info.nonlocal_weight = None if weight is None else weight.value
        info.tuned_weight = None if tuned is None else tuned.weight
        return restored, info

    def _excluded(self, pixels: np.ndarray, level: NoiseLevel, valid: np.ndarray | None) -> np.ndarray | None:
        """(H, W) bool, the pixels that do not change; None for none."""
        if not self.spec.takes_noise:
            return None
        excluded = excluded_regions.find(pixels, level)
        if valid is None or not valid.any():
            return excluded
        return ~valid if excluded is None else ~valid | excluded


def signal_dependent(recipe: Recipe) -> bool:
    """Whether a recipe's training noise mostly grows with the signal, as in X-rays."""
    return bool(recipe.get("training", {}).get("noise", {}).get("poisson_fraction", 0) > 0.5)


def of_camera(recipe: Recipe) -> bool:
    """Whether a recipe's training noise mostly is that of simulated cameras."""
    return bool(recipe.get("training", {}).get("noise", {}).get("camera_fraction", 0) > 0.5)
