"""A chain of steps is a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from restore.pipeline.discovery import Job
from restore.pipeline.step import AnyStep, Image, Masks, Result, RunLog, Sidecars


class Chain(AnyStep):
    """Runs several steps on one decoded picture, in float32 between them.

    Args:
        steps: at least one. A mask of the input's size is upscaled for a step that follows an upscaling step.

    Raises:
        ValueError: there is no step, two of them write their files into one folder, one before the last writes maps, or one after the
            first adapts.
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
        folders = [folder for step in self.steps for _, folder in step.side_folders]
        if twice := [folder for number, folder in enumerate(folders) if folder in folders[:number]]:
            raise ValueError(f"two steps of the pipeline write their files into {twice[0]}: give each a folder of its own")
        if late := [step.name for step in self.steps[1:] if step.learns_from_inputs]:
            raise ValueError(f"only the first step of a pipeline can adapt: {late[0]} would adapt to the results of others")
        self.side_folders = tuple(entry for step in self.steps for entry in step.side_folders)
        self.learns_from_inputs = self.steps[0].learns_from_inputs
        self.mask_count = sum(step.mask_count for step in self.steps)
        self.side_images = self.steps[-1].side_images
        self.unifies = self.steps[0].unifies
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

    def unified(self, own: object, samples: Sequence[object], image: Image) -> object:
        """That of the first step."""
        return self.steps[0].unified(own, samples, image)

    def __call__(self, image: Image, analysis: object = None, sidecars: Sidecars | None = None) -> Result:
        """See `Step.__call__`. The stats of each step are under its name."""
        stats: dict[str, object] = {}
        warnings: list[str] = []
        opaque = made = None
        masks: list[np.ndarray | None] = []
        height, width = image.info.size or image.pixels.shape[:2]
        for number, step in enumerate(self.steps):
            result = step(image, analysis if number == 0 else None, sidecars)
            image = _next(image, result)
            size = image.pixels.shape[:2]
            opaque = _union(_resized(opaque, *size), result.opaque)
            made = _union(_resized(made, *size), result.made)
            used = (*result.masks, *(None,) * (step.mask_count - len(result.masks)))
            masks += [_resized(mask, height, width) for mask in used]  # saved masks have the size of the input
            stats |= {_unused(step.name, stats): dict(result.stats)}
            warnings += result.warnings
        return Result(image.pixels, stats, tuple(dict.fromkeys(warnings)), opaque, made, tuple(masks), result.side)

    def result_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """See `Step.result_size`. Each step rounds its own."""
        for step in self.steps:
            size = step.result_size(size)
        return size

    def plan(self, jobs: Sequence[Job]) -> None:
        """See `Step.plan`."""
        for step in self.steps:
            step.plan(jobs)

    def write_side_files(self, job: Job, frames: int, masks: Sequence[Masks]) -> None:
        """See `Step.write_side_files`."""
        at = 0
        for step in self.steps:
            step.write_side_files(job, frames, [one[at : at + step.mask_count] for one in masks])
            at += step.mask_count

    def lacks_side_files(self, job: Job) -> bool:
        """See `Step.lacks_side_files`."""
        return any(step.lacks_side_files(job) for step in self.steps)

    def run_logs(self) -> list[RunLog]:
        """See `Step.run_logs`."""
        return [log for step in self.steps for log in step.run_logs()]

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
    valid = _resized(image.valid, height, width)
    valid = valid if valid is None or result.made is None else valid | result.made
    return replace(image, pixels=result.pixels, alpha=alpha, valid=valid, removed=result.removed or image.removed)


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
