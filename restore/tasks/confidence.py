"""What `--confidence` adds to a result of any task: error maps, figures for the report, and warnings where the bound is not promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from restore import weights
from restore.inference.confidence import ErrorMaps
from restore.inference.confidence_calibration import UNPROMISED, Calibration
from restore.inference.risk_control import ALPHA
from restore.pipeline.step import SideImage

MEANINGS = {"error": "expected absolute error", "bound": "90 % bound of the absolute error"}
"""The side images: their names and what they show."""
NAMES = tuple(MEANINGS)
OTHER_WEIGHTS = UNPROMISED + "it was calibrated for {head}, not for these weights"
OTHER_PICTURES = UNPROMISED + "it was calibrated on {pictures}, and the DICOM header says that this is none"


@dataclass(frozen=True)
class Confidence:
    """What is known of a result's error.

    Attributes:
        side: the maps.
        stats: values for the report.
        warnings: one sentence each.
    """

    side: tuple[SideImage, ...]
    stats: Mapping[str, object]
    warnings: tuple[str, ...]


def known(maps: ErrorMaps, further: tuple[str, ...] = ()) -> Confidence:
    """What the maps say. `further`: reasons besides the maps' own why the bound is not promised."""
    doubts = (*maps.doubts, *further)
    stats = {
        **_means(maps), "bound_share": None if doubts else 1 - ALPHA, "expected_psnr": None if doubts else rounded(maps.psnr),
    }  # fmt: skip
    planes = (maps.expected, maps.bound)
    side = tuple(SideImage(name, meaning, plane) for (name, meaning), plane in zip(MEANINGS.items(), planes, strict=True))
    return Confidence(side, stats, doubts)


def doubts_of(calibration: Calibration | None, entry: weights.Entry, head: str, *, other_pictures: bool) -> tuple[str, ...]:
    """Why the bound is not promised for these weights, or for a picture that the file says is of another kind."""
    if calibration is None:
        return ()
    doubts = [] if calibration.weights == weights.fingerprint(entry) else [OTHER_WEIGHTS.format(head=head)]
    return (*doubts, *([OTHER_PICTURES.format(pictures=calibration.pictures)] if other_pictures else []))


def rounded(decibel: float | None) -> float | None:
    """Two decimals."""
    return None if decibel is None else round(decibel, 2)


def _means(maps: ErrorMaps) -> dict[str, float]:
    """The means of the maps over the pixels that changed, on the 0..255 scale."""
    changed = maps.expected > 0
    count = max(1, int(np.count_nonzero(changed)))
    names = (("expected_error", maps.expected), ("error_bound", maps.bound))
    return {name: round(255 * float(plane[changed].sum(dtype=np.float64)) / count, 3) for name, plane in names}
