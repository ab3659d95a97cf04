"""A frame between the stages of `process`: decoded, analysed, restored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restore.images import Frame
from restore.pipeline.step import Image


@dataclass(frozen=True)
class DecodedFrame(Frame):
    """A frame that keeps its normalized pixels, so they are computed only once, in the decoding thread."""

    image: Image

    def normalized(self) -> np.ndarray:
        """Float32 (H, W, 1|3), the same array at each call."""
        return self.image.pixels

    def _normalized(self, rows: slice) -> np.ndarray:
        return self.image.pixels[rows]


@dataclass(frozen=True)
class AnalysedFrame:
    """A decoded frame with the step's analysis of it."""

    frame: DecodedFrame
    analysis: object


@dataclass(frozen=True)
class RestoredFrame:
    """A restored frame: the decoded frame, its new pixels (H, W, 1|3, plus one channel if alpha changes), and see `Result.made`."""

    frame: Frame
    pixels: np.ndarray
    made: np.ndarray | None = None
