"""Super-resolution: which weights a scale needs, and the work that the batch does for it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch

from restore import weights as catalogue
from restore.images import Frame, Picture
from restore.inference import radiograph
from restore.inference.restorer import Restorer
from restore.networks.resample import resized
from restore.runtime import Runtime

FAITHFUL = {2: "upscale-x2", 4: "upscale-x4"}
PHOTO = {4: "upscale-x4-photo"}
LARGEST = 4.0


class Upscale:
    """The work of `restore upscale`.

    Args:
        weights: "faithful" (the default), "photo", a name, a file or a run's folder.
        options: `scale` (above 1, up to 4, or what the given weights enlarge by) and `strength` (0..1: from the cubic
            kernel's enlargement to the network's). A scale that no network has is reached by the next larger one, shrunk again.
        runtime: device and precision.
        tile: auto, 0 or pixels, of the picture as it comes.
        batch_size: tiles that run together.

    Raises:
        ValueError: unknown weights or options, weights of another task, or a scale that they cannot reach.
    """

    name = "upscale"

    def __init__(
        self, *, weights: str | Path | None, options: dict[str, Any], runtime: Runtime, tile: str | int = "auto",
        batch_size: int | None = None,
    ) -> None:  # fmt: skip
        unknown = options.keys() - {"scale", "strength"}
        if unknown:
            raise ValueError(f"upscale has no option {', '.join(sorted(unknown))}: there are scale and strength")
        self.strength = float(options.get("strength", 1.0))
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must be from 0 to 1, not {self.strength}")
        asked = options.get("scale")
        self.scale = 0.0 if asked is None else float(asked)
        if asked is not None and not 1 < self.scale <= LARGEST:
            raise ValueError(f"scale must be above 1 and at most {LARGEST:g}, not {asked}; for more, upscale the result again")
        self.entry = catalogue.find(_name(weights, self.scale or LARGEST))
        if self.entry.recipe.get("task") != "upscale":
            raise ValueError(f"the weights {self.entry.name!r} are made to {self.entry.recipe.get('task')}, not to upscale")
        self.own = int(self.entry.recipe["settings"].get("scale", 4))
        self.scale = self.scale or float(self.own)
        if self.scale > self.own:
            raise ValueError(
                f"the weights {self.entry.name!r} enlarge {self.own} times, not {self.scale:g}: choose others or a lower scale"
            )
        self.runtime, self.tile, self.batch_size = runtime, tile, batch_size or 1
        self._restorer: Restorer | None = None
        self._lock = threading.Lock()

    def settings(self) -> dict[str, Any]:
        """What decides the result: the weights' content, the options and the precision."""
        return {
            "weights": catalogue.fingerprint(self.entry), "scale": self.scale, "strength": self.strength,
            "precision": self.runtime.precision, "tile": self.tile,
        }  # fmt: skip

    def restore(self, frame: Frame, picture: Picture) -> tuple[np.ndarray, dict[str, Any]]:
        """Enlarge one frame: float32 (scale H, scale W, 1|3), and facts for the report."""
        shown = frame.normalized()
        gray = shown.shape[2] == 3 and radiograph.is_gray(shown)
        restored, trace = self.restorer().restore(shown[:, :, :1] if gray else shown, None, self.strength)
        if self.scale != self.own:
            height, width = (max(1, round(side * self.scale)) for side in shown.shape[:2])
            planes = torch.from_numpy(restored.transpose(2, 0, 1)[None])
            restored = np.ascontiguousarray(resized(planes, height, width)[0].numpy().transpose(1, 2, 0))
        if gray:
            restored = np.repeat(restored, 3, axis=2)
        return restored, {"weights": self.entry.name, "scale": self.scale, **trace.facts()}

    def restorer(self) -> Restorer:
        """The network, loaded at its first use."""
        with self._lock:
            if self._restorer is None:
                self._restorer = Restorer.load(
                    self.entry.path, place=self.runtime, tile=self.tile, batch_size=self.batch_size
                )
            return self._restorer


def _name(weights: str | Path | None, scale: float) -> str | Path:
    """The weights that ship for what was asked: those of the smallest scale that reaches it."""
    families = {"faithful": FAITHFUL, "photo": PHOTO}
    family = families.get(str(weights or "faithful"))
    if family is None:
        assert weights is not None
        return weights
    return family[min(own for own in family if own >= scale)]
