"""The step of `restore denoise`: chooses the weights, estimates the noise, and denoises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from restore import images, weights
from restore.images.noise_model import NoiseLevel
from restore.inference import impulse_noise, radiograph
from restore.inference.denoiser import Denoiser, Refinement, of_camera, signal_dependent
from restore.inference.loading import InferenceOptions, find_weights, load_network
from restore.inference.noise_estimate import Estimate
from restore.inference.noise_estimation import resolve_level
from restore.inference.picture_tuning import PictureTuner
from restore.inference.residual_check import check_residual
from restore.pipeline.discovery import Job
from restore.pipeline.stack import middle
from restore.pipeline.step import Image, Result, Sidecars, SideImage, Step
from restore.tasks import adaptation
from restore.tasks.confidence import NAMES
from restore.tasks.denoise_confidence import DenoiseConfidence
from restore.tasks.lazy_cache import LazyCache
from restore.tasks.options import AUTO, DenoiseOptions

XRAY, GRAY, COLOUR, CAMERA = "denoise-xray", "denoise-gray", "denoise-color", "denoise-camera"
ENSEMBLES = {"fast": (1, 1), "default": (2, 1), "best": (8, 8)}
"""Quality -> self-ensemble of photographs and of X-rays."""
WARNING_SIGMA = 1.5
"""Noise (sigma of 255, in the picture's own range) below which there is no warning: the rounding of 8 bits alone is 0.3."""
NEWER = {("confidence", False), ("quality", "default"), ("content", AUTO)}
"""Defaults of options that earlier versions did not have: left out of the settings, so that their runs resume."""
AGREEING = 1.25
"""Ratio of the noise of two frames of a film up to which it is the estimate that differs."""
CORRELATED = (
    "its noise is correlated between neighbouring pixels (lossy compression, demosaicing, detector blur): "
    "only its finest part was measured; if noise remains, use a higher --noise-level"
)


@dataclass(frozen=True)
class NoiseAnalysis:
    """The analysis of an image: whether its channels are equal, the weights to use, and its noise."""

    gray: bool
    weights: str
    noise: Estimate | NoiseLevel


class Denoise(Step[NoiseAnalysis]):
    """The step of `restore denoise`.

    Args:
        options: see `DenoiseOptions`.
        weights: a name, a file or a run's folder; None chooses for each picture by its content.
        inference: device, precision, tiles.

    Raises:
        ValueError: the weights do not exist or are for another task.
    """

    name = "denoise"

    def __init__(self, options: DenoiseOptions, weights: str | Path | None, inference: InferenceOptions) -> None:
        self.options, self.inference, self.chosen = options, inference, weights
        self._given = self._entries = _entries(weights, inference)
        self._remarks: list[str] = []
        self._level = None if options.noise_level == "auto" else float(options.noise_level)
        self.unifies = self._level is None
        self.learns_from_inputs = options.adapt
        self._denoisers = LazyCache(self._load)
        self._exact = LazyCache(self._load_exact)
        self._refinement = LazyCache(self._load_refinement)
        self.confidence = DenoiseConfidence(inference.runtime) if options.confidence else None
        self.side_images = NAMES if options.confidence else ()

    def settings(self) -> dict[str, object]:
        """The weights' contents, the options, the precision and the tiles. Defaults of newer options are left out."""
        options = self.options.as_dict()
        options = {name: value for name, value in options.items() if not name.startswith("adapt")}  # the weights say what was adapted
        options = {name: value for name, value in options.items() if (name, value) not in NEWER}
        return {
            "weights": {name: weights.fingerprint(entry) for name, entry in self._entries.items()}, **options,
            **self.inference.fingerprint(), **(self.confidence.settings() if self.confidence else {}),
        }  # fmt: skip

    def plan(self, jobs: Sequence[Job]) -> None:
        """Adapt the weights that most of the pictures need, if the options say so."""
        if not self.options.adapt:
            return
        name, files = self.most_common_weights([job.source for job in jobs if not job.error])
        if not files:
            self._remarks = ["not adapted: none of the pictures can be read"] if jobs else []
            return
        result = adaptation.adapt(self._given[name], files, self.inference.runtime, self.options.adapt_minutes)
        self._remarks = [result.text]
        self._entries = {**self._given, **({name: result.entry} if result.entry else {})}

    def most_common_weights(self, files: Sequence[Path]) -> tuple[str, list[Path]]:
        """The name of the weights that most of some files need, and those of the files that need them; no files if none can be read."""
        names = {path: name for path in adaptation.spread(files) if (name := self._weights_of(path))}
        common = Counter(names.values()).most_common(1)
        return (common[0][0], [path for path, own in names.items() if own == common[0][0]]) if common else ("", [])

    def remarks(self) -> list[str]:
        """What was adapted, and why it is used or not."""
        return self._remarks

    def analyse(self, image: Image) -> NoiseAnalysis:
        """Choose the weights and estimate the noise."""
        pixels = image.pixels
        gray = pixels.shape[2] == 1 or radiograph.is_gray(pixels)
        pixels, _ = impulse_noise.cleaned(pixels[:, :, :1] if gray else pixels, image.valid)
        noise = resolve_level(pixels, self._level, image.valid)
        return NoiseAnalysis(gray, self._weights(pixels, gray, image.info.radiograph, noise), noise)

    def unified(self, own: NoiseAnalysis, samples: Sequence[NoiseAnalysis], image: Image) -> NoiseAnalysis:
        """The sample with the median noise, of those for the most frequent weights, if all agree.

        A film whose exposure changes keeps each frame's own.
        """
        levels = [_sigma(one) for one in (own, *samples)]
        if any(one.gray != own.gray for one in samples) or max(levels) > AGREEING * min(levels):
            return own
        common = Counter(one.weights for one in samples).most_common(1)[0][0]
        return middle([one for one in samples if one.weights == common], _sigma)

    def __call__(self, image: Image, analysis: NoiseAnalysis | None = None, sidecars: Sidecars | None = None) -> Result:
        """Denoise an image."""
        analysis = analysis or self.analyse(image)
        pixels = image.pixels[:, :, :1] if analysis.gray else image.pixels
        restored, info = self._denoisers(analysis.weights).denoise(
            pixels, analysis.noise, self.options.strength, valid=image.valid,
            refinement=self._refined_by(analysis.weights),
        )  # fmt: skip
        judged = restored  # without the part of the impulses that a strength below 1 leaves
        if info.impulses:
            clean, _ = impulse_noise.cleaned(pixels, image.valid)
            judged, pixels = restored - np.float32(1 - self.options.strength) * (pixels - clean), clean
        if pixels.min() == pixels.max():  # a blank page: what bfloat16 rounds would look like a picture to later steps
            judged = restored = pixels.copy()
        warnings = _warnings(pixels, judged, analysis.noise)
        stats = {"weights": self._entries[analysis.weights].name, **_stats(analysis.noise), **info.stats()}
        side: tuple[SideImage, ...] = ()
        if self.confidence is not None:
            entry, exact = self._entries[analysis.weights], self._exact(analysis.weights)
            known = self.confidence(image, pixels, judged, analysis.noise, entry, exact)
            side, stats, warnings = known.side, {**stats, **known.stats}, (*warnings, *known.warnings)
        if analysis.gray and image.pixels.shape[2] == 3:
            restored = np.repeat(restored, 3, axis=2)
        level = analysis.noise.level if isinstance(analysis.noise, Estimate) else analysis.noise
        return Result(restored, stats, warnings, side=side, removed=level.scaled(self.options.strength))

    def _load(self, name: str) -> Denoiser:
        return self._made(name, self.inference, self._ensemble(name))

    def _load_exact(self, name: str) -> Denoiser:
        """The denoiser in float32."""
        return self._made(name, self._in_float32(), self._ensemble(name))

    def _load_refinement(self, name: str) -> Refinement:
        network, _ = load_network(self._entries[name].path, "denoise")
        tuner = PictureTuner(network, replace(self.inference, ensemble=self._ensemble(name)))
        return Refinement(self._made(name, self._in_float32(), 1).runner, tuner)

    def _refined_by(self, name: str) -> Refinement | None:
        """What `best` does besides its eight runs: nothing for X-rays and for cameras, where the risk estimate cannot tell what helps."""
        recipe = self._entries[name].recipe
        if self.options.quality != "best" or signal_dependent(recipe) or of_camera(recipe):
            return None
        return self._refinement(name)

    def _in_float32(self) -> InferenceOptions:
        return replace(self.inference, runtime=self.inference.runtime.in_precision("fp32"))

    def _made(self, name: str, inference: InferenceOptions, ensemble: int) -> Denoiser:
        return Denoiser.load(self._entries[name].path, replace(inference, ensemble=ensemble))

    def _ensemble(self, name: str) -> int:
        if self.options.ensemble != "auto":
            return int(self.options.ensemble)
        return ENSEMBLES[self.options.quality][signal_dependent(self._entries[name].recipe)]

    def _weights_of(self, path: Path) -> str | None:
        """The name of the weights for a file; None if it cannot be read, which its own record will say."""
        try:
            picture = images.read(path)
            pixels = picture.frame(0).normalized()
        except Exception:  # whatever a damaged file raises is that file's fault
            return None
        gray = pixels.shape[2] == 1 or radiograph.is_gray(pixels)
        noise = NoiseLevel() if gray or self.chosen is not None else resolve_level(pixels, self._level)  # which takes time
        return self._weights(pixels, gray, picture.radiograph, noise)

    def _weights(self, pixels: np.ndarray, gray: bool, is_radiograph: bool | None, noise: Estimate | NoiseLevel) -> str:
        if self.chosen is not None:
            return next(iter(self._entries))
        if not gray:
            return CAMERA if isinstance(noise, Estimate) and noise.of_camera else COLOUR
        return XRAY if radiograph.is_radiograph(pixels, is_radiograph, self.options.content) else GRAY


def _entries(chosen: str | Path | None, inference: InferenceOptions) -> Mapping[str, weights.Entry]:
    """The weights that the step may need, by name.

    Raises:
        ValueError: the weights are for another task.
    """
    names = [chosen] if chosen else [XRAY, GRAY, COLOUR, CAMERA]
    return {Path(name).stem if chosen else str(name): find_weights(name, "denoise", inference) for name in names}


def _warnings(pixels: np.ndarray, restored: np.ndarray, noise: Estimate | NoiseLevel) -> tuple[str, ...]:
    """The warnings for a picture whose noise was estimated; none if the user specified the level."""
    if not isinstance(noise, Estimate) or noise.level.sigma() < WARNING_SIGMA * float(np.ptp(pixels)):
        return ()
    doubt = check_residual(pixels, restored, noise.level)
    return (*([CORRELATED] if noise.correlated else []), *([doubt] if doubt else []))


def _sigma(analysis: NoiseAnalysis) -> float:
    return _level_of(analysis.noise).sigma()


def _level_of(noise: Estimate | NoiseLevel) -> NoiseLevel:
    return noise.level if isinstance(noise, Estimate) else noise


def _stats(noise: Estimate | NoiseLevel) -> dict[str, object]:
    level = _level_of(noise)
    stats: dict[str, object] = {"noise_level": round(level.sigma(), 2), "noise": str(level)}
    if level.slope > 0:
        stats["counts_at_white"] = round(1 / level.slope, 1)
    return stats
