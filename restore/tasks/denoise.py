"""Denoising: which weights a picture needs, how noisy it is, and the work that the batch does for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from restore import weights
from restore.images import Frame, Picture
from restore.images.noise import NoiseLevel
from restore.inference import mats, radiograph
from restore.inference.noise import Estimate, level_of
from restore.inference.residual import suspicion
from restore.inference.restorer import Restorer, signal_dependent
from restore.pipeline.item import Decoded
from restore.runtime import Runtime

XRAY, GRAY, COLOUR = "denoise-xray", "denoise-gray", "denoise-color"
PHOTOGRAPH_VIEWS = 2
AUDIBLE = 1.5
"""Noise (of 255, in the picture's own range) below which nobody needs to be warned of it: 8 bits' rounding alone is 0.3."""
CORRELATED = (
    "its noise is alike in neighbouring pixels (lossy compression, demosaicing, detector blur): only its finest part could be measured; "
    "if noise is left, give a higher --noise-level"
)


@dataclass(frozen=True)
class Seen:
    """What a frame shows: whether its channels are alike, the weights that it needs, how noisy it is, and where it is a picture."""

    gray: bool
    weights: str
    level: Estimate | NoiseLevel
    valid: np.ndarray | None = None


class Denoise:
    """The work of `restore denoise`.

    Args:
        weights: a name, a file or a run's folder; None chooses for each picture by its content.
        options: `noise_level` ("auto" or a standard deviation on the 0..255 scale), `strength` (0..1) and `ensemble` ("auto", 1,
            2, 4 or 8 views averaged; auto is 2 for photographs and 1 for X-rays, which gain only 0.02 dB by it).
        runtime: device and precision.
        tile: auto, 0 or pixels.
        batch_size: tiles that run together.

    Raises:
        ValueError: unknown weights or options.
    """

    name = "denoise"
    scale = 1.0

    def __init__(
        self,
        *,
        weights: str | Path | None,
        options: dict[str, Any],
        runtime: Runtime,
        tile: str | int = "auto",
        batch_size: int | None = None,
    ) -> None:
        unknown = options.keys() - {"noise_level", "strength", "ensemble"}
        if unknown:
            raise ValueError(
                f"denoise has no option {', '.join(sorted(unknown))}: there are noise_level, strength and ensemble"
            )
        self.chosen, self.runtime, self.tile, self.batch_size = weights, runtime, tile, batch_size or 1
        self.noise_level = _noise_level(options.get("noise_level", "auto"))
        self.strength = float(options.get("strength", 1.0))
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must be from 0 to 1, not {self.strength}")
        self.ensemble = _ensemble(options.get("ensemble", "auto"))
        self._entries = _entries(weights)
        self._restorers: dict[str, Restorer] = {}
        self._lock = threading.Lock()

    def settings(self) -> dict[str, Any]:
        """What decides the result: the weights' contents, the options and the precision."""
        return {
            "weights": {name: weights.fingerprint(entry) for name, entry in self._entries.items()},
            "noise_level": self.noise_level,
            "strength": self.strength,
            "ensemble": self.ensemble or "auto",
            "precision": self.runtime.precision,
            "tile": self.tile,
        }

    def restore(self, frame: Frame, picture: Picture) -> tuple[np.ndarray, dict[str, Any]]:
        """Denoise one frame: float32 (H, W, 1|3) like `frame.normalized()`, and facts for the report."""
        shown = frame.normalized()
        seen: Seen = frame.known if isinstance(frame, Decoded) else self.look(frame, picture)
        restorer = self.restorer(seen.weights)
        seen_picture = shown[:, :, :1] if seen.gray else shown
        restored, trace = restorer.restore(seen_picture, seen.level, self.strength, valid=seen.valid)
        warnings = _warnings(seen_picture, restored, seen.level)
        if seen.gray and shown.shape[2] == 3:
            restored = np.repeat(restored, 3, axis=2)
        return restored, {"weights": seen.weights, **_facts(seen.level), **trace.facts(), "warnings": warnings}

    def look(self, frame: Frame, picture: Picture) -> Seen:
        """What must be known of a frame before its network runs; the batch asks in the thread that decodes.

        No network is touched: torch's threads wait less eagerly for each other once a second thread has had some of its own.
        """
        shown = frame.normalized()
        gray = shown.shape[2] == 1 or radiograph.is_gray(shown)
        name = self._name(shown, gray, picture)
        valid = frame.valid()
        return Seen(gray, name, level_of(shown[:, :, :1] if gray else shown, self.noise_level, valid), valid)

    def restorer(self, name: str) -> Restorer:
        """The network called `name`, loaded at its first use."""
        with self._lock:
            if name not in self._restorers:
                entry = self._entries[name]
                views = self.ensemble or (1 if signal_dependent(entry.recipe) else PHOTOGRAPH_VIEWS)
                self._restorers[name] = Restorer.load(
                    entry.path, place=self.runtime, tile=self.tile, batch_size=self.batch_size, ensemble=views
                )
            return self._restorers[name]

    def _name(self, shown: np.ndarray, gray: bool, picture: Picture) -> str:
        if self.chosen is not None:
            return next(iter(self._entries))
        if not gray:
            return COLOUR
        if picture.radiograph is None:
            within = mats.without(shown)
            return XRAY if radiograph.probability(within, mats.labels(within)) > radiograph.CERTAIN else GRAY
        return XRAY if picture.radiograph else GRAY


def _entries(chosen: str | Path | None) -> dict[str, weights.Entry]:
    """The weights that the work may need, by name.

    Raises:
        ValueError: weights of another task.
    """
    found = {
        Path(name).stem if chosen else str(name): weights.find(name)
        for name in ([chosen] if chosen else [XRAY, GRAY, COLOUR])
    }
    for name, entry in found.items():
        if entry.recipe.get("task") != "denoise":
            raise ValueError(f"the weights {name!r} are made to {entry.recipe.get('task')}, not to denoise")
    return found


def _ensemble(value: Any) -> int | None:
    if value is None or value == "auto":
        return None
    if str(value) not in {"1", "2", "4", "8"}:
        raise ValueError(f"ensemble must be auto, 1, 2, 4 or 8, not {value}")
    return int(value)


def _noise_level(value: Any) -> float | None:
    if value is None or value == "auto":
        return None
    level = float(value)
    if not 0 <= level <= 255:
        raise ValueError(f"noise_level must be auto or from 0 to 255, not {value}")
    return level


def _warnings(shown: np.ndarray, restored: np.ndarray, found: Estimate | NoiseLevel) -> list[str]:
    """What the user should know of a picture whose noise was estimated; whoever told the level knows better."""
    if not isinstance(found, Estimate) or found.level.sigma() < AUDIBLE * float(np.ptp(shown)):
        return []
    told = [CORRELATED] if found.correlated else []
    doubt = suspicion(shown, restored, found.level)
    return [*told, doubt] if doubt else told


def _facts(found: Estimate | NoiseLevel) -> dict[str, Any]:
    level = found.level if isinstance(found, Estimate) else found
    facts: dict[str, Any] = {"noise_level": round(level.sigma(), 2), "noise": str(level)}
    if level.slope > 0:
        facts["counts_at_white"] = round(1 / level.slope, 1)
    return facts
