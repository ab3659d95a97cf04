"""Finding scratches, cracks, dust and losses in old photographs: by a network that was taught on clean ones made old and worn.

The network (`restore train scratches`, `restore.datasets.defects`) tells each pixel's chance of being a mark; a pixel of some chance counts
where it belongs to one of a high chance (hysteresis, Canny 1986).
"""

from __future__ import annotations

import cv2
import numpy as np

from restore.inference.restorer import Restorer

STRONG, WEAK = (0.98, 0.5), 0.5
"""The chance that makes a mark at a sensitivity of 0 and of 1, and the share of it that belongs to one."""
LARGE = 1000
"""Pixels on the shorter side of a picture that is looked at in half its size too: its marks may be wider than any the network was shown."""
LEAST = 4
"""Pixels of the smallest mark."""
SENSITIVITY = 0.35
"""Unless told: at 0.5 a collar's edge and the shine of hair are taken for marks, at less cracks are missed."""


class Finder:
    """Finds marks. It holds no picture, so threads may share one.

    Args:
        restorer: of a network that translates a gray picture into the chance of a mark.
    """

    def __init__(self, restorer: Restorer) -> None:
        self.restorer = restorer

    def __call__(self, shown: np.ndarray, sensitivity: float = SENSITIVITY) -> np.ndarray:
        """Where scratches and dust are.

        Args:
            shown: (H, W, 1|3) float32, nominal [0, 1].
            sensitivity: 0..1; higher finds more, and more that is none.

        Returns:
            (H, W) bool.
        """
        gray = np.clip(shown.mean(2, keepdims=True), 0, 1).astype(np.float32)
        size = gray.shape[1], gray.shape[0]
        found = self._marks(gray, sensitivity)
        while min(gray.shape[:2]) > LARGE:
            smaller = gray.shape[1] // 2, gray.shape[0] // 2
            gray = cv2.resize(gray, smaller, interpolation=cv2.INTER_AREA)[:, :, None]
            coarse = self._marks(gray, sensitivity).astype(np.uint8)
            found |= cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST).astype(bool)
        return found

    def _marks(self, gray: np.ndarray, sensitivity: float) -> np.ndarray:
        chance = self.restorer.restore(gray)[0][:, :, 0]
        strong = STRONG[0] + sensitivity * (STRONG[1] - STRONG[0])
        count, labels, sizes, _ = cv2.connectedComponentsWithStats((chance > WEAK * strong).astype(np.uint8), connectivity=8)
        chosen = np.zeros(count, bool)
        chosen[labels[chance > strong]] = True
        chosen &= sizes[:, cv2.CC_STAT_AREA] >= LEAST
        chosen[0] = False
        return np.asarray(chosen[labels])
