"""Images that are written next to each result, such as maps of its error: their names, and committing them with the result.

The map `error` of the result `a.png` is `a.error.png` (`.tif` for several frames or floats, `.dcm` for DICOM); where the run also has a
result `a.bmp`, they are `a.png.error.png` and `a.bmp.error.png`. The manifest records it
like a result, and it is in place before the result is. So a result that is done has all its side images.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restore.images import Frame, error_maps, file_kind
from restore.images.error_maps import MapFormat
from restore.pipeline.discovery import Job
from restore.pipeline.result_store import ResultStore, Seen
from restore.pipeline.step import SideImage

SUFFIXES = (error_maps.PAGE, error_maps.PAGES, ".dcm")
"""The suffixes that a side image can have."""


@dataclass(frozen=True)
class Plane:
    """One frame of a side image: (H, W) float32 in stored values of the picture, and what it shows."""

    values: np.ndarray
    meaning: str


@dataclass(frozen=True)
class SideFiles:
    """The side images of one job.

    Attributes:
        manifest: of the run.
        job: the picture.
        names: of the side images, e.g. ("error", "bound").
    """

    manifest: ResultStore
    job: Job
    names: tuple[str, ...]

    def path(self, name: str, suffix: str) -> Path:
        """Where a side image goes."""
        return _path(self.job, name, suffix)

    def are_done(self, content: str) -> bool:
        """Whether all of them are of these settings, for an input with the hash `content`."""
        return all(any(self.manifest.is_done(self.path(name, suffix), content) for suffix in SUFFIXES) for name in self.names)

    def unmanaged(self) -> Path | None:
        """The first of their paths with a file that no run has recorded; None where there is none."""
        return next((path for path in self.paths() if self.manifest.is_unmanaged(path)), None)

    def paths(self) -> list[Path]:
        """Every path that one of them can have."""
        return [self.path(name, suffix) for name in self.names for suffix in SUFFIXES]

    def commit(
        self, format: MapFormat, frames: Sequence[dict[str, Plane]], task: str, content: str, *, salvaged: bool
    ) -> dict[str, object]:
        """Write all of them and rename them into place.

        Args:
            format: of the maps.
            frames: for each frame, the planes by name.
            task: what restored the picture.
            content: the input's hash.
            salvaged: whether pixels of the input are missing.

        Returns:
            For the report: each file, and its steps for one stored value of the picture.
        """
        written: dict[str, object] = {}
        for name in self.names:
            path = self.path(name, format.suffix)
            temporary = self.manifest.temporary(path)
            try:
                planes = [frame[name].values for frame in frames]
                steps = error_maps.save(temporary, planes, format, frames[0][name].meaning, self.job.source, task)
                self.manifest.commit(temporary, path, content, Seen(salvaged=salvaged))
            finally:
                with suppress(OSError):  # the manifest removes it later
                    temporary.unlink(missing_ok=True)
            written[name] = {"file": self.manifest.readable(str(path)), "steps": steps}
        return written


def planes_of(frame: Frame, side: Iterable[SideImage]) -> dict[str, Plane]:
    """Side images by name, in stored values of their frame."""
    levels = np.float32(min(frame.mapping.levels, float(np.finfo(np.float32).max)))  # float64 samples may have any range
    return {one.name: Plane(one.pixels * levels, one.meaning) for one in side}


def refuse_collisions(jobs: Sequence[Job], names: tuple[str, ...]) -> None:
    """Raise ValueError if a side image has the path of a result."""
    targets = {job.target for job in jobs}
    for job in jobs:
        for path in (_path(job, name, suffix) for name in names for suffix in SUFFIXES):
            if path in targets:
                raise ValueError(f"the map {path} of {job.source} has the name of another result: rename that picture")


def _path(job: Job, name: str, suffix: str) -> Path:
    target = job.target.name
    return job.target.with_name(f"{target if job.shares_stem else file_kind.stem(target)}.{name}{suffix}")
