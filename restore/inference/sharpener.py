"""`Sharpener`: removes the blur of arrays."""

from __future__ import annotations

import math

import numpy as np

from restore.images import deconvolution
from restore.images.deconvolution import Inversion
from restore.images.frame import filled
from restore.images.luma import CHROMA_TO_RGB, chroma, luma
from restore.inference import blur_estimation, noise_estimation, uniform_borders
from restore.inference.array_interface import FRACTION, Picture, apply
from restore.inference.network_model import NetworkModel
from restore.inference.tile_faults import InferenceInfo
from restore.limits import number
from restore.networks.spec import ModelSpec

SHARP = 0.7
"""Pixels; sharp photographs and those with less blur cannot be told apart, so they are left as they are."""
SOFTNESS = 0.12
"""Pixels, the blur of photographs that pass for sharp. It stays: too wide a filter does more harm than too narrow a one. On 12 photographs,
whole and at half their size, with a blur of 0.8 to 2, a softness of 0 / 0.12 / 0.25 gained 4.36 / 4.37 / 4.37 dB in the mean, and 1.59 /
1.68 / 1.96 dB at least with a blur of 1; scenes with much grain lose 0.2 dB by the widest."""
ROUNDING = 0.3 / 255
"""The least noise: that of rounding to 8 bits, as a fraction of the range."""


def estimate(pixels: np.ndarray, valid: np.ndarray | None = None) -> float:
    """The standard deviation of the blur in pixels that is safe to remove; 0 for a sharp picture.

    Args:
        pixels: (H, W, 1|3) float32.
        valid: (H, W) bool, the pixels that hold picture; None for all.
    """
    gray, valid = np.ascontiguousarray(luma(pixels)), within_mat(pixels, valid)
    width = blur_estimation.estimate(gray, noise_of(gray, valid), valid)
    return math.sqrt(width**2 - SOFTNESS**2) if width >= SHARP else 0.0


class Sharpener(NetworkModel):
    """A network against blur, ready to use. It keeps no state between pictures, so threads may share one.

    Wiener's filter comes first. The network removes the noise and the ringing that it leaves in the luminance. The colour differences,
    which the eye sees less sharply, are left to the filter.

    Args:
        network: predicts the correction of a gray picture.
        recipe: the recipe of its weights.
        options: see `InferenceOptions`; by default those of this machine.

    Raises:
        ValueError: the network does not take the blur's width as its condition.
    """

    task = "sharpen"

    @classmethod
    def check(cls, spec: ModelSpec) -> None:
        """Raise ValueError if the network does not take a gray picture and its blur."""
        if spec.conditions != ("blur",) or spec.channels != 1:
            raise ValueError("this network does not take a gray picture and its blur: use weights that `restore train sharpen` made")

    def __call__(self, picture: Picture, blur: float | None = None, strength: float = 1.0) -> Picture:
        """Sharpen a picture.

        Args:
            picture: an array or a tensor; see `array_interface.apply`.
            blur: standard deviation of its blur in pixels; None estimates it.
            strength: fraction of the correction that is applied, 0..1.

        Returns:
            The same kind, type and shape. A picture that is sharp already comes back as it is.

        Raises:
            ValueError: an option is out of range, or the shape or type is not that of a picture.
        """
        number("strength", strength, FRACTION)
        if blur is not None:
            number("blur", blur, {"range": (0, 5)})

        def restore(pixels: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
            width = estimate(pixels, valid) if blur is None else blur
            return self.sharpen(pixels, width, strength, valid=valid)[0] if width > 0 else pixels

        return apply(picture, restore)

    def sharpen(
        self, pixels: np.ndarray, blur: float, strength: float = 1.0, *, valid: np.ndarray | None = None
    ) -> tuple[np.ndarray, float, InferenceInfo]:
        """Sharpen normalized pixels.

        Args:
            pixels: (H, W, 1|3) float32, nominal [0, 1].
            blur: standard deviation of the blur in pixels.
            strength: fraction of the correction that is applied, 0..1.
            valid: (H, W) bool, the pixels that hold picture; None for all.

        Returns:
            (H, W, 1|3) float32, not clipped; the standard deviation of the noise of its luma, of 255; and information about the run.
        """
        given, valid = pixels, within_mat(pixels, valid)
        if valid is not None:  # the edge of a mat is not blurred: beside it the filter would ring
            pixels = filled(pixels, valid)
        gray = np.ascontiguousarray(luma(pixels))
        noise = noise_of(gray, valid)
        inversion = Inversion(gray, deconvolution.wiener(gray, blur, noise), noise)
        restored, info = self.runner.run(inversion.sharper[:, :, None], condition=inversion.condition)
        if pixels.shape[2] == 3:
            restored = restored + sharper_chroma(pixels, blur, noise, valid) @ CHROMA_TO_RGB
        sharper = pixels + np.float32(strength) * (restored - pixels)
        return sharper if valid is None else np.where(valid[:, :, None], sharper, given), 255 * noise, info


def within_mat(pixels: np.ndarray, valid: np.ndarray | None) -> np.ndarray | None:
    """The valid pixels of (H, W, C) without a frame or a mat of one value around them, (H, W) bool; None for all."""
    rows, columns = uniform_borders.inner(uniform_borders.framed(uniform_borders.is_still(pixels)))
    inside = np.zeros(pixels.shape[:2], bool)
    inside[rows, columns] = True
    return valid if inside.all() else inside if valid is None else valid & inside


def sharper_chroma(pixels: np.ndarray, blur: float, noise: float, valid: np.ndarray | None) -> np.ndarray:
    """Cb and Cr after Wiener's filter, (H, W, 2) float32.

    Args:
        pixels: (H, W, 3) float32.
        blur: standard deviation of the blur in pixels.
        noise: standard deviation of the luma's noise; the filter expects at least as much of Cb and Cr.
        valid: (H, W) bool, the pixels that hold picture; None for all.
    """
    planes = [np.ascontiguousarray(plane) for plane in np.moveaxis(chroma(pixels), 2, 0)]
    return np.stack([deconvolution.wiener(plane, blur, max(noise, noise_of(plane, valid)))(plane) for plane in planes], axis=2)


def noise_of(plane: np.ndarray, valid: np.ndarray | None = None) -> float:
    """The standard deviation of a plane's noise, in its units; at least that of rounding.

    Args:
        plane: (H, W) float32, nominal [0, 1].
        valid: (H, W) bool, the pixels that hold picture; None for all.
    """
    least = ROUNDING * min(1.0, float(np.ptp(plane)))
    return max(noise_estimation.estimate(plane[:, :, None], valid).level.sigma() / 255, least)
