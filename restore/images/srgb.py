"""The curve of sRGB (IEC 61966-2-1)."""

from __future__ import annotations

import numpy as np


def linear(encoded: np.ndarray) -> np.ndarray:
    """Floats of sRGB's code, white at 1 -> linear light of the same type; the curve of negative values is mirrored."""
    size = np.abs(encoded)
    light = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.copysign(light, encoded), encoded.dtype)
