"""Files of several frames that look alike, such as films: their frames share what was estimated, so that the results do not flicker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from restore.images.luma import luma
from restore.pipeline.step import AnyStep, Image

AnalysisT = TypeVar("AnalysisT")

SAMPLES = 5
"""Frames, spread over the file, whose analyses count."""
SIDE = 32
"""Side in pixels of the thumbnails that are compared."""
ALIKE = 0.8
"""Correlation of two thumbnails from which on frames look alike."""


@dataclass(frozen=True)
class Stack:
    """What is known of a file's frames together.

    Attributes:
        analyses: the step's analyses of some frames; none for a file of one frame, or of frames that do not look alike.
        thumbnail: of the first frame.
        shape: of the first frame's pixels.
    """

    analyses: Sequence[object] = ()
    thumbnail: np.ndarray | None = None
    shape: tuple[int, ...] = ()

    def analyse(self, step: AnyStep, image: Image) -> object:
        """The step's analysis of a frame, unified with those of the others if it looks like them."""
        own = step.analyse(image)
        if not self.analyses or not self.holds(image):
            return own
        return step.unified(own, self.analyses, image)

    def holds(self, image: Image) -> bool:
        """Whether a frame has the first one's shape and looks like it."""
        return image.pixels.shape == self.shape and self.thumbnail is not None and _correlation(self.thumbnail, _thumbnail(image)) >= ALIKE


def survey(step: AnyStep, frames: int, image_at: Callable[[int], Image]) -> Stack:
    """Analyse some frames of a file.

    Args:
        step: nothing is looked at if it does not unify.
        frames: number of the file's frames.
        image_at: index -> that frame as the step's input.
    """
    if frames < 2 or not step.unifies:
        return Stack()
    first = image_at(0)
    stack = Stack((step.analyse(first),), _thumbnail(first), first.pixels.shape)
    for index in np.unique(np.linspace(0, frames - 1, min(frames, SAMPLES)).round().astype(int))[1:]:
        image = image_at(int(index))
        if not stack.holds(image):
            return Stack()
        stack = Stack((*stack.analyses, step.analyse(image)), stack.thumbnail, stack.shape)
    return stack


def middle(samples: Sequence[AnalysisT], key: Callable[[AnalysisT], float]) -> AnalysisT:
    """The sample whose key is the median; of two in the middle, the lower one. At least one sample."""
    return sorted(samples, key=key)[(len(samples) - 1) // 2]


def _thumbnail(image: Image) -> np.ndarray:
    gray = np.nan_to_num(luma(image.pixels), posinf=0, neginf=0)
    return np.asarray(cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float64)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Of two thumbnails; 0 where one of them is even."""
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / norm if norm > 0 else 0.0
