"""`Translator`: translates arrays from one domain to another, as pix2pix or CycleGAN learned it."""

from __future__ import annotations

from pathlib import Path
from typing import Self, Unpack

import numpy as np

from restore.inference.calling import Picture, called
from restore.inference.fallbacks import RunInfo
from restore.inference.loading import Recipe, RunOptions, network_of, runner_of
from restore.networks.spec import RestorationNetwork


class Translator:
    """A translation network ready to use. It holds no state of a picture, so threads may share one.

    Args:
        network: predicts the correction that translates a picture.
        recipe: the recipe of its weights.
        options: see `RunOptions`.
    """

    def __init__(self, network: RestorationNetwork, recipe: Recipe | None = None, **options: Unpack[RunOptions]) -> None:
        self.recipe: Recipe = recipe or {}
        self.runner = runner_of(network, options)
        self.spec, self.runtime = self.runner.spec, self.runner.runtime

    @classmethod
    def load(cls, name: str | Path, *, direction: str | None = None, **options: Unpack[RunOptions]) -> Self:
        """A translator with the weights called `name` (a name, a file or a run's folder).

        Args:
            direction: `forward` or `backward`, for weights that hold both; the first by default.

        Raises:
            ValueError: no such weights or direction, or weights for another task.
        """
        return cls(*network_of(name, "translate", direction), **options)

    def __call__(self, picture: Picture, strength: float = 1.0) -> Picture:
        """Translate a picture.

        Args:
            picture: an array or a tensor; see `called`.
            strength: from the picture (0) to its translation (1).

        Returns:
            The same kind, type and shape.

        Raises:
            ValueError: a shape or type that is no picture.
        """
        return called(picture, lambda pixels, valid: self.translate(pixels, strength)[0])

    def translate(self, pixels: np.ndarray, strength: float = 1.0) -> tuple[np.ndarray, RunInfo]:
        """Translate normalized pixels, (H, W, 1|3) float32 in nominal [0, 1] -> the same, not clipped, and how it went."""
        return self.runner.run(pixels, strength)
