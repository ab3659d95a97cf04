"""`Translator`: translates arrays between domains with a network trained by pix2pix or CycleGAN."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from restore.inference.array_interface import Picture, apply
from restore.inference.loading import InferenceOptions, load_network
from restore.inference.network_model import NetworkModel
from restore.inference.tile_faults import InferenceInfo


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

    def __call__(self, picture: Picture, strength: float = 1.0) -> Picture:
        """Translate a picture.

        Args:
            picture: an array or a tensor; see `array_interface.apply`.
            strength: from the picture (0) to its translation (1).

        Returns:
            The same kind, type and shape.

        Raises:
            ValueError: the shape or type is not that of a picture.
        """
        return apply(picture, lambda pixels, valid: self.translate(pixels, strength)[0])

    def translate(self, pixels: np.ndarray, strength: float = 1.0) -> tuple[np.ndarray, InferenceInfo]:
        """Translate normalized pixels.

        Args:
            pixels: (H, W, 1|3) float32, nominal [0, 1].
            strength: from the picture (0) to its translation (1).

        Returns:
            (H, W, 1|3) float32, not clipped; and information about the run.
        """
        return self.runner.run(pixels, strength)
