"""The tasks of the suite: the table `TASKS`, and one file with the step of each task. Importing the table does not import torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from restore.pipeline.options import Options
from restore.tasks.options import (
    ArtifactsOptions,
    ColorizeOptions,
    DenoiseOptions,
    EnhanceOptions,
    InpaintOptions,
    SharpenOptions,
    SimulateOptions,
    TranslateOptions,
    UpscaleOptions,
)

if TYPE_CHECKING:
    from restore.inference.loading import InferenceOptions
    from restore.pipeline.step import AnyStep


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        summary: the first sentence of its help.
        options: the class of its options.
        step: "module:class" of its step; `make` imports it.
        help: the rest of its help, with an example.
    """

    summary: str
    options: type[Options]
    step: str
    help: str

    def make(self, options: Options, weights: str | Path | None, inference: InferenceOptions) -> AnyStep:
        """The step with these options.

        Raises:
            ValueError: the weights do not exist, are for another task, or do not fit the options.
        """
        module, _, name = self.step.partition(":")
        step: AnyStep = importlib.import_module(module).__dict__[name](options, weights, inference)
        return step


TASKS: Mapping[str, Task] = {
    "denoise": Task(
        "Remove the noise from pictures: X-rays (DICOM or not), photographs, gray or colour.",
        DenoiseOptions, "restore.tasks.denoise:Denoise", "restore denoise scans/ --out clean/",
    ),
    "upscale": Task(
        "Upscale pictures: --weights faithful (the default), photo, or a FILE.",
        UpscaleOptions, "restore.tasks.upscale:Upscale",
        "faithful sharpens edges and invents almost nothing, at the price of smooth texture.\n\n"
        "photo also removes blur, the noise of cameras and JPEG artefacts and invents plausible fine texture: for pictures to look at, not "
        "for evidence or diagnosis.\n\nBoth amplify white noise: run restore denoise first."
        "\n\nrestore upscale photos/ --out large/ --scale 2",
    ),
    "artifacts": Task(
        "Remove the artefacts of JPEG compression: blocks, ringing and false colours; gray or colour.",
        ArtifactsOptions, "restore.tasks.artifacts:Artifacts",
        "restore artifacts downloads/ --out clean/\n\nResults that stay JPEG are coded with quality 95 or better, for the source's coarse "
        "coding would bring the artefacts back.",
    ),
    "sharpen": Task(
        "Remove blur: of lenses out of focus, enlarged or soft scans. Sharp pictures and those blurred by motion stay as they are.",
        SharpenOptions, "restore.tasks.sharpen:Sharpen", "restore sharpen soft/ --out sharp/",
    ),
    "inpaint": Task(
        "Fill holes, scratches and unwanted objects; every pixel outside the holes stays as it is (in formats without loss, bit for bit).",
        InpaintOptions, "restore.tasks.inpaint:Inpaint",
        "restore inpaint photos/ --out whole/ --masks masks/\n\nrestore inpaint prints/ --out whole/ --scratches --save-masks masks/",
    ),
    "translate": Task(
        "Translate pictures between domains with weights trained by pix2pix or cyclegan.",
        TranslateOptions, "restore.tasks.translate:Translate", "restore translate photos/ --out paintings/ --weights photo2paint",
    ),
    "colorize": Task(
        "Colour gray pictures; their gray values stay exactly as they are.",
        ColorizeOptions, "restore.tasks.colorize:Colorize",
        "The colours are invented: plausible ones, not those of the scene. DICOM and radiographs are refused. Colour pictures are coloured "
        "anew from their gray values.\n\nrestore colorize prints/ --out coloured/\n\n"
        "restore colorize prints/ --out coloured/ --hint autumn.jpg --strength 0.7",
    ),
    "enhance": Task(
        "Enhance exposure, colours, contrast and sharpness of photographs, and the contrast of X-rays for display.",
        EnhanceOptions, "restore.tasks.enhance:Enhance",
        "A good picture hardly changes. X-rays keep their bits and their window; results are for display, not for measurement.\n\n"
        "restore enhance photos/ --out better/\n\nrestore enhance scans/ --out clear/ --local-contrast 1.5 --sharpness 0",
    ),
    "simulate": Task(
        "Degrade clean pictures by a seeded recipe, to make pairs for training and tests.",
        SimulateOptions, "restore.tasks.simulate:Simulate",
        "restore simulate scans/ --recipe xray-low-dose --out pairs/damaged --clean pairs/clean\n\n"
        "The report and --json say what was drawn for each picture.",
    ),
}  # fmt: skip
