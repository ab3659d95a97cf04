"""`ResultStore`: what a run asks of the place that holds its results. `Manifest` is one of this machine, `RemoteManifest` one of a URL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from restore.pipeline.discovery import Origin


@dataclass(frozen=True)
class Seen:
    """Where a run has read a picture, for the record of the result.

    Attributes:
        version: `Origin.version` of an object of another store; "" for a file of this machine.
        content: the hash of the object's bytes.
        source: the file of this machine; None for an object.
        salvaged: whether pixels of the picture are missing, so that the result is one of a part.
    """

    version: str = ""
    content: str = ""
    source: Path | None = None
    salvaged: bool = False


def kept_warning(target: Path, kept: str) -> str:
    """What a report says of a result that was set aside."""
    return f"{target.name} had been changed since a run wrote it: the changed file is kept as {kept}"


class ResultStore(Protocol):
    """Records which results are done, and takes complete ones."""

    def __enter__(self) -> Self:
        """Prepare the folder. Raises ValueError if nothing can be written to it."""

    def __exit__(self, *_: object) -> None:
        """Remove what is left of unfinished results."""

    def known_content(self, target: Path, origin: Origin) -> str:
        """The hash of an object's content if an earlier run has read the same version of it; else ""."""

    def is_done(self, target: Path, content: str) -> bool:
        """Whether `target` is the result of this run's settings for an input with the hash `content`."""

    def is_salvaged(self, target: Path) -> bool:
        """Whether the result at `target` is recorded as one of a picture with missing pixels."""

    def rival(self, target: Path, source: Path) -> str:
        """The file of this machine, other than `source`, whose result exists at `target`; "" if there is none."""

    def is_unmanaged(self, target: Path) -> bool:
        """Whether a file exists at `target` that no run has recorded."""

    def temporary(self, target: Path) -> Path:
        """A path of this machine to write the result of `target` to."""

    def set_aside(self, target: Path) -> Path | None:
        """Keep what somebody has made of the result at `target` since a run wrote it, in the private folder; where it is now, or None."""

    def commit(self, temporary: Path, target: Path, content: str, seen: Seen | None = None) -> None:
        """Record a complete result and put it into its place, whole or not at all."""

    def readable(self, text: str) -> str:
        """A message with the paths that the user knows."""

    def for_worker(self, name: str) -> Self:
        """The same store for another process of this run; temporary files have a folder of their own."""
