"""The step of `restore upscale`: chooses the weights for a scale and upscales."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from restore import weights as catalogue
from restore.inference.confidence_calibration import NOISY
from restore.inference.loading import InferenceOptions, check_engine, check_task
from restore.inference.noise_estimation import measured
from restore.inference.upscaler import Upscaler
from restore.pipeline.step import Image, Result, Sidecars, Step
from restore.tasks.confidence import NAMES
from restore.tasks.lazy_cache import LazyCache
from restore.tasks.options import LARGEST_SCALE, UpscaleOptions
from restore.tasks.upscale_confidence import UpscaleConfidence

FAITHFUL = {2: "upscale-x2", 4: "upscale-x4"}
PHOTO = {4: "upscale-x4-photo"}
AMPLIFIED = "its noise (sigma {sigma:.1f} of 255) will be amplified: run `restore denoise` first"
LEAST_SIGMA = 2.5
"""Noise of 255 below which there is no warning."""


class Upscale(Step[None]):
    """The step of `restore upscale`.

    For a scale between those of the networks, the result of the next larger one is downscaled.

    Args:
        options: see `UpscaleOptions`.
        weights: "faithful" (the default), "photo", a name, a file or a run's folder.
        inference: device, precision, tiles (of the input).

    Raises:
        ValueError: the weights do not exist, are for another task, have a smaller scale, or have no maps.
    """

    name = "upscale"

    def __init__(self, options: UpscaleOptions, weights: str | Path | None, inference: InferenceOptions) -> None:
        self.options, self.inference = options, inference
        self.entry = catalogue.find(_name(weights, options.scale or LARGEST_SCALE))
        check_task(self.entry.recipe, "upscale", self.entry.name)
        check_engine(self.entry, inference)
        own = int(self.entry.recipe["settings"].get("scale", 4))
        self.scale = options.scale or float(own)
        if self.scale > own:
            raise ValueError(f"the weights {self.entry.name!r} upscale {own} times, not {self.scale:g}: choose others or a lower scale")
        self._upscalers = LazyCache(self._load)
        self.confidence = UpscaleConfidence(self.entry, own, FAITHFUL, inference.runtime) if options.confidence else None
        self.side_images = NAMES if options.confidence else ()

    def settings(self) -> dict[str, object]:
        """The weights' content, the options, the precision and the tiles. Defaults of newer options are left out."""
        options = self.options.as_dict()
        options = {name: value for name, value in options.items() if (name, value) not in {("confidence", False), ("quality", "default")}}
        return {
            "weights": catalogue.fingerprint(self.entry), **options, "scale": self.scale, **self.inference.fingerprint(),
            **(self.confidence.settings() if self.confidence else {}),
        }  # fmt: skip

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        """Upscale an image."""
        upscaler = self._upscalers(self.entry.path)
        restored, info = upscaler.upscale(image.pixels, self.scale, self.options.strength, project=self._best)
        stats = {"weights": self.entry.name, "scale": self.scale, **info.stats()}
        noisy = self._noise_warning(image)
        if self.confidence is None:
            return Result(restored, stats, noisy)
        found = self.confidence(image, restored, upscaler.runner.range_of(image.pixels), self.scale)
        known = any(NOISY in text for text in found.warnings)
        return Result(restored, {**stats, **found.stats}, found.warnings if known else (*noisy, *found.warnings), side=found.side)

    def _noise_warning(self, image: Image) -> tuple[str, ...]:
        """What is said of noise that the network would take for detail; nothing if the cubic kernel upscales, or after denoising."""
        if self.options.strength == 0 or image.removed is not None:
            return ()
        noise = measured(image.pixels, image.valid)
        sigma = noise.level.sigma()
        return (AMPLIFIED.format(sigma=sigma),) if sigma >= LEAST_SIGMA and noise.certainly_white else ()

    @property
    def _best(self) -> bool:
        return self.options.quality == "best"

    def _load(self, path: Path) -> Upscaler:
        return Upscaler.load(path, replace(self.inference, ensemble=8) if self._best else self.inference)


def _name(weights: str | Path | None, scale: float) -> str | Path:
    """The shipped weights of a family with the smallest scale that is at least `scale`; other names are returned unchanged."""
    families = {"faithful": FAITHFUL, "photo": PHOTO}
    family = families.get(str(weights or "faithful"))
    if family is None:
        assert weights is not None
        return weights
    return family[min(own for own in family if own >= scale)]
