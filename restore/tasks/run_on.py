"""Where and how the networks of a step run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from restore import runtime
from restore.inference.loading import RunOptions
from restore.runtime import Runtime


@dataclass(frozen=True)
class RunOn:
    """Where and how the networks of a step run.

    Attributes:
        runtime: device and precision.
        tile: auto, 0 or pixels.
        batch_size: tiles that run together.
    """

    runtime: Runtime = field(default_factory=runtime.choose)
    tile: str | int = "auto"
    batch_size: int | None = None

    def keywords(self, ensemble: int = 1) -> RunOptions:
        """What a model takes."""
        return {"runtime": self.runtime, "tile": self.tile, "batch_size": self.batch_size or 1, "ensemble": ensemble}

    def settings(self) -> dict[str, Any]:
        """What of it decides a result."""
        return {"precision": self.runtime.precision, "tile": self.tile}
