"""A step restores one picture at a time, as arrays. A chain of steps is a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2
import numpy as np

from restore import images
from restore.images import Frame, Picture
from restore.pipeline.discovery import Job

Analysis = TypeVar("Analysis")


@dataclass(frozen=True)
class ImageInfo:
    """Where an image comes from.

    Attributes:
        path: the file, or a name for an array.
        relative: its path below the input folder that it was found in.
        index: its frame, from 0.
        frames: how many frames the file has.
        size: (height, width) of the frame as it was decoded; a step before may have upscaled it.
        radiograph: whether the file says that X-rays projected it; None where it does not say.
    """

    path: Path = Path("image")
    relative: Path = Path("image")
    index: int = 0
    frames: int = 1
    size: tuple[int, int] | None = None
    radiograph: bool | None = None


@dataclass(frozen=True)
class Image:
    """What a step works on.

    Attributes:
        pixels: (H, W, 1|3) float32; black is 0 and white is 1, what lies beyond is not clipped.
        alpha: (H, W) opacity of any scale, or None.
        valid: (H, W) bool, true where the samples are a picture; None where all of them are.
        info: where it comes from.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    valid: np.ndarray | None = None
    info: ImageInfo = ImageInfo()


@dataclass(frozen=True)
class Result:
    """What a step returns.

    Attributes:
        pixels: (scale H, scale W, 1|3) float32, not clipped.
        stats: numbers and words for the report.
        warnings: what the user should know though it is done, one sentence each.
        opaque: (H, W) bool, where alpha becomes opaque; None for nowhere.
        mask: (H, W) bool, the mask that was used, for those who save it.
    """

    pixels: np.ndarray
    stats: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    opaque: np.ndarray | None = None
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class Sidecar:
    """A file that decides a result besides the picture, such as its mask. It is opened when it is asked for."""

    path: Path

    @cached_property
    def picture(self) -> Picture:
        """The file's header and frames.

        Raises:
            ImageError: it cannot be read.
        """
        return images.read(self.path)


Sidecars = Mapping[Path, Sidecar]


class Step(ABC, Generic[Analysis]):
    """One thing that is done to pictures. It holds no state of a picture and can be pickled.

    Attributes:
        name: of the task.
        scale: how many times as high and wide the result is.
    """

    name: str
    scale: float = 1.0

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """All that decides the result besides the picture and its sidecars: options, the weights' hash. JSON-able; loads no network."""

    def sidecars(self, source: Path, relative: Path) -> Sequence[Path]:
        """The files that decide the result besides the picture.

        Args:
            source: the picture's file.
            relative: its path below the input folder.

        Raises:
            ValueError: one that is needed is not there.
        """
        return ()

    def analyse(self, image: Image) -> Analysis | None:
        """What can be measured before the network runs. It is called in the thread that decodes, and must not use torch.

        Torch's threads wait less eagerly for each other once a second thread has used some.
        """
        return None

    @abstractmethod
    def __call__(self, image: Image, analysis: Analysis | None = None, sidecars: Sidecars | None = None) -> Result:
        """Restore an image.

        Args:
            analysis: what `analyse` returned for it; None has the step analyse it now.
            sidecars: by path, those that `sidecars` named.
        """

    def plan(self, jobs: Sequence[Job]) -> None:
        """Learn which pictures a run has, before the first of them."""

    def save_masks(self, job: Job, frames: int, masks: Sequence[np.ndarray | None]) -> None:
        """Take the masks of a picture whose frames are all restored, for steps that write them."""

    def remarks(self) -> list[str]:
        """What the user should know of a run, asked once after the last picture."""
        return []

    def unwritten(self) -> list[str]:
        """What the step could not write besides the results, one line each; asked once after the last picture."""
        return []


def image_of(frame: Frame, picture: Picture, index: int, relative: Path) -> Image:
    """A decoded frame as a step takes it."""
    pixels = frame.normalized()
    info = ImageInfo(picture.path, relative, index, picture.frames, (pixels.shape[0], pixels.shape[1]), picture.radiograph)
    return Image(pixels, frame.alpha, frame.valid(), info)


class Chain(Step[Any]):
    """Steps one after the other on one decoded picture, in float32 between them.

    Args:
        steps: at least one. A mask of the picture's own size is enlarged for a step behind an upscaling one.

    Raises:
        ValueError: no step.
    """

    def __init__(self, steps: Sequence[Step[Any]]) -> None:
        if not steps:
            raise ValueError("a pipeline needs at least one step")
        self.steps = tuple(steps)
        self.name = "+".join(step.name for step in self.steps)
        self.scale = float(np.prod([step.scale for step in self.steps]))

    def settings(self) -> dict[str, Any]:
        """See `Step.settings`."""
        return {"steps": [{"task": step.name, **step.settings()} for step in self.steps]}

    def sidecars(self, source: Path, relative: Path) -> Sequence[Path]:
        """Those of all steps."""
        return [path for step in self.steps for path in step.sidecars(source, relative)]

    def analyse(self, image: Image) -> Any:
        """What the first step measures; the others see what it returns."""
        return self.steps[0].analyse(image)

    def __call__(self, image: Image, analysis: Any = None, sidecars: Sidecars | None = None) -> Result:
        """See `Step.__call__`. The stats of each step are under its name."""
        stats: dict[str, Any] = {}
        warnings: list[str] = []
        opaque = mask = None
        for number, step in enumerate(self.steps):
            result = step(image, analysis if number == 0 else None, sidecars)
            image = _next(image, result)
            height, width = image.pixels.shape[:2]
            opaque = _joined(_resized(opaque, height, width), result.opaque)
            mask = _joined(_resized(mask, height, width), result.mask)
            stats |= {_unused(step.name, stats): dict(result.stats)}
            warnings += result.warnings
        return Result(image.pixels, stats, tuple(dict.fromkeys(warnings)), opaque, mask)

    def plan(self, jobs: Sequence[Job]) -> None:
        """See `Step.plan`."""
        for step in self.steps:
            step.plan(jobs)

    def save_masks(self, job: Job, frames: int, masks: Sequence[np.ndarray | None]) -> None:
        """See `Step.save_masks`."""
        for step in self.steps:
            step.save_masks(job, frames, masks)

    def remarks(self) -> list[str]:
        """See `Step.remarks`."""
        return [text for step in self.steps for text in step.remarks()]

    def unwritten(self) -> list[str]:
        """See `Step.unwritten`."""
        return [text for step in self.steps for text in step.unwritten()]


def _next(image: Image, result: Result) -> Image:
    """What the next step sees: alpha and validity follow the pixels' size."""
    height, width = result.pixels.shape[:2]
    alpha = _resized(image.alpha, height, width)
    if result.opaque is not None and alpha is not None:
        alpha = np.where(result.opaque, alpha.max(), alpha)
    return replace(image, pixels=result.pixels, alpha=alpha, valid=_resized(image.valid, height, width))


def _resized(plane: np.ndarray | None, height: int, width: int) -> np.ndarray | None:
    """(H, W) -> (height, width) by the nearest sample."""
    if plane is None or plane.shape == (height, width):
        return plane
    stored = plane.astype(np.uint8) if plane.dtype == bool else plane
    return cv2.resize(stored, (width, height), interpolation=cv2.INTER_NEAREST).astype(plane.dtype)


def _joined(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    if first is None or second is None:
        return second if first is None else first
    return np.asarray(first | second)


def _unused(name: str, names: Mapping[str, Any]) -> str:
    """`name`, numbered from its second use on."""
    number = sum(other.partition(" ")[0] == name for other in names)
    return f"{name} {number + 1}" if number else name
