"""Detects faulty tiles, lists the precisions to fall back to, and records what was redone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

FALLBACKS = {"fp16": ("bf16", "fp32"), "bf16": ("fp32",), "fp32": ()}
"""Precision -> precisions in which a faulty tile runs again, in this order."""


@dataclass
class InferenceInfo:
    """How a network ran on one picture, for the report.

    Attributes:
        nonlocal_weight: of the non-local estimate in the result, 0..1; None without one; see `nonlocal_blend`.
        tuned_weight: how far the weights were fine-tuned on the picture, 0..1; None if they were not; see `picture_tuning`.
        impulses: fraction of the samples that were replaced as impulse noise, 0..1; see `impulse_noise`.
    """

    precision: str
    tile: int = 0
    tiles: int = 0
    redone: list[str] = field(default_factory=list)
    engine: str = "torch"
    nonlocal_weight: float | None = None
    tuned_weight: float | None = None
    impulses: float = 0.0

    def stats(self) -> dict[str, object]:
        """The fields of the report; `redone` only where a tile was redone, weights and impulses only where there are any."""
        stats: dict[str, object] = {"engine": self.engine, "precision": self.precision, "tile": self.tile, "tiles": self.tiles}
        if self.redone:
            stats["redone"] = self.redone
        if self.nonlocal_weight is not None:
            stats["nonlocal_weight"] = round(self.nonlocal_weight, 3)
        if self.tuned_weight is not None:
            stats["tuned_weight"] = round(self.tuned_weight, 3)
        if self.impulses:
            stats["impulse_noise"] = round(self.impulses, 4)
        return stats


def find_fault(base: np.ndarray, correction: np.ndarray) -> str | None:
    """Describe the fault of a correction; None if it is sound.

    Args:
        base: (H, W, C), the picture to which the correction is added.
        correction: (H, W, C).
    """
    if not np.isfinite(correction).all():
        return "not finite"
    some = np.s_[::16, ::16]  # nearly always enough to see that a picture is not constant
    if np.ptp(base[some] + correction[some]) > 0:
        return None
    return "constant" if np.ptp(base + correction) == 0 and np.ptp(base) > 0 else None
