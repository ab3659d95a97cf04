"""`Sharpener`: removes the blur of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from restore.images import deconvolution
from restore.images.luma import luma
from restore.inference import blur_estimation
from restore.inference.array_interface import Picture, apply
from restore.inference.loading import InferenceOptions, load_network, make_runner
from restore.inference.tile_faults import InferenceInfo
from restore.networks.spec import BLUR_UNIT, RestorationNetwork
from restore.weights_file import Recipe

SHARP = 0.7
"""Pixels; sharp photographs and those with less blur cannot be told apart, so they are left as they are."""


def estimate(pixels: np.ndarray, valid: np.ndarray | None = None) -> float:
    """The standard deviation of a picture's blur in pixels; 0 for a sharp one.

    Args:
        pixels: (H, W, 1|3) float32.
        valid: (H, W) bool, the pixels that hold picture; None for all.
    """
    width = blur_estimation.estimate(luma(pixels), valid)
    return width if width >= SHARP else 0.0


class Sharpener:
    """A network against blur, ready to use. It keeps no state between pictures, so threads may share one.

    It sharpens the luminance: blurred colour differences alone leave a picture at 42 dB or more. Wiener's filter comes first, and the
    network removes the noise and the ringing that it leaves.

    Args:
        network: predicts the correction of a gray picture.
        recipe: the recipe of its weights.
        options: see `InferenceOptions`; by default those of this machine.

    Raises:
        ValueError: the network does not take the blur's width as its condition.
    """

    def __init__(self, network: RestorationNetwork, recipe: Recipe | None = None, options: InferenceOptions | None = None) -> None:
        if network.spec.conditions != ("blur",) or network.spec.channels != 1:
            raise ValueError("this network does not take a gray picture and its blur: use weights that `restore train sharpen` made")
        self.recipe: Recipe = recipe or {}
        self.runner = make_runner(network, options)
        self.spec, self.runtime = self.runner.spec, self.runner.runtime

    @classmethod
    def load(cls, name: str | Path, options: InferenceOptions | None = None) -> Self:
        """A sharpener with the weights called `name` (a name, a file or a run's folder).

        Raises:
            ValueError: the weights do not exist or are for another task.
        """
        return cls(*load_network(name, "sharpen"), options)

    def __call__(self, picture: Picture, blur: float | None = None, strength: float = 1.0) -> Picture:
        """Sharpen a picture.

        Args:
            picture: an array or a tensor; see `array_interface.apply`.
            blur: standard deviation of its blur in pixels; None estimates it.
            strength: fraction of the correction that is applied, 0..1.

        Returns:
            The same kind, type and shape. A picture that is sharp already comes back as it is.

        Raises:
            ValueError: the shape or type is not that of a picture.
        """

        def restore(pixels: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
            width = estimate(pixels, valid) if blur is None else blur
            return self.sharpen(pixels, width, strength)[0] if width > 0 else pixels

        return apply(picture, restore)

    def sharpen(self, pixels: np.ndarray, blur: float, strength: float = 1.0) -> tuple[np.ndarray, InferenceInfo]:
        """Sharpen normalized pixels.

        Args:
            pixels: (H, W, 1|3) float32, nominal [0, 1].
            blur: standard deviation of the blur in pixels.
            strength: fraction of the correction that is applied, 0..1.

        Returns:
            (H, W, 1|3) float32, not clipped; and information about the run.
        """
        gray, width = np.ascontiguousarray(luma(pixels)), np.float32(blur / BLUR_UNIT)

        def condition(rows: slice, columns: slice) -> np.ndarray:
            return np.full((rows.stop - rows.start, columns.stop - columns.start, 1), width)

        deblurred = deconvolution.wiener(gray, blur)[:, :, None]
        restored, info = self.runner.run(deblurred, condition=condition)
        return pixels + np.float32(strength) * (restored - gray[:, :, None]), info
