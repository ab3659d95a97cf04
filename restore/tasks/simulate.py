"""The step of `restore simulate`: degrades clean pictures by a seeded recipe, to make pairs."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from restore.datasets.simulation import SIMULATIONS, simulate
from restore.images import naming
from restore.inference.array_interface import Picture, apply
from restore.inference.loading import InferenceOptions
from restore.pipeline.discovery import PRIVATE, Job
from restore.pipeline.manifest_records import digest_file
from restore.pipeline.step import Image, Masks, Result, RunLog, Sidecars, Step
from restore.tasks.options import SimulateOptions
from restore.writing import atomic_write, real, sweep_drafts


def simulate_array(picture: Picture, recipe: str, seed: int = 0) -> tuple[Picture, dict[str, object]]:
    """Degrade a picture by a recipe: ``restore.simulate(picture, "old-photo", seed=3)``.

    Args:
        picture: an array or a tensor of one picture; see `array_interface.apply`.
        recipe: a key of `SIMULATIONS`.
        seed: 0 or more. The same picture, recipe and seed give the same result, which is also that of `restore simulate`.

    Returns:
        The degraded picture, of the same kind, type and shape; and what was drawn.

    Raises:
        ValueError: there is no such recipe, the seed is none, or the shape or type is not that of a picture.
    """
    options = SimulateOptions(recipe=recipe, seed=seed)
    drawn: dict[str, object] = {}

    def degrade(pixels: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
        if drawn:
            raise ValueError("a tensor must hold one picture, for each has a draw of its own")
        degraded, values = simulate(pixels, str(options.recipe), options.seed)
        drawn.update(values)
        return degraded

    return apply(picture, degrade), drawn


class Simulate(Step[None]):
    """The step of `restore simulate`.

    Args:
        options: see `SimulateOptions`.
        weights: None; it has none.
        inference: not used.

    Raises:
        ValueError: weights were given.
    """

    name, work = "simulate", "simulation"
    finer_coding = False

    def __init__(self, options: SimulateOptions, weights: str | Path | None, inference: InferenceOptions) -> None:
        if weights is not None:
            raise ValueError("simulate has no weights: leave --weights out")
        self.options, self.recipe = options, str(options.recipe)
        self.side_folders = () if options.clean is None else (("--clean", options.clean),)
        self._names: dict[Path, Path] = {}
        self._log = RunLog()

    def settings(self) -> dict[str, object]:
        """The recipe, its ranges and the seed."""
        return {"recipe": self.recipe, "draws": SIMULATIONS[self.recipe].summary, "seed": self.options.seed}

    def plan(self, jobs: Sequence[Job]) -> None:
        """Refuse a folder for the clean pictures in which inputs or results lie.

        Raises:
            ValueError: a copy would replace an input or a result.
        """
        if self.options.clean is None:
            return
        named = naming.results([job.relative for job in jobs], reserved={(PRIVATE,)})  # as results that keep their format are
        self._names = {job.source: name.path for job, name in zip(jobs, named, strict=True)}
        clean = real(self.options.clean)
        for job in jobs:
            if real(job.source).is_relative_to(clean):
                raise ValueError(f"{job.source} is an input and lies in {clean}: choose a folder outside the inputs for --clean")
            copy = real(self._copy(job, self.options.clean))
            if copy in (real(job.source), real(job.target)):
                raise ValueError(f"the clean copy {copy} would replace an input or a result: choose another folder for --clean")
        sweep_drafts(self._copy(job, self.options.clean) for job in jobs)

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        """Degrade an image. The stats hold what the recipe drew."""
        degraded, drawn = simulate(image.pixels, self.recipe, self.options.seed)
        return Result(degraded, {"recipe": self.recipe, "seed": self.options.seed, **drawn})

    def _copy(self, job: Job, clean: Path) -> Path:
        return clean / self._names.get(job.source, job.relative)

    def lacks_side_files(self, job: Job) -> bool:
        """See `Step.lacks_side_files`. A copy that is another picture is reported."""
        if self.options.clean is None:
            return False
        copy = self._copy(job, self.options.clean)
        if not copy.exists():
            return True
        try:
            if digest_file(copy) != job.content:
                self._report_other(copy)
        except OSError as error:
            self._log.unwritten.add(f"cannot read the clean picture {copy}: {(error.strerror or str(error)).lower()}")
        return False

    def write_side_files(self, job: Job, frames: int, masks: Sequence[Masks]) -> None:
        """Copy the clean original next to its result's name. An error does not fail the picture; it is reported at the end."""
        if self.options.clean is None:
            return
        copy = self._copy(job, self.options.clean)
        try:
            if copy.exists() and not filecmp.cmp(job.source, copy, shallow=False):
                self._report_other(copy)
                return
            with atomic_write(copy) as draft:
                shutil.copyfile(job.source, draft)
        except OSError as error:
            self._log.unwritten.add(f"cannot write the clean picture {copy}: {(error.strerror or str(error)).lower()}")

    def _report_other(self, copy: Path) -> None:
        self._log.unwritten.add(f"{copy} already exists and is another picture: move it, or choose another folder for --clean")

    def run_logs(self) -> list[RunLog]:
        """See `Step.run_logs`."""
        return [self._log]

    def unwritten(self) -> list[str]:
        """The clean pictures that could not be copied: the first by name, and the number of the others."""
        return self._log.first_unwritten()
