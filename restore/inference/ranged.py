"""A picture through a network in the range that the network knows, and the correction back in the picture's own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from restore.images.noise import NoiseLevel
from restore.inference.arrays import eight_bits
from restore.inference.fallbacks import RunInfo
from restore.inference.ranges import NARROW, NARROW_OF_OTHERS, Range, range_of
from restore.inference.tiled import Condition, TiledRunner
from restore.networks.inpainter import HOLE

ROUNDING = 1.0
"""Standard deviation (of 255, in the network's range) below which bf16's rounding is no longer small beside the noise: in flat areas it
leaves 0.33 of a sigma of 1, float32 0.20."""
NO_NOISE = NoiseLevel()


class RangedRunner:
    """Runs pictures of any range through a network.

    Args:
        runner: runs a picture that lies in the network's range.
    """

    def __init__(self, runner: TiledRunner) -> None:
        self.runner, self.spec, self.runtime = runner, runner.spec, runner.engine.runtime

    def run(
        self, picture: np.ndarray, strength: float = 1.0, *, level: NoiseLevel = NO_NOISE,
        confidence: Callable[[Range], float] | None = None, mask: np.ndarray | None = None,
    ) -> tuple[np.ndarray, RunInfo]:  # fmt: skip
        """Run one picture.

        Args:
            picture: (H, W, 1|3) float32, of any range.
            strength: fraction of the correction, 0..1.
            level: the picture's noise, for a network that takes it as a condition.
            confidence: a further factor of the correction, which depends on the range of the picture.
            mask: (H, W) bool, true where the picture is missing, for a network that takes it as a condition.

        Returns:
            (scale H, scale W, 1|3) float32 in the picture's range, not clipped, and how it went.
        """
        span = range_of(picture, level, homogeneous=self.spec.homogeneous, narrow=self._narrow(picture))
        inputs = span.into(picture)
        if mask is not None:
            inputs = np.where(mask[:, :, None], np.float32(HOLE), inputs)
        if confidence is not None:
            strength *= confidence(span)
        condition = self._condition(picture, level, mask, span)
        restored, info = self.runner.run(inputs, condition, strength, self._precision(picture, level, span))
        if self.spec.scale > 1 or span.plain:
            return span.back(restored), info
        # on top of the picture itself, whose precision is finer than that of the network's input
        restored -= inputs
        restored *= np.float32(span.span)
        restored += picture
        return restored, info

    def _narrow(self, picture: np.ndarray) -> float:
        """The range below which a picture is widened to [0, 1].

        Not before a translation, whose result has another range. Not where the picture had 8 bits only, whose steps would become texture.
        """
        if self.spec.homogeneous:
            return NARROW
        return NARROW_OF_OTHERS if self.spec.scale > 1 and not eight_bits(picture) else 0.0

    def _precision(self, picture: np.ndarray, level: NoiseLevel, span: Range) -> str:
        """The precision to work in: float32 where the noise, in the network's range, would drown in the eight bits of bf16.

        A picture that was stored with 8 bits has lost as much itself, and is not worth the time.
        """
        sigma = level.sigma() / span.span
        drowns = self.runtime.precision == "bf16" and self.spec.takes_noise and 0 < sigma < ROUNDING
        return "fp32" if drowns and not eight_bits(picture) else self.runtime.precision

    def _condition(self, picture: np.ndarray, level: NoiseLevel, mask: np.ndarray | None, span: Range) -> Condition | None:
        """The network's condition, made region by region: a whole map would cost a large picture's memory."""
        if mask is not None:
            return lambda rows, columns: mask[rows, columns, None].astype(np.float32)
        if not self.spec.takes_noise:
            return None
        return lambda rows, columns: level.map(picture[rows, columns]) / np.float32(span.span)
