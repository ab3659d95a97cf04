"""A step restores one picture at a time, as arrays. A chain of steps is a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from restore import images
from restore.images import Frame, Picture, colouring
from restore.images.noise_model import NoiseLevel
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
        turned: whether the file's EXIF orientation was applied to it.
    """

    path: Path = Path("image")
    relative: Path = Path("image")
    index: int = 0
    frames: int = 1
    size: tuple[int, int] | None = None
    radiograph: bool | None = None
    quantisation: Quantisation | None = None
    levels: int | None = None
    turned: bool = False


@dataclass(frozen=True)
class Image:
    """The input of a step.

    Attributes:
        pixels: (H, W, 1|3) float32; black is 0 and white is 1, values outside are not clipped.
        alpha: (H, W) opacity of any scale, or None.
        valid: (H, W) bool, the pixels that hold picture and are not hidden by alpha; None for all.
        info: the image's origin.
        removed: the noise that an earlier step removed, but for some; None for none.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    valid: np.ndarray | None = None
    info: ImageInfo = ImageInfo()
    removed: NoiseLevel | None = None


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
        made: (H, W) bool, pixels that were not valid (see `Image`) and hold picture now; None for none.
        masks: the masks that were used, for saving, (H, W) bool each: of a plain step at most one; of a chain one for each of its
            `Step.mask_count`, None where a step used none.
        side: images to write next to the result, one for each name of `Step.side_images`.
        removed: the noise that was removed; None for none.
    """

    pixels: np.ndarray
    stats: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    opaque: np.ndarray | None = None
    made: np.ndarray | None = None
    masks: tuple[np.ndarray | None, ...] = ()
    side: tuple[SideImage, ...] = ()
    removed: NoiseLevel | None = None


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
Masks = tuple[np.ndarray | None, ...]


@dataclass
class RunLog:
    """What a step has met during a run.

    Attributes:
        used: sidecars that belong to a picture.
        unwritten: side files that could not be written, one line each.
        lacking: pictures that were done before and have no side file.
    """

    used: set[Path] = field(default_factory=set)
    unwritten: set[str] = field(default_factory=set)
    lacking: set[Path] = field(default_factory=set)

    def merge(self, other: RunLog) -> None:
        """Add what another log has."""
        self.used |= other.used
        self.unwritten |= other.unwritten
        self.lacking |= other.lacking

    def copied(self) -> RunLog:
        """A copy, while a thread may add to this one."""
        return RunLog(self.used.copy(), self.unwritten.copy(), self.lacking.copy())

    def first_unwritten(self, what: str = "") -> list[str]:
        """The first by name, and the number of the others."""
        more = len(self.unwritten) - 1
        return [min(self.unwritten) + (f" (and {more} more{what})" if more else "")] if self.unwritten else []


class Step(ABC, Generic[AnalysisT]):
    """Restores images. It keeps no state between pictures and can be pickled.

    Attributes:
        name: name of the task.
        work: what most of its time goes into; the report's seconds have this name.
        scale: how many times as high and wide the result is.
        colours: whether results have three channels where images have one, so that gray files become colour files.
        side_images: names of the images that are written next to each result.
        finer_coding: whether lossy formats must code the result finer than the source, whose coarse steps would undo much of it; False for
            what leaves most pixels as they are.
        unifies: whether frames of one file share what is estimated from them; see `unified`.
        caution: what the results are not for; formats that record how a picture came about (DICOM) say so.
        mask_count: the most masks that a result has.
        side_folders: where `write_side_files` writes: each option with the folder that it names.
        learns_from_inputs: whether `plan` reads the pictures themselves, so that no other step may come before.
    """

    name: str
    work: str = "network"
    scale: float = 1.0
    colours: bool = False
    side_images: tuple[str, ...] = ()
    finer_coding: bool = True
    unifies: bool = False
    caution: str = ""
    mask_count: int = 1
    side_folders: tuple[tuple[str, Path], ...] = ()
    learns_from_inputs: bool = False

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

    def unified(self, own: AnalysisT, samples: Sequence[AnalysisT], image: Image) -> AnalysisT:
        """The analysis to use for a frame of a file whose frames look alike, so that a film does not flicker.

        It is called in the decoding thread, as `analyse` is.

        Args:
            own: the frame's analysis.
            samples: those of some frames of the file, equal for all its frames; at least one.
            image: the frame, to test what the samples say.
        """
        return own

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

    def result_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the result of an image of `size`, (height, width)."""
        return round(size[0] * self.scale), round(size[1] * self.scale)

    def write_side_files(self, job: Job, frames: int, masks: Sequence[Masks]) -> None:
        """Write further files of a picture, such as its masks. It is called after all frames are restored.

        Args:
            job: the picture, with its `content` and `mark`.
            frames: number of its frames.
            masks: `Result.masks` of each frame.
        """

    def lacks_side_files(self, job: Job) -> bool:
        """Whether a file that `write_side_files` writes is missing or of another run, so that a picture that is done is restored again.

        What restoring it again cannot mend, such as a file of the user's in its place, may be reported instead; see `unwritten`.

        Args:
            job: the picture, with its `content` and `mark`.
        """
        return False

    def run_logs(self) -> list[RunLog]:
        """What the step has met during the run, for `remarks` and `unwritten`. Logs of workers of a cluster are merged into them."""
        return []

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
    file = picture.radiograph, picture.quantisation
    info = ImageInfo(picture.path, relative, index, picture.frames, size, *file, levels, picture.turned)
    return Image(pixels, frame.alpha, frame.visible(), info)


AnyStep = Step[Any]
"""The step of any task, whatever its analysis is."""
