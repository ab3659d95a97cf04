"""What the suite does to pictures: one table `TASKS`, and one file a task for its step. Importing the table imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.pipeline.options import Options
from restore.tasks.options import DenoiseOptions, InpaintOptions, TranslateOptions, UpscaleOptions

if TYPE_CHECKING:
    from restore.pipeline.step import Step
    from restore.tasks.run_on import RunOn


@dataclass(frozen=True)
class Task:
    """One thing that is done to pictures.

    Attributes:
        summary: the first sentence of its help.
        options: its options.
        step: where its step is, "module:class"; it is imported when it is made.
        help: the rest of its help, with an example.
    """

    summary: str
    options: type[Options]
    step: str
    help: str

    def make(self, options: Options, weights: str | Path | None, run_on: RunOn) -> Step[Any]:
        """The step with these options.

        Raises:
            ValueError: weights that are not there, are for another task, or do not fit the options.
        """
        module, _, name = self.step.partition(":")
        step: Step[Any] = importlib.import_module(module).__dict__[name](options, weights, run_on)
        return step


TASKS: Mapping[str, Task] = {
    "denoise": Task(
        "Remove the noise from pictures: X-rays (DICOM or not), photographs, gray or colour.",
        DenoiseOptions, "restore.tasks.denoise:Denoise", "restore denoise scans/ --out clean/",
    ),
    "upscale": Task(
        "Upscale pictures: --weights faithful (the default), photo, or a FILE.",
        UpscaleOptions, "restore.tasks.upscale:Upscale",
        "faithful stays with what the picture shows: it sharpens edges and invents next to nothing, at the price of smooth texture.\n\n"
        "photo also removes blur, noise and JPEG artefacts and invents plausible fine texture: for pictures to look at, not for evidence "
        "or diagnosis.\n\nrestore upscale photos/ --out large/ --scale 2",
    ),
    "inpaint": Task(
        "Fill holes, scratches and unwanted objects; every pixel outside the holes stays as it is, bit for bit.",
        InpaintOptions, "restore.tasks.inpaint:Inpaint",
        "restore inpaint photos/ --out whole/ --masks masks/\n\nrestore inpaint prints/ --out whole/ --scratches --save-masks found/",
    ),
    "translate": Task(
        "Translate pictures between domains, as pix2pix or cyclegan learned it.",
        TranslateOptions, "restore.tasks.translate:Translate", "restore translate photos/ --out paintings/ --weights photo2paint",
    ),
}  # fmt: skip
