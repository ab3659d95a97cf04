"""The step of `restore translate`: translates pictures between domains with networks trained by pix2pix or CycleGAN."""

from __future__ import annotations

from pathlib import Path

from restore.inference.loading import InferenceOptions, find_weights
from restore.inference.translator import Translator
from restore.pipeline.step import Image, Result, Sidecars, Step
from restore.tasks.lazy_cache import LazyCache
from restore.tasks.options import TranslateOptions
from restore.weights import fingerprint

DEFAULT = "photo2paint"


class Translate(Step[None]):
    """The step of `restore translate`.

    Args:
        options: see `TranslateOptions`.
        weights: a name, a file or a run's folder; None uses the shipped weights.
        inference: device, precision, tiles.

    Raises:
        ValueError: the weights do not exist, are for another task, or lack the direction.
    """

    name = "translate"

    def __init__(self, options: TranslateOptions, weights: str | Path | None, inference: InferenceOptions) -> None:
        self.options, self.inference = options, inference
        self.entry = find_weights(weights or DEFAULT, "translate", inference)
        directions = self.entry.recipe.get("directions") or []
        if options.reverse and len(directions) < 2:
            raise ValueError(f"the weights {self.entry.name!r} have one direction only: leave --reverse out")
        self.direction = directions[1 if options.reverse else 0] if directions else None
        self._translators = LazyCache(self._load)

    def settings(self) -> dict[str, object]:
        """The weights' content, the options, the precision and the tiles."""
        return {"weights": fingerprint(self.entry), **self.options.as_dict(), **self.inference.fingerprint()}

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        """Translate an image."""
        translator = self._translators(self.entry.path)
        side = translator.side_for(image.pixels.shape, self.options.size)
        restored, info = translator.translate(image.pixels, self.options.strength, side)
        return Result(restored, {"weights": self.entry.name, "shorter_side": side, **info.stats()})

    def _load(self, path: Path) -> Translator:
        return Translator.load(path, self.inference, direction=self.direction)
