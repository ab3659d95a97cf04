"""Numbers of small networks and regressions that ship as JSON beside the weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

import numpy as np
from scipy.special import expit


@dataclass(frozen=True)
class Perceptron:
    """Three layers: third . silu(second silu(first (features - mean) / deviation + bias) + bias) + offset, silu(x) = x sigmoid(x).

    Attributes:
        mean, deviation: (F,) float64 of the features.
        first: (H, F) float64; first_bias: (H,).
        second: (H, H) float64; second_bias: (H,).
        third: (H,) float64; offset: a number.
    """

    mean: np.ndarray
    deviation: np.ndarray
    first: np.ndarray
    first_bias: np.ndarray
    second: np.ndarray
    second_bias: np.ndarray
    third: np.ndarray
    offset: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(..., F) -> (...)."""
        hidden = _silu((features - self.mean) / self.deviation @ self.first.T + self.first_bias)
        return np.asarray(_silu(hidden @ self.second.T + self.second_bias) @ self.third + self.offset)


def perceptron(table: str, name: str) -> Perceptron:
    """The one that a shipped table, such as "radiograph.json", holds under a name."""
    arrays, offset = load(table, name)
    return Perceptron(**arrays, offset=offset)


def load(table: str, name: str) -> tuple[dict[str, np.ndarray], float]:
    """The arrays, float64, and the offset that a shipped table holds under a name."""
    stored = json.loads(resources.files("restore.shipped").joinpath(table).read_text("utf-8"))[name]
    return {key: np.asarray(value, np.float64) for key, value in stored.items() if key != "offset"}, float(stored["offset"])


def _silu(values: np.ndarray) -> np.ndarray:
    return np.asarray(values * expit(values))
