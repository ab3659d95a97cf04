"""The step of `restore colorize`: refuses radiographs, and gives gray pictures colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from restore import images
from restore.images import ImageError
from restore.images.errors import SALVAGE
from restore.inference import radiograph, uniform_borders
from restore.inference.colorizer import TASK, Colorizer, palette_of
from restore.inference.loading import InferenceOptions, find_weights
from restore.inference.palette import Palette
from restore.pipeline.discovery import Job
from restore.pipeline.step import Image, Result, Sidecars, Step
from restore.tasks.lazy_cache import LazyCache
from restore.tasks.options import AUTO, ColorizeOptions
from restore.weights import fingerprint

DEFAULT = "colorize"
INVENTED = "its colours would be invented, and could be taken for findings"
CERTAIN = 0.9
"""Probability of a radiograph above which a picture is refused. Of pictures that were not fitted, 19 of 20 X-rays and none of 335
photographs lie above."""


class Colorize(Step[bool]):
    """The step of `restore colorize`. Its results have three channels. Its analysis is True: the picture may be coloured.

    Args:
        options: see `ColorizeOptions`.
        weights: a name, a file or a run's folder; None uses the shipped weights.
        inference: device and precision. The network sees each picture as a whole, so tiles have no effect.

    Raises:
        ValueError: the weights do not exist or are for another task.
    """

    name = TASK
    colours = True
    finer_coding = False  # the source's tables keep its luma to the last bit

    def __init__(self, options: ColorizeOptions, weights: str | Path | None, inference: InferenceOptions) -> None:
        self.options, self.inference = options, inference
        self.entry = find_weights(weights or DEFAULT, TASK, inference)
        self._colorizers = LazyCache(self._load)

    def settings(self) -> dict[str, object]:
        """The weights' content, the options and the precision; the hint counts by its content, as a sidecar."""
        inference = {name: value for name, value in self.inference.fingerprint().items() if name != "tile"}
        options = {name: value for name, value in self.options.as_dict().items() if (name, value) != ("content", AUTO)}
        return {"weights": fingerprint(self.entry), **options, **inference}

    def sidecars(self, source: Path, relative: Path) -> Sequence[Path]:
        """The hint."""
        if self.options.hint is None:
            return ()
        if not self.options.hint.is_file():
            raise ValueError(f"the hint {self.options.hint} is no file: name a colour picture")
        return (self.options.hint,)

    def plan(self, jobs: Sequence[Job]) -> None:
        """Read the hint, so that one that is of no use is refused before the first picture.

        Raises:
            ValueError: it is no file, cannot be read, or is gray.
        """
        self.sidecars(Path(), Path())
        self._hint({})

    def analyse(self, image: Image) -> bool:
        """Refuse what must not get colours; True for everything else.

        Raises:
            ImageError: DICOM, or a picture that looks like a radiograph or is one as the options say.
        """
        if image.info.radiograph is not None:
            raise ImageError(f"a DICOM image is not coloured: {INVENTED}")
        if self.options.content == "radiograph":
            raise ImageError(f"a radiograph is not coloured: {INVENTED}")
        if self.options.content == AUTO:
            inner = uniform_borders.without(image.pixels)
            if radiograph.probability(inner, uniform_borders.labels(inner)) > CERTAIN:
                raise ImageError(
                    f"it looks like a radiograph, which is not coloured: {INVENTED}; if it is a photograph, give --content photograph, "
                    'or in a file of steps content = "photograph" to the step "colorize"'
                )
        return True

    def __call__(self, image: Image, analysis: bool | None = None, sidecars: Sidecars | None = None) -> Result:
        """Colour an image."""
        if not analysis:
            self.analyse(image)
        hint = self._hint(sidecars or {})
        coloured, info = self._colorizers(self.entry.path).colorize(
            image.pixels, self.options.strength, hint=hint, levels=image.info.levels
        )
        return Result(coloured, {"weights": self.entry.name, **info.stats()})

    def _hint(self, sidecars: Sidecars) -> Palette | None:
        """The palette of the hint; None without one."""
        path = self.options.hint
        if path is None:
            return None
        try:
            picture = sidecars[path].picture if path in sidecars else images.read(path)
            frame = picture.frame(0)
            return palette_of(frame.displayed(), frame.visible())
        except ValueError as error:
            reason = str(error).removeprefix(f"{path.name}: ").replace(SALVAGE, "")  # a hint is read whole
            raise ValueError(f"the hint {path}: {reason}") from error

    def _load(self, path: Path) -> Colorizer:
        return Colorizer.load(path, self.inference)
