"""The step of `restore artifacts`: removes the artefacts of JPEG compression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from restore.images.quantisation import Quantisation
from restore.inference import compression_traces
from restore.inference.artifact_remover import ArtifactRemover
from restore.inference.loading import InferenceOptions, find_weights
from restore.pipeline.step import Image, Result, Sidecars, Step
from restore.tasks.lazy_cache import LazyCache
from restore.tasks.options import ArtifactsOptions
from restore.weights import fingerprint

DEFAULT = "artifacts"
ENSEMBLE = 2
"""Runs of auto. Classic5 at quality 10 / 40 / 90, gain over one run: 2 +0.03 / +0.04 / +0.05 dB, 4 +0.04 / +0.06 / +0.08, 8 no more."""
COARSER = 1.3
"""Times the file's mean step, above which an earlier compression counts. Frames of a film whose steps differ more were coded otherwise."""


@dataclass(frozen=True)
class CompressionAnalysis:
    """How an image was compressed.

    Attributes:
        quantisation: of its luma; None where no compression is known.
        origin: what says so.
    """

    quantisation: Quantisation | None
    origin: str


class Artifacts(Step[CompressionAnalysis]):
    """The step of `restore artifacts`. An image without traces of compression stays as it is.

    Args:
        options: see `ArtifactsOptions`.
        weights: a name, a file or a run's folder; None uses the shipped weights.
        inference: device, precision, tiles.

    Raises:
        ValueError: the weights do not exist or are for another task.
    """

    name = "artifacts"

    def __init__(self, options: ArtifactsOptions, weights: str | Path | None, inference: InferenceOptions) -> None:
        self.options, self.inference = options, inference
        self.entry = find_weights(weights or DEFAULT, "artifacts", inference)
        self._quality = None if options.quality == "auto" else int(options.quality)
        self.unifies = self._quality is None
        self._removers = LazyCache(self._load)

    def settings(self) -> dict[str, object]:
        """The weights' content, the options, the precision and the tiles."""
        return {"weights": fingerprint(self.entry), **self.options.as_dict(), **self.inference.fingerprint()}

    def analyse(self, image: Image) -> CompressionAnalysis:
        """Take the quantisation from the options, else from the file, else from the pixels.

        Where the pixels show that the file was coded before, and more coarsely, that compression did the damage.
        """
        if self._quality is not None:
            return CompressionAnalysis(Quantisation.of_quality(self._quality), "specified")
        of_file = image.info.quantisation if image.info.size == image.pixels.shape[:2] else None
        found = compression_traces.find(image.pixels)
        if of_file is None:
            return CompressionAnalysis(found, "none found" if found is None else "pixels")
        if found is not None and found.mean_step > COARSER * of_file.mean_step:
            return CompressionAnalysis(found, "an earlier compression")
        return CompressionAnalysis(of_file, "file")

    def unified(self, own: CompressionAnalysis, samples: Sequence[CompressionAnalysis], image: Image) -> CompressionAnalysis:
        """The most frequent compression of the samples, if the frame's pixels confirm it; of equally frequent ones, the finer.

        A frame that was coded otherwise, or not at all, keeps its own.
        """
        tables = [one.quantisation for one in samples if one.quantisation is not None]
        if image.info.quantisation is not None or not tables:
            return own
        counts = Counter(_key(table) for table in tables)
        likely = min(tables, key=lambda table: (-counts[_key(table)], table.mean_step))
        if own.quantisation is not None:
            finer, coarser = sorted((own.quantisation.mean_step, likely.mean_step))
            if coarser > COARSER * finer or _key(own.quantisation) == _key(likely):
                return own
        return CompressionAnalysis(likely, "pixels") if compression_traces.confirm(image.pixels, likely) else own

    def __call__(self, image: Image, analysis: CompressionAnalysis | None = None, sidecars: Sidecars | None = None) -> Result:
        """Remove the artefacts of an image."""
        analysis = analysis or self.analyse(image)
        if analysis.quantisation is None:
            return Result(image.pixels, {"weights": self.entry.name, "compression": analysis.origin})
        restored, info = self._removers(self.entry.path).remove(image.pixels, analysis.quantisation, self.options.strength)
        stats = {"compression": analysis.origin, "quality": analysis.quantisation.quality}
        return Result(restored, {"weights": self.entry.name, **stats, **info.stats()})

    def _load(self, path: Path) -> ArtifactRemover:
        ensemble = ENSEMBLE if self.options.ensemble == "auto" else int(self.options.ensemble)
        return ArtifactRemover.load(path, replace(self.inference, ensemble=ensemble))


def _key(table: Quantisation) -> tuple[bytes, int, int]:
    """Equal for equal tables and blocks."""
    return table.steps.tobytes(), table.top, table.left
