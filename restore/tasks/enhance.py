"""The step of `restore enhance`: photographs by a learnt table and gated detail, radiographs and slices by a contrast law for display."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from restore import weights as catalogue
from restore.images.luma import luma
from restore.images.noise_model import NoiseLevel
from restore.inference import cube_file, display_contrast, enhancer, radiograph
from restore.inference.display_contrast import Noise, Tones
from restore.inference.engines import TORCH
from restore.inference.enhancer import TASK, Enhancer, GlobalMap
from restore.inference.loading import InferenceOptions, find_weights
from restore.inference.noise_estimation import estimate
from restore.inference.strengths import Strengths
from restore.pipeline.discovery import Job
from restore.pipeline.stack import middle
from restore.pipeline.step import Image, Masks, Result, RunLog, Sidecars, Step
from restore.tasks import table_files
from restore.tasks.lazy_cache import LazyCache
from restore.tasks.options import AUTO, EnhanceOptions
from restore.tasks.table_files import TableNames
from restore.writing import atomic_write

DEFAULT = "enhance"
EIGHT_BITS = 255
"""Steps from black to white of 8-bit values. They stay visible as bands of a sky after a denoiser, so the file is asked."""
AGREEING = 0.5
"""Difference of the brightness of two frames of a film, in deviations of a frame's pixels, above which each keeps its own exposure: a
quarter of a photograph's exposure, a sixth of an X-ray's."""


@dataclass(frozen=True, eq=False)
class EnhanceAnalysis:
    """The analysis of an image.

    Attributes:
        gray: whether its channels are equal.
        noise: its noise, if it is a radiograph or another medical picture; None for a photograph.
        thumbnails: of a frame among several: of a photograph the `enhancer.overview`, which decides its map of exposure and contrast; of a
            medical frame the first of them.
        tones: of a medical frame among several: what decides its curve.
        brightness, spread: mean and deviation of the luma of a frame among several.
    """

    gray: bool
    noise: NoiseLevel | None
    thumbnails: tuple[np.ndarray, ...] = ()
    tones: Tones | None = None
    brightness: float = 0.0
    spread: float = 0.0


class Enhance(Step[EnhanceAnalysis]):
    """The step of `restore enhance`.

    Args:
        options: see `EnhanceOptions`.
        weights: a name, a file or a run's folder; None for those that ship.
        inference: not used: the network sees a thumbnail, and torch computes the rest in float32 whatever the precision and the engine.

    Raises:
        ValueError: the weights do not exist or are for another task.
    """

    name = "enhance"
    caution = "for display, not for measurement"
    unifies = True

    def __init__(self, options: EnhanceOptions, weights: str | Path | None, inference: InferenceOptions) -> None:
        self.options, self.inference = options, inference
        self.side_folders = () if options.save_lut is None else (("--save-lut", options.save_lut),)
        self.strengths = Strengths(options.exposure, options.contrast, options.local_contrast, options.sharpness)
        self.entry = find_weights(weights or DEFAULT, TASK)
        self._enhancers = LazyCache(self._load)
        self._maps: dict[tuple[Path, int], tuple[GlobalMap, bool]] = {}
        self._names = TableNames()
        self._log = RunLog()

    def settings(self) -> dict[str, object]:
        """The weights' content, the strengths and what the pictures show. Precision and tiles change nothing."""
        content = {} if self.options.content == AUTO else {"content": self.options.content}
        return {"weights": catalogue.fingerprint(self.entry), **vars(self.strengths), **content}

    def plan(self, jobs: Sequence[Job]) -> None:
        """Forget the tables of an earlier run, and name those of this one."""
        self._maps.clear()
        self._names.plan(jobs, self.options.save_lut)

    def analyse(self, image: Image) -> EnhanceAnalysis:
        """Tell medical pictures from photographs, and estimate their noise.

        Of a frame among several, also measure what decides its curve or map, which frames that look alike share.
        """
        gray = radiograph.is_gray(image.pixels)
        pixels = image.pixels[:, :, :1] if gray else image.pixels
        medical = gray and self._is_medical(image)
        noise = estimate(pixels, image.valid).level if medical else None
        if image.info.frames == 1:
            return EnhanceAnalysis(gray, noise)
        thumbnails = (enhancer.thumbnail(pixels),) if medical else tuple(enhancer.overview(pixels))
        tones = display_contrast.tones(pixels, image.valid) if medical else None
        small = luma(thumbnails[0])
        return EnhanceAnalysis(gray, noise, thumbnails, tones, float(small.mean()), float(small.std()))

    def _is_medical(self, image: Image) -> bool:
        """Whether a gray image is no photograph. DICOM says whether it is a radiograph; slices and ultrasound are no photographs either."""
        return image.info.radiograph is not None or radiograph.is_radiograph(image.pixels[:, :, :1], content=self.options.content)

    def unified(self, own: EnhanceAnalysis, samples: Sequence[EnhanceAnalysis], image: Image) -> EnhanceAnalysis:
        """The sample of median brightness, of the more frequent kind, if all are about as bright.

        A film whose exposure changes, such as a series of exposures, keeps each frame's own. Medical frames follow small changes: their
        curve is shifted by the median difference of the frames' pixels, which a moving object does not change.
        """
        if any(one.gray != own.gray for one in samples):
            return own
        medical = 2 * sum(one.noise is not None for one in samples) > len(samples)
        chosen = middle([one for one in samples if (one.noise is not None) == medical], lambda one: one.brightness)
        apart = float(np.ptp([one.brightness for one in (own, *samples)]))
        if not apart <= AGREEING * chosen.spread:  # nor where a brightness is NaN
            return own
        if chosen.tones is None:
            return chosen
        return replace(chosen, tones=chosen.tones.shifted(float(np.median(own.thumbnails[0] - chosen.thumbnails[0]))))

    def __call__(self, image: Image, analysis: EnhanceAnalysis | None = None, sidecars: Sidecars | None = None) -> Result:
        """Enhance an image."""
        if self.strengths.none:
            return Result(image.pixels)
        analysis = analysis or self.analyse(image)
        if analysis.noise is not None:
            return self._for_display(image, Noise(analysis.noise, image.removed), analysis.tones)
        restored, mapping, detail = self._enhancers(self.entry.path).enhance(
            image.pixels, self.strengths, image.valid, analysis.thumbnails, eight_bit=image.info.levels == EIGHT_BITS
        )
        if self.options.save_lut is not None:
            self._maps[image.info.path, image.info.index] = mapping, analysis.gray
        stats = {
            "kind": "photograph", "weights": self.entry.name, "exposure_change": round(255 * mapping.change, 1),
            "contrast_gain": round(mapping.slope, 2), "detail_gain": round(detail, 2),
        }  # fmt: skip
        return Result(restored, stats)

    def write_side_files(self, job: Job, frames: int, masks: Sequence[Masks]) -> None:
        """Write the tables of a picture. An error does not fail the picture; it is reported at the end."""
        folder = self.options.save_lut
        if folder is None:
            return
        maps = {index: entry for index in range(frames) if (entry := self._maps.pop((job.source, index), None))}
        for index, (mapping, gray) in maps.items():
            target = table_files.place(folder / self._names.of(job), index if frames > 1 else None)
            if self._is_foreign(target):
                continue
            try:
                with atomic_write(target) as draft:
                    draft.write_text(
                        cube_file.cube(mapping, gray=gray, title=job.relative.name, comment=table_files.MAKER), encoding="ascii"
                    )
            except OSError as error:
                self._log.unwritten.add(f"cannot write the lookup table {target}: {(error.strerror or str(error)).lower()}")

    def lacks_side_files(self, job: Job) -> bool:
        """See `Step.lacks_side_files`. Only restoring a picture tells whether it has a table, so a lacking one is reported."""
        folder = self.options.save_lut
        if folder is not None and not self.strengths.none:
            base = folder / self._names.of(job)
            if not table_files.exists(base):
                self._log.lacking.add(job.source)
            self._is_foreign(table_files.place(base))
        return False

    def _is_foreign(self, target: Path) -> bool:
        """Whether a file at `target` is no table of a run; it is reported."""
        foreign = table_files.is_foreign(target)
        if foreign:
            self._log.unwritten.add(f"{target} is a file that no run of restore made: move it, or choose another folder for --save-lut")
        return foreign

    def run_logs(self) -> list[RunLog]:
        """See `Step.run_logs`."""
        return [self._log]

    def remarks(self) -> list[str]:
        """Which engine was not used, and how many pictures have no table because they were done before."""
        engine, lacking = self.inference.engine, len(self._log.lacking)
        return [
            *([] if engine == TORCH else [f"enhance computes its tables with torch, not with {engine}"]),
            *([f"{lacking} done before have no lookup table: --overwrite writes those of photographs"] if lacking else []),
        ]

    def unwritten(self) -> list[str]:
        """The tables that could not be written: the first by name, and the number of the others."""
        return self._log.first_unwritten()

    def _for_display(self, image: Image, noise: Noise, tones: Tones | None) -> Result:
        """Enhance a gray medical image."""
        restored, done = display_contrast.enhance(image.pixels[:, :, :1], noise, self.strengths, image.valid, tones)
        if image.pixels.shape[2] == 3:
            restored = np.repeat(restored, 3, axis=2)
        stats: dict[str, object] = {"kind": "medical"}
        if done is not None:
            level = f"sigma {noise.level.sigma():.1f} of 255"
            stats |= {"range": [round(end, 3) for end in done.range], "brightness": round(done.brightness, 2), "noise": level}
        return Result(restored, stats)

    def _load(self, path: Path) -> Enhancer:
        return Enhancer.load(path, self.inference)
