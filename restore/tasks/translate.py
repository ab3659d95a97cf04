"""Translation: what pix2pix and CycleGAN learnt, and the work that the batch does for it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from restore import weights as catalogue
from restore.images import Frame, Picture
from restore.inference.restorer import Restorer
from restore.runtime import Runtime

DEFAULT = "photo2paint"


class Translate:
    """The work of `restore translate`.

    Args:
        weights: a name, a file or a run's folder; None takes those that ship.
        options: `reverse` (the way back, for weights that learnt both) and `strength` (0..1).
        runtime: device and precision.
        tile: auto, 0 or pixels.
        batch_size: tiles that run together.

    Raises:
        ValueError: unknown weights or options, or weights of another task.
    """

    name = "translate"
    scale = 1.0

    def __init__(
        self, *, weights: str | Path | None, options: dict[str, Any], runtime: Runtime, tile: str | int = "auto",
        batch_size: int | None = None,
    ) -> None:  # fmt: skip
        unknown = options.keys() - {"reverse", "strength"}
        if unknown:
            raise ValueError(f"translate has no option {', '.join(sorted(unknown))}: there are reverse and strength")
        self.entry = catalogue.find(weights or DEFAULT)
        if self.entry.recipe.get("task") != "translate":
            raise ValueError(f"the weights {self.entry.name!r} are made to {self.entry.recipe.get('task')}, not to translate")
        self.reverse, self.strength = bool(options.get("reverse", False)), float(options.get("strength", 1.0))
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must be from 0 to 1, not {self.strength}")
        directions = self.entry.recipe.get("directions") or []
        if self.reverse and len(directions) < 2:
            raise ValueError(f"the weights {self.entry.name!r} learnt one direction only: leave --reverse out")
        self.direction = directions[1 if self.reverse else 0] if directions else None
        self.runtime, self.tile, self.batch_size = runtime, tile, batch_size or 1
        self._restorer: Restorer | None = None
        self._lock = threading.Lock()

    def settings(self) -> dict[str, Any]:
        """What decides the result: the weights' content, the options and the precision."""
        return {
            "weights": catalogue.fingerprint(self.entry), "reverse": self.reverse, "strength": self.strength,
            "precision": self.runtime.precision, "tile": self.tile,
        }  # fmt: skip

    def restore(self, frame: Frame, picture: Picture) -> tuple[np.ndarray, dict[str, Any]]:
        """Translate one frame: float32 (H, W, 1|3) like `frame.normalized()`, and facts for the report."""
        shown = frame.normalized()
        restored, trace = self.restorer().restore(shown, None, self.strength)
        return restored, {"weights": self.entry.name, **trace.facts()}

    def restorer(self) -> Restorer:
        """The network, loaded at its first use."""
        with self._lock:
            if self._restorer is None:
                self._restorer = Restorer.load(
                    self.entry.path, direction=self.direction, place=self.runtime, tile=self.tile, batch_size=self.batch_size
                )
            return self._restorer
