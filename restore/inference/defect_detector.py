"""`DefectDetector`: finds scratches, cracks, dust and losses in old photographs.

The network (`restore train scratches`) was trained on clean photographs with synthetic defects. It predicts the probability of a defect
for each pixel, once of the picture as it is and once transposed: photographs taught it that upright lines are poles, so it finds upright
scratches lying only. A pixel above the low threshold counts if it is connected to one above the high threshold (hysteresis, Canny 1986).
Rows of alike dots are no defects (`dot_rows`).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.inference.array_interface import FRACTION, Picture, arrays_of, checked, finite_pixels
from restore.inference.arrays import to_float
from restore.inference.dot_rows import without_rows
from restore.inference.loading import DEFECT_TASK
from restore.inference.network_model import NetworkModel
from restore.limits import number

STRONG, WEAK = (0.95, 0.2), 0.5
"""The high threshold at sensitivity 0 and at 1; the low threshold as a fraction of the high one."""
LARGE = 1000
"""Pixels on the shorter side above which half the size is searched too: defects may be wider than those in the training."""
MIN_AREA = 4
"""Pixels of the smallest defect."""
AROUND = np.ones((5, 5), np.uint8)
"""Other scales see a row a little larger."""
SENSITIVITY = 0.35
"""The default. Above it, hands and ears count as defects; below it, cracks are missed."""


class DefectDetector(NetworkModel):
    """A network that finds scratches and dust. It keeps no state between pictures, so threads may share one.

    Args:
        network: predicts the probability of a defect from a gray picture.
        recipe: the recipe of its weights.
        options: see `InferenceOptions`; by default those of this machine.
    """

    task = DEFECT_TASK

    def __call__(self, picture: Picture, sensitivity: float = SENSITIVITY) -> Picture:
        """Find the defects of a picture.

        Args:
            picture: an array or a tensor; see `array_interface.apply`.
            sensitivity: see `detect`.

        Returns:
            (H, W) bool, true where there is a defect; for a tensor (B, H, W). Pixels that are not finite are none.

        Raises:
            ValueError: the sensitivity is out of range, or the shape or type is not that of a picture.
        """
        number("sensitivity", sensitivity, FRACTION)
        if isinstance(picture, Tensor):
            return torch.stack([torch.from_numpy(self._defects(array, sensitivity)) for array in arrays_of(picture)]).to(picture.device)
        return self._defects(checked(picture), sensitivity)

    def _defects(self, picture: np.ndarray, sensitivity: float) -> np.ndarray:
        """The defects of (H, W, C) of any type."""
        colours = 1 if picture.shape[2] < 3 else 3
        pixels, valid = finite_pixels(to_float(picture[:, :, :colours]), picture[:, :, -1] if picture.shape[2] > colours else None)
        defects = self.detect(pixels, sensitivity)
        return defects if valid is None else defects & valid

    def detect(self, pixels: np.ndarray, sensitivity: float = SENSITIVITY) -> np.ndarray:
        """Find the defects of normalized pixels.

        Args:
            pixels: (H, W, 1|3) float32, nominal [0, 1].
            sensitivity: 0..1; higher finds more defects and more false ones.

        Returns:
            (H, W) bool, true where there is a defect.
        """
        gray = np.clip(pixels.mean(2, keepdims=True), 0, 1).astype(np.float32)
        size = gray.shape[1], gray.shape[0]
        defects, rows = self._detect(gray, sensitivity)
        while min(gray.shape[:2]) > LARGE:
            smaller = gray.shape[1] // 2, gray.shape[0] // 2
            gray = cv2.resize(gray, smaller, interpolation=cv2.INTER_AREA)[:, :, None]
            coarse = self._detect(gray, sensitivity)
            more, others = (cv2.resize(one.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool) for one in coarse)
            defects |= more
            rows |= others
        return np.asarray(defects & ~rows)

    def _probability(self, gray: np.ndarray) -> np.ndarray:
        """(H, W, 1) -> (H, W)."""
        return np.asarray(self.runner.run(gray)[0][:, :, 0])

    def _detect(self, gray: np.ndarray, sensitivity: float) -> tuple[np.ndarray, np.ndarray]:
        """The defects of (H, W, 1), and where rows of dots are that look like some, both (H, W) bool."""
        probability = np.maximum(self._probability(gray), self._probability(np.ascontiguousarray(gray.transpose(1, 0, 2))).T)
        strong = STRONG[0] + sensitivity * (STRONG[1] - STRONG[0])
        count, labels, sizes, _ = cv2.connectedComponentsWithStats((probability > WEAK * strong).astype(np.uint8), connectivity=8)
        chosen = np.zeros(count, bool)
        chosen[labels[probability > strong]] = True
        chosen &= sizes[:, cv2.CC_STAT_AREA] >= MIN_AREA
        chosen[0] = False
        defects = np.asarray(chosen[labels])
        rows = defects & ~without_rows(gray[:, :, 0], defects)
        return defects, cv2.dilate(rows.astype(np.uint8), AROUND).astype(bool)
