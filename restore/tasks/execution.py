"""`ExecutionSettings`: the device, precision and tiles of a step's networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from restore import runtime
from restore.inference.loading import RunOptions
from restore.runtime import Runtime


@dataclass(frozen=True)
class ExecutionSettings:
    """The device, precision and tiles of a step's networks.

    Attributes:
        runtime: device and precision.
        tile: auto, 0 or pixels.
        batch_size: tiles that run together.
    """

    runtime: Runtime = field(default_factory=runtime.choose)
    tile: str | int = "auto"
    batch_size: int | None = None

    def keywords(self, ensemble: int = 1) -> RunOptions:
        """The keyword arguments of a model."""
        return {"runtime": self.runtime, "tile": self.tile, "batch_size": self.batch_size or 1, "ensemble": ensemble}

    def settings(self) -> dict[str, Any]:
        """The values that affect a result."""
        return {"precision": self.runtime.precision, "tile": self.tile}
