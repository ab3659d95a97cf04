"""`Upscaler`: upscales arrays by its network's scale or by any smaller one."""

from __future__ import annotations

import numpy as np
import torch

from restore.inference import radiograph
from restore.inference.array_interface import FRACTION, Picture, apply
from restore.inference.back_projection import back_project
from restore.inference.network_model import NetworkModel
from restore.inference.tile_faults import InferenceInfo
from restore.limits import number
from restore.networks.resample import resized


class Upscaler(NetworkModel):
    """A super-resolution network ready to use. It keeps no state between pictures, so threads may share one.

    Args:
        network: predicts the correction of the picture upscaled by the cubic kernel.
        recipe: the recipe of its weights.
        options: see `InferenceOptions`; by default those of this machine.
    """

    task = "upscale"

    @property
    def scale(self) -> int:
        """How many times higher and wider than the picture the network's result is."""
        return self.spec.scale

    def __call__(self, picture: Picture, strength: float = 1.0) -> Picture:
        """Upscale a picture `scale` times.

        Args:
            picture: an array or a tensor; see `array_interface.apply`.
            strength: from the cubic kernel's picture (0) to the network's (1).

        Returns:
            The same kind and type, `scale` times as high and wide.

        Raises:
            ValueError: an option is out of range, or the shape or type is not that of a picture.
        """
        number("strength", strength, FRACTION)
        return apply(picture, lambda pixels, valid: self.runner.run(pixels, strength)[0], self.scale)

    def upscale(
        self, pixels: np.ndarray, scale: float | None = None, strength: float = 1.0, *, project: bool = False
    ) -> tuple[np.ndarray, InferenceInfo]:
        """Upscale normalized pixels.

        Args:
            pixels: (H, W, 1|3) float32, nominal [0, 1]. Three equal channels run as one.
            scale: factor, at most the network's; None for the network's. For a smaller factor the network's result is downscaled.
            strength: from the cubic kernel's picture (0) to the network's (1).
            project: correct the result once by back-projection; see `back_projection`.

        Returns:
            (scale H, scale W, 1|3) float32, not clipped; and information about the run.
        """
        gray = pixels.shape[2] == 3 and radiograph.is_gray(pixels)
        picture = pixels[:, :, :1] if gray else pixels
        restored, info = self.runner.run(picture, strength)
        if project:
            restored = back_project(picture, restored, self.scale, strength)
        if scale is not None and scale != self.scale:
            height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
            planes = torch.from_numpy(restored.transpose(2, 0, 1)[None])
            restored = np.ascontiguousarray(resized(planes, height, width)[0].numpy().transpose(1, 2, 0))
        return np.repeat(restored, 3, axis=2) if gray else restored, info
