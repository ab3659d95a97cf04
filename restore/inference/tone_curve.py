"""Monotone curves of brightness, from a sample of a picture's values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 64
"""Bins of the histogram that an equalising curve comes from."""
STEEPEST = 2.0
"""Limit of an equalising curve's slope."""
FLATTEST = 0.5
"""Lower limit of its slope."""


@dataclass(frozen=True)
class ToneCurve:
    """A curve of straight pieces, which goes on straight beyond its ends.

    Attributes:
        inputs: (N,) rising.
        outputs: (N,) rising.
    """

    inputs: np.ndarray
    outputs: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Map float32 values of any shape."""
        inputs, outputs = self.inputs, self.outputs
        result = np.interp(values, inputs, outputs)
        for at, side in ((0, values < inputs[0]), (-1, values > inputs[-1])):
            if side.any():
                next_to = 1 if at == 0 else -2
                slope = (outputs[at] - outputs[next_to]) / (inputs[at] - inputs[next_to])
                result[side] = outputs[at] + slope * (values[side] - inputs[at])
        return np.asarray(result, np.float32)


def equalising(sample: np.ndarray, low: float, high: float, strength: float) -> ToneCurve:
    """A curve on [low, high] that gives frequent values more room, as contrast-limited histogram equalisation does.

    Pizer et al. 1987, "Adaptive histogram equalization and its variations": the histogram is clipped, which limits the slope.

    Args:
        sample: values of the picture.
        low, high: the ends of the curve, which stay; low < high.
        strength: 0 gives the identity, 1 slopes within FLATTEST and STEEPEST.
    """
    counts, edges = np.histogram(sample, BINS, (low, high))
    slopes = _clipped(counts * (BINS / max(1, int(counts.sum()))))
    outputs = low + (high - low) * np.concatenate([[0.0], np.cumsum(slopes ** min(strength, 2.0))])
    span = outputs[-1] - outputs[0]
    return ToneCurve(edges, low + (outputs - low) * ((high - low) / span))


def _clipped(slopes: np.ndarray) -> np.ndarray:
    """Slopes of mean 1 within FLATTEST and STEEPEST: what is cut off is spread over the others (bisection of a common offset)."""
    below, above = -STEEPEST, STEEPEST
    for _ in range(40):
        offset = (below + above) / 2
        if np.clip(slopes + offset, FLATTEST, STEEPEST).mean() > 1:
            above = offset
        else:
            below = offset
    return np.asarray(np.clip(slopes + below, FLATTEST, STEEPEST))
