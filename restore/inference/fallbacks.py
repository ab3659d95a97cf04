"""What can go wrong with a tile, which precision is tried then, and the record of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

FALLBACKS = {"fp16": ("bf16", "fp32"), "bf16": ("fp32",), "fp32": ()}
"""Precision -> those in which a faulty tile is run again, in this order."""


@dataclass
class RunInfo:
    """How one picture went through a network, for the report."""

    precision: str
    tile: int = 0
    tiles: int = 0
    redone: list[str] = field(default_factory=list)

    def stats(self) -> dict[str, Any]:
        """The fields of the report. `redone` is there only if something was."""
        return {"precision": self.precision, "tile": self.tile, "tiles": self.tiles} | (
            {"redone": self.redone} if self.redone else {}
        )


def fault_of(base: np.ndarray, correction: np.ndarray) -> str | None:
    """What is wrong with a correction (H, W, C), or None.

    Args:
        base: (H, W, C), what the correction is added to.
    """
    if not np.isfinite(correction).all():
        return "not finite"
    some = np.s_[::16, ::16]  # nearly always enough to see that a picture is not constant
    if np.ptp(base[some] + correction[some]) > 0:
        return None
    return "constant" if np.ptp(base + correction) == 0 and np.ptp(base) > 0 else None
