"""Runs a picture through a network in the network's range, and applies the correction in the picture's own range."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from restore.images.noise_model import NoiseLevel
from restore.inference.arrays import is_eight_bit
from restore.inference.ranges import NARROW, NARROW_INHOMOGENEOUS, Range, range_of
from restore.inference.tile_faults import InferenceInfo
from restore.inference.tiled_runner import Condition, TiledRunner
from restore.networks.inpainter import HOLE

ROUNDING = 1.0
"""Sigma (of 255, in the network's range) below which bf16's rounding matters: of a sigma of 1 in flat areas bf16 leaves 0.33, float32
0.20."""
NO_NOISE = NoiseLevel()


class NormalizingRunner:
    """Runs pictures of any range through a network.

    Args:
        runner: runs a picture in the network's range.
    """

    def __init__(self, runner: TiledRunner) -> None:
        self.runner, self.spec, self.runtime, self.transforms = runner, runner.spec, runner.engine.runtime, runner.transforms

    def run(
        self, picture: np.ndarray, strength: float = 1.0, *, level: NoiseLevel = NO_NOISE,
        confidence: Callable[[Range], float] | None = None, mask: np.ndarray | None = None, condition: Condition | None = None,
    ) -> tuple[np.ndarray, InferenceInfo]:  # fmt: skip
        """Run one picture.

        Args:
            picture: (H, W, 1|3) float32, of any range.
            strength: fraction of the correction, 0..1.
            level: the picture's noise, for a network that takes it as a condition.
            confidence: an additional factor of the correction; it depends on the picture's range.
            mask: (H, W) bool, true where the picture is missing, for a network that takes it as a condition.
            condition: for a network that takes another one. A homogeneous network's is in units of the picture.

        Returns:
            (scale H, scale W, 1|3) float32 in the picture's range, not clipped; and information about the run.
        """
        span = self.range_of(picture, level)
        inputs = span.normalize(picture)
        if mask is not None:
            inputs = np.where(mask[:, :, None], np.float32(HOLE), inputs)
        if confidence is not None:
            strength *= confidence(span)
        condition = self._scaled(condition, span) if condition else self._condition(picture, level, mask, span)
        restored, info = self.runner.run(inputs, condition, strength, self._precision(picture, level, span))
        if self.spec.scale > 1 or span.plain:
            return span.denormalize(restored), info
        # add the correction to the picture itself, which is more precise than the network's input
        restored -= inputs
        restored *= np.float32(span.span)
        restored += picture
        return restored, info

    def range_of(self, picture: np.ndarray, level: NoiseLevel = NO_NOISE) -> Range:
        """The range in which the network sees a picture; see `run`."""
        return range_of(picture, level, homogeneous=self.spec.homogeneous, narrow=self._narrow(picture))

    def _narrow(self, picture: np.ndarray) -> float:
        """The width of a range below which it is stretched to [0, 1].

        It is 0 for a translation, whose result has another range, and for 8-bit pictures, whose steps would become texture.
        """
        if self.spec.homogeneous:
            return NARROW
        return NARROW_INHOMOGENEOUS if self.spec.scale > 1 and not is_eight_bit(picture) else 0.0

    def _precision(self, picture: np.ndarray, level: NoiseLevel, span: Range) -> str:
        """The precision to run in: float32 where bf16 would round the noise away.

        8-bit pictures have lost as much precision already, so they stay in bf16.
        """
        sigma = level.sigma() / span.span
        bf16_too_coarse = self.runtime.precision == "bf16" and self.spec.takes_noise and 0 < sigma < ROUNDING
        return "fp32" if bf16_too_coarse and not is_eight_bit(picture) else self.runtime.precision

    def _scaled(self, condition: Condition, span: Range) -> Condition:
        """A condition in the network's range."""
        if span.plain or not self.spec.homogeneous:
            return condition
        return lambda rows, columns: condition(rows, columns) / np.float32(span.span)

    def _condition(self, picture: np.ndarray, level: NoiseLevel, mask: np.ndarray | None, span: Range) -> Condition | None:
        """The network's condition, computed for each region: a map of the whole picture would take as much memory as the picture."""
        if mask is not None:
            return lambda rows, columns: mask[rows, columns, None].astype(np.float32)
        if not self.spec.takes_noise:
            return None
        return lambda rows, columns: level.map(picture[rows, columns]) / np.float32(span.span)
