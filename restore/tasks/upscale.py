"""The step of `restore upscale`: chooses the weights for a scale and upscales."""

from __future__ import annotations

from pathlib import Path

from restore import weights as catalogue
from restore.inference.loading import InferenceOptions, check_task
from restore.inference.upscaler import Upscaler
from restore.pipeline.step import Image, Result, Sidecars, Step
from restore.tasks.lazy_cache import LazyCache
from restore.tasks.options import LARGEST_SCALE, UpscaleOptions

FAITHFUL = {2: "upscale-x2", 4: "upscale-x4"}
PHOTO = {4: "upscale-x4-photo"}


class Upscale(Step[None]):
    """The step of `restore upscale`.

    For a scale between those of the networks, the result of the next larger one is downscaled.

    Args:
        options: see `UpscaleOptions`.
        weights: "faithful" (the default), "photo", a name, a file or a run's folder.
        inference: device, precision, tiles (of the input).

    Raises:
        ValueError: the weights do not exist, are for another task, or have a smaller scale.
    """

    name = "upscale"

    def __init__(self, options: UpscaleOptions, weights: str | Path | None, inference: InferenceOptions) -> None:
        self.options, self.inference = options, inference
        self.entry = catalogue.find(_name(weights, options.scale or LARGEST_SCALE))
        check_task(self.entry.recipe, "upscale", self.entry.name)
        own = int(self.entry.recipe["settings"].get("scale", 4))
        self.scale = options.scale or float(own)
        if self.scale > own:
            raise ValueError(f"the weights {self.entry.name!r} upscale {own} times, not {self.scale:g}: choose others or a lower scale")
        self._upscalers = LazyCache(self._load)

    def settings(self) -> dict[str, object]:
        """The weights' content, the options, the precision and the tiles."""
        return {
            "weights": catalogue.fingerprint(self.entry), **self.options.as_dict(), "scale": self.scale, **self.inference.fingerprint(),
        }  # fmt: skip

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        """Upscale an image."""
        restored, info = self._upscalers(self.entry.path).upscale(image.pixels, self.scale, self.options.strength)
        return Result(restored, {"weights": self.entry.name, "scale": self.scale, **info.stats()})

    def _load(self, path: Path) -> Upscaler:
        return Upscaler.load(path, self.inference)


def _name(weights: str | Path | None, scale: float) -> str | Path:
    """The shipped weights of a family with the smallest scale that is at least `scale`; other names are returned unchanged."""
    families = {"faithful": FAITHFUL, "photo": PHOTO}
    family = families.get(str(weights or "faithful"))
    if family is None:
        assert weights is not None
        return weights
    return family[min(own for own in family if own >= scale)]
