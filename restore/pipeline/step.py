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
from restore.images import Frame, Picture, colouring
from restore.images.quantisation import Quantisation
from restore.pipeline.discovery import Job

AnalysisT = TypeVar("AnalysisT")


@dataclass(frozen=True)
class ImageInfo:
    """The origin of an image.

    Attributes:
        path: the file, or a name for an array.
        relative: the path below the input folder.
        index: the frame's number, from 0.
        frames: number of frames in the file.
        size: (height, width) of the decoded frame; an earlier step may have upscaled it.
        radiograph: whether the file says that it is a projection radiograph; None if it does not say.
        quantisation: how coarsely the file quantises the luma; None if it does not say.
        levels: steps from black to white of the integers that a result in colour is stored as; None for floats.
    """

    path: Path = Path("image")
    relative: Path = Path("image")
    index: int = 0
    frames: int = 1
    size: tuple[int, int] | None = None
    radiograph: bool | None = None
    quantisation: Quantisation | None = None
    levels: int | None = None


@dataclass(frozen=True)
class Image:
    """The input of a step.

    Attributes:
        pixels: (H, W, 1|3) float32; black is 0 and white is 1, values outside are not clipped.
        alpha: (H, W) opacity of any scale, or None.
        valid: (H, W) bool, the pixels that hold picture; None for all.
        info: the image's origin.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    valid: np.ndarray | None = None
    info: ImageInfo = ImageInfo()


@dataclass(frozen=True)
class SideImage:
    """An image that is written next to the result.

    Attributes:
        name: short, for file names: `error` of `a.png` is `a.error.png`.
        meaning: what it shows, e.g. "expected absolute error".
        pixels: (H, W) float32 in normalized units (1 is white minus black), at least 0.
    """

    name: str
    meaning: str
    pixels: np.ndarray


@dataclass(frozen=True)
class Result:
    """The output of a step.

    Attributes:
        pixels: (scale H, scale W, 1|3) float32, not clipped; as many channels as the image, or 3 where `Step.colours`.
        stats: values for the report.
        warnings: one sentence each.
        opaque: (H, W) bool, pixels whose alpha becomes opaque; None for none.
        mask: (H, W) bool, the mask that was used, for saving; None for none.
        side: images to write next to the result, one for each name of `Step.side_images`.
    """

    pixels: np.ndarray
    stats: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    opaque: np.ndarray | None = None
    mask: np.ndarray | None = None
    side: tuple[SideImage, ...] = ()


@dataclass(frozen=True)
class Sidecar:
    """A file besides the picture that affects the result, such as its mask. It is opened at its first use."""

    path: Path

    @cached_property
    def picture(self) -> Picture:
        """The file's header and frames.

        Raises:
            ImageError: it cannot be read.
        """
        return images.read(self.path)


Sidecars = Mapping[Path, Sidecar]


class Step(ABC, Generic[AnalysisT]):
    """Restores images. It keeps no state between pictures and can be pickled.

    Attributes:
        name: name of the task.
        work: what most of its time goes into; the report's seconds have this name.
        scale: how many times as high and wide the result is.
        colours: whether results have three channels where images have one, so that gray files become colour files.
        side_images: names of the images that are written next to each result.
        finer_coding: whether lossy formats must code the result finer than the source, whose artefacts would come back.
        caution: what the results are not for; formats that record how a picture came about (DICOM) say so.
    """

    name: str
    work: str = "network"
    scale: float = 1.0
    colours: bool = False
    side_images: tuple[str, ...] = ()
    finer_coding: bool = False
    caution: str = ""

    @abstractmethod
    def settings(self) -> dict[str, object]:
        """Everything besides the picture and its sidecars that affects the result: options, the weights' hash.

        The values are JSON-able. No network is loaded.
        """

    def sidecars(self, source: Path, relative: Path) -> Sequence[Path]:
        """The files besides the picture that affect the result.

        Args:
            source: the picture's file.
            relative: its path below the input folder.

        Raises:
            ValueError: a required file does not exist.
        """
        return ()

    def analyse(self, image: Image) -> AnalysisT | None:
        """Analyse an image before the network runs.

        It is called in the decoding thread and must not use torch: a second thread that uses torch slows down torch's thread pool.
        """
        return None

    @abstractmethod
    def __call__(self, image: Image, analysis: AnalysisT | None = None, sidecars: Sidecars | None = None) -> Result:
        """Restore an image.

        Args:
            image: the image.
            analysis: the result of `analyse`; None to analyse it now.
            sidecars: the files that `sidecars` named, by path.
        """

    def plan(self, jobs: Sequence[Job]) -> None:
        """Receive the jobs of a run before the first picture."""

    def write_side_files(self, job: Job, frames: int, masks: Sequence[np.ndarray | None]) -> None:
        """Write further files of a picture, such as its masks. It is called after all frames are restored."""

    def remarks(self) -> list[str]:
        """Messages about the run as a whole; called once after the last picture."""
        return []

    def unwritten(self) -> list[str]:
        """Side files that the step could not write, one line each; called once after the last picture."""
        return []


def image_of(frame: Frame, picture: Picture, index: int, relative: Path) -> Image:
    """Convert a decoded frame to the input of a step."""
    pixels = frame.normalized()
    size = (pixels.shape[0], pixels.shape[1])
    levels = colouring.levels(frame)
    info = ImageInfo(picture.path, relative, index, picture.frames, size, picture.radiograph, picture.quantisation, levels)
    return Image(pixels, frame.alpha, frame.valid(), info)


AnyStep = Step[Any]
"""The step of any task, whatever its analysis is."""


class Chain(AnyStep):
    """Runs several steps on one decoded picture, in float32 between them.

    Args:
        steps: at least one. A mask of the input's size is upscaled for a step that follows an upscaling step.

    Raises:
        ValueError: there is no step.
    """

    def __init__(self, steps: Sequence[AnyStep]) -> None:
        if not steps:
            raise ValueError("a pipeline needs at least one step")
        self.steps = tuple(steps)
        self.name = "+".join(step.name for step in self.steps)
        self.scale = float(np.prod([step.scale for step in self.steps]))
        self.colours = any(step.colours for step in self.steps)
        if any(step.side_images for step in self.steps[:-1]):
            raise ValueError("only the last step of a pipeline can write maps (confidence): those of other steps would not fit the result")
        self.side_images = self.steps[-1].side_images
        self.finer_coding = any(step.finer_coding for step in self.steps)
        self.caution = "; ".join(dict.fromkeys(step.caution for step in self.steps if step.caution))

    def settings(self) -> dict[str, object]:
        """See `Step.settings`."""
        return {"steps": [{"task": step.name, **step.settings()} for step in self.steps]}

    def sidecars(self, source: Path, relative: Path) -> Sequence[Path]:
        """The sidecars of all steps."""
        return [path for step in self.steps for path in step.sidecars(source, relative)]

    def analyse(self, image: Image) -> object:
        """The first step's analysis. The other steps analyse the output of the step before them."""
        return self.steps[0].analyse(image)

    def __call__(self, image: Image, analysis: object = None, sidecars: Sidecars | None = None) -> Result:
        """See `Step.__call__`. The stats of each step are under its name."""
        stats: dict[str, object] = {}
        warnings: list[str] = []
        opaque = mask = None
        for number, step in enumerate(self.steps):
            result = step(image, analysis if number == 0 else None, sidecars)
            image = _next(image, result)
            height, width = image.pixels.shape[:2]
            opaque = _union(_resized(opaque, height, width), result.opaque)
            mask = _union(_resized(mask, height, width), result.mask)
            stats |= {_unused(step.name, stats): dict(result.stats)}
            warnings += result.warnings
        return Result(image.pixels, stats, tuple(dict.fromkeys(warnings)), opaque, mask, result.side)

    def plan(self, jobs: Sequence[Job]) -> None:
        """See `Step.plan`."""
        for step in self.steps:
            step.plan(jobs)

    def write_side_files(self, job: Job, frames: int, masks: Sequence[np.ndarray | None]) -> None:
        """See `Step.write_side_files`."""
        for step in self.steps:
            step.write_side_files(job, frames, masks)

    def remarks(self) -> list[str]:
        """See `Step.remarks`."""
        return [text for step in self.steps for text in step.remarks()]

    def unwritten(self) -> list[str]:
        """See `Step.unwritten`."""
        return [text for step in self.steps for text in step.unwritten()]


def _next(image: Image, result: Result) -> Image:
    """The next step's input: alpha and validity are resized to the pixels' size."""
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


def _union(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    if first is None or second is None:
        return second if first is None else first
    return np.asarray(first | second)


def _unused(name: str, names: Mapping[str, object]) -> str:
    """`name`, with a number from its second use."""
    number = sum(other.partition(" ")[0] == name for other in names)
    return f"{name} {number + 1}" if number else name
