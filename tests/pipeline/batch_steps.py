"""Stand-ins for a task's step, and the small pictures they are run on. No network, no torch."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from restore.pipeline.step import Image, Result, Sidecars, Step


class Identity(Step[None]):
    """Returns what it is given; remembers which pictures came by."""

    name = "identity"

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self.processed: list[str] = []

    def settings(self) -> dict[str, Any]:
        return self._settings

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        self.processed.append(image.info.path.name)
        return Result(image.pixels, {"weights": "none", "noise": 0.0, "precision": "fp32", "tile": 0})


class Inverse(Identity):
    """Turns black to white, so that results differ from inputs; `seconds` makes it slow."""

    name = "inverse"

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        result = super().__call__(image)
        time.sleep(self.seconds)
        return replace(result, pixels=1 - result.pixels)


class Failing(Identity):
    """Raises `error` for the pictures whose name holds `mark`."""

    def __init__(self, mark: str, error: Exception) -> None:
        super().__init__()
        self.mark, self.error = mark, error

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        if self.mark in image.info.path.name:
            raise self.error
        return super().__call__(image)


def looping(*_: object) -> None:
    """A decoder that never ends and keeps Python's lock, as one in C may do; for a decoding process."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (12, 17)) -> Path:
    """A small gray picture of `size` (height, width) at `path`, whose suffix tells the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    Pillow.fromarray(samples).save(path)
    return path


def folder(path: Path, count: int, size: tuple[int, int] = (12, 17)) -> Path:
    """A folder of `count` pictures, some of them in a folder of its own."""
    for index in range(count):
        picture(path / ("deep" if index % 3 == 2 else ".") / f"{index:03d}.png", index, size)
    return path


def tree(root: Path) -> dict[str, bytes | None]:
    """Everything under `root`, hidden files too: relative name -> content, None for a folder."""
    return {path.relative_to(root).as_posix(): None if path.is_dir() else path.read_bytes() for path in root.rglob("*")}


def results(root: Path) -> set[str]:
    """The relative names of the files under `root` but the run's own."""
    return {name for name, content in tree(root).items() if content is not None and not name.startswith(".restore/")}
