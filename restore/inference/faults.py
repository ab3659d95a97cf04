"""What can go wrong with a tile, what is tried then, and the record of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

FALLBACKS = {"fp16": ("bf16", "fp32"), "bf16": ("fp32",), "fp32": ()}
"""Precision -> those that a faulty tile is redone in, in this order."""


@dataclass
class Trace:
    """What restoring one picture took: for the report."""

    precision: str
    tile: int = 0
    tiles: int = 0
    redone: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """The trace as report fields; `redone` only where something was."""
        return {"precision": self.precision, "tile": self.tile, "tiles": self.tiles} | (
            {"redone": self.redone} if self.redone else {}
        )


def fault_of(piece: np.ndarray, correction: np.ndarray) -> str | None:
    """What is wrong with a correction to `piece` (enlarged already, where the network enlarges), or None."""
    if not np.isfinite(correction).all():
        return "not finite"
    some = np.s_[::16, ::16]  # nearly always enough to see that a picture is not constant
    if np.ptp(piece[some] + correction[some]) > 0:
        return None
    return "constant" if np.ptp(piece + correction) == 0 and np.ptp(piece) > 0 else None
