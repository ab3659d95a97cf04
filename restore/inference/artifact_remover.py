"""`ArtifactRemover`: removes the artefacts of JPEG compression from arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from restore.images.quantisation import Quantisation
from restore.inference import compression_traces, quantisation_constraint, radiograph
from restore.inference.array_interface import FRACTION, Picture, apply
from restore.inference.network_model import NetworkModel
from restore.inference.self_ensemble import Transform, undo_transform
from restore.inference.tile_faults import InferenceInfo
from restore.limits import number
from restore.networks.spec import ModelSpec


class ArtifactRemover(NetworkModel):
    """A network against JPEG artefacts, ready to use. It keeps no state between pictures, so threads may share one.

    Args:
        network: predicts the correction of a picture.
        recipe: the recipe of its weights.
        options: see `InferenceOptions`; by default those of this machine.

    Raises:
        ValueError: the network does not take the quantisation as its condition.
    """

    task = "artifacts"

    @classmethod
    def check(cls, spec: ModelSpec) -> None:
        """Raise ValueError if the network does not take the quantisation as its condition."""
        if spec.conditions != ("quantisation",):
            raise ValueError("this network does not take the quantisation of a JPEG: use weights that `restore train artifacts` made")

    def __call__(self, picture: Picture, quality: int | None = None, strength: float = 1.0) -> Picture:
        """Remove the artefacts of a decoded JPEG.

        Args:
            picture: an array or a tensor; see `array_interface.apply`.
            quality: of the JPEG whose blocks begin at the picture's corner, 1..100; None finds the blocks and the quality in the pixels.
            strength: fraction of the correction that is applied, 0..1.

        Returns:
            The same kind, type and shape. Without traces of compression, the picture itself.

        Raises:
            ValueError: an option is out of range, or the shape or type is not that of a picture.
        """
        number("strength", strength, FRACTION)
        if quality is not None:
            number("quality", quality, {"range": (1, 100)})

        def restore(pixels: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
            found = compression_traces.find(pixels) if quality is None else Quantisation.of_quality(quality)
            return pixels if found is None else self.remove(pixels, found, strength)[0]

        return apply(picture, restore)

    def remove(self, pixels: np.ndarray, quantisation: Quantisation, strength: float = 1.0) -> tuple[np.ndarray, InferenceInfo]:
        """Remove the artefacts from normalized pixels.

        Args:
            pixels: (H, W, 1|3) float32, nominal [0, 1]. Three equal channels run as one.
            quantisation: of its luma.
            strength: fraction of the correction that is applied, 0..1.

        Returns:
            (H, W, 1|3) float32, not clipped; and information about the run.
        """
        gray = pixels.shape[2] == 3 and radiograph.is_gray(pixels)
        inputs = pixels[:, :, :1] if gray else pixels
        restored, info = self.runner.run(inputs, condition=partial(conditions, quantisation, self.runner.transforms))
        quantisation_constraint.constrain(inputs, restored, quantisation)
        if strength != 1:
            restored = inputs + np.float32(strength) * (restored - inputs)
        return np.repeat(restored, 3, axis=2) if gray else restored, info


def conditions(quantisation: Quantisation, transforms: Sequence[Transform], rows: slice, columns: slice) -> np.ndarray:
    """The network's condition for each transform of a self-ensemble, in the place of the untransformed pixels: (h, w, N) float32.

    A rotated or flipped picture is one whose blocks were coded as they lie there. By a quarter turn the vertical and the horizontal
    frequencies of the table change places; the order of its steps within a block is that of the transformed picture.
    """
    maps = []
    for turns, flipped in transforms:
        steps = torch.from_numpy(np.ascontiguousarray(quantisation.steps.T if turns % 2 else quantisation.steps))
        block = undo_transform(steps[None, None], (turns, flipped))[0, 0].numpy()
        maps.append(Quantisation(block, quantisation.top, quantisation.left).condition(rows, columns))
    return np.concatenate(maps, axis=2)
