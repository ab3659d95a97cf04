"""`Translator`: translates arrays between domains with a network trained by pix2pix or CycleGAN."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from restore.inference import fitted_size
from restore.inference.array_interface import FRACTION, Picture, apply
from restore.inference.loading import InferenceOptions, load_network
from restore.inference.network_model import NetworkModel
from restore.inference.tile_faults import InferenceInfo
from restore.limits import number
from restore.weights_file import Recipe

FITTED, FULL = "fitted", "full"
"""Sizes of the picture that the network sees, besides a number of pixels."""


class Translator(NetworkModel):
    """A translation network ready to use. It keeps no state between pictures, so threads may share one.

    Args:
        network: predicts the correction that translates a picture.
        recipe: the recipe of its weights.
        options: see `InferenceOptions`; by default those of this machine.
    """

    task = "translate"

    @classmethod
    def load(cls, name: str | Path, options: InferenceOptions | None = None, *, direction: str | None = None) -> Self:
        """A translator with the weights called `name` (a name, a file or a run's folder).

        Args:
            direction: `forward` or `backward`, for weights that hold both; the first by default.

        Raises:
            ValueError: the weights or the direction do not exist, or the weights are for another task.
        """
        return cls(*load_network(name, "translate", direction), options)

    def __call__(self, picture: Picture, strength: float = 1.0, size: int | str = FITTED) -> Picture:
        """Translate a picture.

        Args:
            picture: an array or a tensor; see `array_interface.apply`.
            strength: from the picture (0) to its translation (1).
            size: see `side_for`.

        Returns:
            The same kind, type and shape.

        Raises:
            ValueError: an option is out of range, or the shape or type is not that of a picture, or there is no such size.
        """
        number("strength", strength, FRACTION)
        return apply(picture, lambda pixels, valid: self.translate(pixels, strength, size)[0])

    def translate(self, pixels: np.ndarray, strength: float = 1.0, size: int | str = FITTED) -> tuple[np.ndarray, InferenceInfo]:
        """Translate normalized pixels.

        Args:
            pixels: (H, W, 1|3) float32, nominal [0, 1].
            strength: from the picture (0) to its translation (1).
            size: see `side_for`.

        Returns:
            (H, W, 1|3) float32, not clipped; and information about the run.

        Raises:
            ValueError: there is no such size.
        """
        side = self.side_for(pixels.shape, size)
        if side == min(pixels.shape[:2]) or not strength:
            return self.runner.run(pixels, strength)
        small, info = self.runner.run(fitted_size.reduced(pixels, side))
        translated = fitted_size.enlarged(small, pixels)
        if strength != 1:
            translated = pixels + np.float32(strength) * (translated - pixels)
        return translated, info

    def side_for(self, shape: tuple[int, ...], size: int | str) -> int:
        """The shorter side, in pixels, of what the network sees of a picture.

        Args:
            shape: (H, W, ...) of the picture.
            size: `full`: the picture as it is. `fitted`: a picture larger than those that the network learnt from is reduced to the size
                of the smallest of them; weights that do not tell it see the picture as it is. A number of pixels: that side, unless the
                picture is smaller.

        Raises:
            ValueError: it is none of these.
        """
        own = min(shape[:2])
        if size == FULL:
            return own
        if size == FITTED:
            smallest, largest = trained_sides(self.recipe) or (own, own)
            return smallest if own > largest else own
        if isinstance(size, str) or size < 1:
            raise ValueError(f"size must be {FITTED}, {FULL} or a number of pixels, not {size!r}")
        return min(own, size)


def trained_sides(recipe: Recipe) -> tuple[int, int] | None:
    """The range of the shorter side, in pixels, that the pictures of a translation's training were reduced to; None if unknown."""
    smallest, largest = recipe.get("training", {}).get("data", {}).get("sides", (0, 0))
    return (smallest, largest) if smallest else None
