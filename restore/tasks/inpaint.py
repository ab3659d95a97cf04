"""The step of `restore inpaint`: determines the mask and fills the holes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from restore.images import Picture
from restore.inference.defect_detector import DefectDetector
from restore.inference.inpainter import Inpainter, dilated
from restore.inference.loading import DEFECT_TASK, InferenceOptions, find_weights
from restore.pipeline.discovery import Job
from restore.pipeline.step import Image, Masks, Result, RunLog, Sidecars, Step
from restore.tasks import mask_files
from restore.tasks.lazy_cache import LazyCache
from restore.tasks.mask_files import MaskNames
from restore.tasks.mask_pages import MaskPages
from restore.tasks.options import InpaintOptions
from restore.weights import Entry, find, fingerprint
from restore.writing import sweep_drafts

DEFAULT, DETECTOR = "inpaint", "scratches"
GROW = {"masks": 0, "mask_color": 2, "alpha": 1, "scratches": 1}
"""Pixels by which holes are dilated by default: the pixels around a detected defect are rarely clean."""
FULL = {
    "masks": "use a smaller --grow",
    "mask_color": "use a smaller --mask-tolerance or --grow, or another colour",
    "alpha": "it is transparent everywhere, or --grow is too large",
    "scratches": "use a lower --sensitivity",
}
"""What to do about a mask that covers the whole picture, by its source. A mask file that does so itself is refused before."""


@dataclass(frozen=True)
class Holes:
    """Where an image is missing, (H, W) bool, and warnings about what says so."""

    mask: np.ndarray
    warnings: tuple[str, ...] = ()


class Inpaint(Step[None]):
    """The step of `restore inpaint`.

    Args:
        options: see `InpaintOptions`.
        weights: a name, a file or a run's folder; None uses the shipped weights. With `scratches`, weights that find scratches may be named
            instead of those that fill.
        inference: device, precision, tiles.

    Raises:
        ValueError: the weights do not exist or are for another task, or the masks do not exist.
    """

    name = "inpaint"
    finer_coding = False

    def __init__(self, options: InpaintOptions, weights: str | Path | None, inference: InferenceOptions) -> None:
        self.options, self.inference = options, inference
        self.side_folders = () if options.save_masks is None else (("--save-masks", options.save_masks),)
        if options.masks is not None and not options.masks.exists():
            raise ValueError(f"{options.masks}: no such mask or folder of masks")
        self.grow = GROW[options.source] if options.grow is None else options.grow
        detector = weights if options.source == "scratches" and _is_detector(weights) else None
        fills = DEFAULT if weights is None or detector else weights
        self.entry = find_weights(fills, "inpaint", inference) if options.method == "network" else None
        self.detector = _detector(detector, inference) if options.source == "scratches" else None
        self._inpainters = LazyCache(self._load)
        self._detectors = LazyCache(self._load_detector)
        self._names = MaskNames()
        self._log = RunLog()

    def settings(self) -> dict[str, object]:
        """The weights' contents, the options, the precision and the tiles. Masks are sidecars of their pictures."""
        options = {name: value for name, value in self.options.as_dict().items() if name not in {"masks", "save_masks"}}
        return {
            **options, "grow": self.grow, "weights": fingerprint(self.entry) if self.entry else None,
            "detector": fingerprint(self.detector) if self.detector else None, **self.inference.fingerprint(),
        }  # fmt: skip

    def plan(self, jobs: Sequence[Job]) -> None:
        """Name the masks of all pictures.

        Raises:
            ValueError: see `mask_files.refuse_folder`.
        """
        self._names.plan(jobs)
        if self.options.save_masks is not None:
            mask_files.refuse_folder(self.options.save_masks, jobs, self._names, self.options.masks)
            pages = (self.options.save_masks / self._names.of(job.source, job.relative)[0] for job in jobs)
            sweep_drafts(path for page in pages for path in mask_files.places(page))

    def sidecars(self, source: Path, relative: Path) -> Sequence[Path]:
        """The mask file of a picture, if masks are files.

        Raises:
            ValueError: there is no mask, or more than one.
        """
        mask = self._mask_of(source, relative)
        if mask is None:
            return ()
        self._log.used.add(mask)
        return [mask]

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        """Fill the holes of an image."""
        found = SOURCES[self.options.source](self, image, sidecars or {})
        mask = dilated(found.mask, self.grow)
        kept = (mask,) if self.options.save_masks is not None else ()
        if not mask.any():
            return Result(image.pixels, {"holes": 0, "missing": 0.0}, found.warnings, masks=kept)
        if mask.all():
            raise ValueError(f"the mask covers the whole picture: nothing is left to fill it from ({FULL[self.options.source]})")
        restored, info = self._inpainters(self.options.method).inpaint(image.pixels, mask)
        stats = {"method": self.entry.name if self.entry else self.options.method, **info.stats()}
        opaque = mask if self.options.source == "alpha" else None
        made = None if image.valid is None else mask & ~image.valid
        return Result(restored, stats, found.warnings, opaque=opaque, made=made, masks=kept)

    def lacks_side_files(self, job: Job) -> bool:
        """See `Step.lacks_side_files`. A file in the place of a mask that no run made, such as an edited mask, is reported."""
        if self.options.save_masks is None:
            return False
        page = self.options.save_masks / self._names.of(job.source, job.relative)[0]
        if any(mask_files.is_own(path, job.mark) for path in mask_files.places(page)):
            return False
        return not any(self._is_foreign(path) for path in mask_files.places(page))

    def write_side_files(self, job: Job, frames: int, masks: Sequence[Masks]) -> None:
        """Write the masks that were used. An error does not fail the picture; it is reported at the end."""
        folder, pages = self.options.save_masks, [mask for page in masks for mask in page if mask is not None]
        if folder is None or len(pages) != frames:
            return
        target = mask_files.place(pages, folder / self._names.of(job.source, job.relative)[0])
        if self._is_foreign(target):
            return
        try:
            mask_files.write(pages, target, job.mark)
        except OSError as error:
            self._log.unwritten.add(f"cannot write the mask {target}: {(error.strerror or str(error)).lower()}")

    def _is_foreign(self, target: Path) -> bool:
        """Whether a file at `target` is no mask of a run; it is reported."""
        foreign = os.path.lexists(target) and not mask_files.is_own(target)
        if foreign:
            self._log.unwritten.add(f"{target} is a file that no run of restore made: move it, or choose another folder for --save-masks")
        return foreign

    def remarks(self) -> list[str]:
        """The masks that no picture of the run used."""
        folder = self.options.masks
        if folder is None or not folder.is_dir():
            return []
        left = [path for path in mask_files.pictures(folder) if path not in self._log.used]
        names = ", ".join(str(path.relative_to(folder)) for path in left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        return [f"no picture for {len(left)} of the masks: {names}"] if left else []

    def run_logs(self) -> list[RunLog]:
        """See `Step.run_logs`."""
        return [self._log]

    def unwritten(self) -> list[str]:
        """The masks that could not be saved: the first by name, and the number of the others."""
        return self._log.first_unwritten(" masks")

    def mask_from_file(self, image: Image, sidecars: Sidecars) -> Holes:
        """The mask of an image: the page with the frame's number, or a single page for all frames.

        Raises:
            ValueError: the mask has a wrong size or number of pages, or it is empty or full.
        """
        path = self._mask_of(image.info.path, image.info.relative)
        assert path is not None
        if path not in sidecars:
            raise ValueError(f"the mask {path} was not passed with its picture")
        with mask_files.named(path):
            return self._holes(image, path, sidecars[path].picture)

    def _holes(self, image: Image, path: Path, masks: Picture) -> Holes:
        """The holes of an image from its mask's opened file; see `mask_from_file`."""
        size = image.info.size or image.pixels.shape[:2]
        if masks.frames == 1 or image.info.index == 0:
            mask_files.compare(path, masks.size, size, turned=image.info.turned)  # before anything is decoded
        if masks.frames not in (1, image.info.frames):
            raise ValueError(
                f"its mask {path} has {masks.frames} pages, the picture {image.info.frames}: use one page for each, or one for all"
            )
        pages = MaskPages(path, masks, inverted=self.options.invert_masks)
        mask, warnings = pages.holes(image.info.index if masks.frames > 1 else 0)
        mask_files.compare(path, mask.shape, size, turned=image.info.turned)
        if mask.all():
            raise ValueError(f"its mask {path} covers the whole picture: nothing is left to fill it from ({pages.advice()})")
        if not mask.any() and image.info.index == masks.frames - 1 and not pages.any_hole():
            raise ValueError(f"its mask {path} is empty: white pixels are filled ({pages.advice()})")
        height, width = image.pixels.shape[:2]
        if mask.shape != (height, width):  # an earlier step upscaled the picture
            mask = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
        return Holes(mask, warnings)

    def mask_from_color(self, image: Image, sidecars: Sidecars) -> Holes:
        """The pixels of the specified colour. A gray picture's value counts for all three channels."""
        difference = np.abs(image.pixels - _color(str(self.options.mask_color)))
        mask = np.asarray(difference.max(2) <= self.options.mask_tolerance / 255 + 1e-6)
        lacking = f"no pixel has the colour {self.options.mask_color}: nothing was filled (a larger --mask-tolerance?)"
        return Holes(mask, () if mask.any() else (lacking,))

    def mask_from_alpha(self, image: Image, sidecars: Sidecars) -> Holes:
        """The transparent pixels of an image.

        Raises:
            ValueError: it has no alpha.
        """
        if image.alpha is None:
            raise ValueError("the picture has no alpha channel: specify its holes with another option, such as --masks")
        alpha = np.asarray(image.alpha)
        return Holes(np.asarray(alpha < alpha.max() / 2) if alpha.max() > 0 else np.ones(alpha.shape, bool))

    def mask_of_defects(self, image: Image, sidecars: Sidecars) -> Holes:
        """The scratches and dust of an image."""
        return Holes(self._detectors("").detect(image.pixels, self.options.sensitivity))

    def _mask_of(self, source: Path, relative: Path) -> Path | None:
        masks = self.options.masks
        return mask_files.find(masks, source, relative, self._names) if masks is not None and masks.is_dir() else masks

    def _load(self, method: str) -> Inpainter:
        feather, texture = self.options.feather, self.options.texture
        if self.entry is None:
            return Inpainter(method=method, feather=feather, texture=texture)
        return Inpainter.load(self.entry.path, self.inference, feather=feather, texture=texture)

    def _load_detector(self, _: str) -> DefectDetector:
        assert self.detector is not None
        return DefectDetector.load(self.detector.path, self.inference)


SOURCES: Mapping[str, Callable[[Inpaint, Image, Sidecars], Holes]] = {
    "masks": Inpaint.mask_from_file,
    "mask_color": Inpaint.mask_from_color,
    "alpha": Inpaint.mask_from_alpha,
    "scratches": Inpaint.mask_of_defects,
}
"""Option -> method that returns the holes of an image."""


def _is_detector(name: str | Path | None) -> bool:
    """Whether weights find scratches, such as those of `restore train scratches`.

    Raises:
        ValueError: there are no such weights.
    """
    return name is not None and find(name).recipe.get("task") == DEFECT_TASK


def _detector(name: str | Path | None, inference: InferenceOptions) -> Entry:
    """The weights of the defect detector: those called `name`, or those that ship.

    Raises:
        ValueError: the weights of this name are for another task.
    """
    try:
        return find_weights(name or DETECTOR, DEFECT_TASK, inference)
    except ValueError as error:
        raise ValueError(f"{error}: rename or remove that run or file") from error


def _color(text: str) -> np.ndarray:
    """Convert "#rrggbb" to three floats in [0, 1]."""
    digits = text.strip().lstrip("#")
    return np.array([int(digits[at : at + 2], 16) for at in range(0, 6, 2)], np.float32) / 255
