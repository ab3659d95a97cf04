"""Inpainting: where a picture's holes are told from, and the work that the batch does for it."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from restore import weights as catalogue
from restore.images import Frame, Picture
from restore.inference.filling import METHODS, Filler, grown
from restore.inference.restorer import Restorer
from restore.inference.scratches import SENSITIVITY, Finder
from restore.pipeline.discovery import Job
from restore.runtime import Runtime
from restore.tasks import mask_files
from restore.tasks.mask_files import MaskNames, MaskWriter

DEFAULT, FINDER = "inpaint", "scratches"
SOURCES = ("masks", "mask_color", "alpha", "scratches")
"""Options of which exactly one says where the holes are."""
OPTIONS = {
    "masks": None, "invert_masks": False, "mask_color": None, "mask_tolerance": 10.0, "alpha": False, "scratches": False,
    "sensitivity": SENSITIVITY, "grow": None, "feather": 0, "method": "network", "texture": True, "save_masks": None,
}  # fmt: skip
GROW = {"masks": 0, "mask_color": 2, "alpha": 1, "scratches": 1}
"""Pixels that holes are grown by unless told: what lies about a found one is rarely clean."""


class Inpaint:
    """The work of `restore inpaint`.

    Args:
        weights: a name, a file or a run's folder; None takes those that ship.
        options: where the holes are, exactly one of `masks` (a picture for all, or a folder of them with the pictures' relative names and
            any suffix; white is filled, `invert_masks` turns that about), `mask_color` ("#rrggbb", `mask_tolerance` on the 0..255
            scale), `alpha` (what is transparent, which becomes opaque) or `scratches` (found in the picture; `sensitivity` 0..1);
            `grow` and `feather` in pixels; `method` (network, telea, navier-stokes); `texture` (copied into
            wide holes); `save_masks`, a folder for the masks used.
        runtime: device and precision.
        tile: auto, 0 or pixels.
        batch_size: tiles that run together.

    Raises:
        ValueError: unknown weights or options, weights of another task, or not exactly one way to tell the holes.
    """

    name = "inpaint"
    scale = 1.0

    def __init__(
        self, *, weights: str | Path | None, options: dict[str, Any], runtime: Runtime, tile: str | int = "auto",
        batch_size: int | None = None,
    ) -> None:  # fmt: skip
        unknown = options.keys() - OPTIONS.keys()
        if unknown:
            raise ValueError(f"inpaint has no option {', '.join(sorted(unknown))}: there are {', '.join(OPTIONS)}")
        self.options = OPTIONS | {name: value for name, value in options.items() if value is not None}
        given = [name for name in SOURCES if self.options[name]]
        if len(given) != 1:
            told = " and ".join(given) or "none"
            raise ValueError(f"say where the holes are by exactly one of masks, mask_color, alpha and scratches, not by {told}")
        self.source = given[0]
        self.masks = Path(self.options["masks"]) if self.options["masks"] else None
        if self.masks is not None and not self.masks.exists():
            raise ValueError(f"{self.masks}: no such mask or folder of masks")
        self.colour = _colour(str(self.options["mask_color"])) if self.options["mask_color"] else None
        self.grow = GROW[self.source] if self.options["grow"] is None else int(self.options["grow"])
        self.feather, self.method = int(self.options["feather"]), str(self.options["method"])
        if min(self.grow, self.feather) < 0:
            raise ValueError("grow and feather must not be negative")
        if self.method not in METHODS:
            raise ValueError(f"unknown method {self.method!r}: there are {', '.join(METHODS)}")
        if not 0 <= float(self.options["sensitivity"]) <= 1:
            raise ValueError(f"sensitivity must be from 0 to 1, not {self.options['sensitivity']}")
        self.entry = catalogue.find(weights or DEFAULT) if self.method == "network" else None
        if self.entry and self.entry.recipe.get("task") != "inpaint":
            raise ValueError(f"the weights {self.entry.name!r} are made to {self.entry.recipe.get('task')}, not to inpaint")
        self.finder = catalogue.find(FINDER) if self.source == "scratches" else None
        if self.finder and self.finder.recipe.get("task") != FINDER:
            raise ValueError(
                f"{self.finder.path} is called {FINDER} and is not made to find them: give that run or file another name, or take it away"
            )
        self.runtime, self.tile, self.batch_size = runtime, tile, batch_size or 1
        self._filler: Filler | None = None
        self._finder: Finder | None = None
        self._lock = threading.Lock()
        self._matched: dict[Path, tuple[Path, Path]] = {}
        self._names = MaskNames()
        self._unwritten: list[str] = []
        self._writer = MaskWriter(Path(self.options["save_masks"])) if self.options["save_masks"] else None
        self._page: tuple[Picture, Picture, int, bool] | None = None
        """The picture at work, its mask, its next frame, and whether the mask has marked anything so far."""

    def settings(self) -> dict[str, Any]:
        """What decides the result beside the mask, which is a companion of its picture."""
        told = {name: self.options[name] for name in ("invert_masks", "mask_color", "mask_tolerance", "alpha", "scratches", "sensitivity")}
        return told | {
            "weights": catalogue.fingerprint(self.entry) if self.entry else self.method, "grow": self.grow, "feather": self.feather,
            "method": self.method, "texture": bool(self.options["texture"]), "precision": self.runtime.precision, "tile": self.tile,
            "finder": catalogue.fingerprint(self.finder) if self.finder else None,
        }  # fmt: skip

    def planned(self, jobs: Sequence[Job]) -> None:
        """Give the masks of all pictures their names; see `TakesPlan`."""
        self._names.plan(jobs)

    def sidecars(self, source: Path, relative: Path) -> Sequence[Path]:
        """The mask of a picture, where masks are files: what it holds decides the result too.

        Raises:
            ValueError: there is none, or more than one.
        """
        mask = self.masks
        if mask is not None and mask.is_dir():
            mask = mask_files.find(mask, source, relative, self._names)
        self._matched[source] = (mask or source, relative)
        return [mask] if mask is not None else []

    def restore(self, frame: Frame, picture: Picture) -> tuple[np.ndarray, dict[str, Any]]:
        """Fill one frame: float32 (H, W, 1|3) like `frame.normalized()`, behind it the opacity where alpha told the holes, and facts."""
        shown = frame.normalized()
        hole = grown(self.hole(shown, frame, picture), self.grow)
        if self._writer is not None:
            relative = self._matched[picture.path][1] if picture.path in self._matched else Path(picture.path.name)
            self._save(hole, picture, self._names.of(picture.path, relative)[0])
        if not hole.any():
            return shown, {"holes": 0, "missing": 0.0}
        restored, told = self.filler()(shown, hole)
        if self.source == "alpha":
            restored = np.concatenate([restored, hole[:, :, None].astype(np.float32)], 2)
        return restored, {"method": self.entry.name if self.entry else self.method, **told.facts()}

    def hole(self, shown: np.ndarray, frame: Frame, picture: Picture) -> np.ndarray:
        """Where a picture is missing, (H, W) bool.

        Raises:
            ValueError: a mask file of another size, without a hole or without anything else; a picture without alpha.
        """
        if self.source == "masks":
            return self._read(self._matched[picture.path][0], picture, shown.shape[:2])
        if self.source == "scratches":
            return self._find(shown)
        if self.source == "mask_color":
            apart = np.abs(shown - self.colour)  # a gray picture's one value stands for all three
            return np.asarray(apart.max(2) <= float(self.options["mask_tolerance"]) / 255 + 1e-6)
        if frame.alpha is None:
            raise ValueError("the picture has no alpha that could tell its holes")
        alpha = np.asarray(frame.alpha)
        return np.asarray(alpha < alpha.max() / 2) if alpha.max() > 0 else np.ones(alpha.shape, bool)

    def filler(self) -> Filler:
        """What fills, its network loaded at the first use."""
        with self._lock:
            if self._filler is None:
                restorer = self._load(self.entry) if self.entry else None
                self._filler = Filler(restorer, self.method, feather=self.feather, texture=bool(self.options["texture"]))
            return self._filler

    def _find(self, shown: np.ndarray) -> np.ndarray:
        with self._lock:
            if self._finder is None:
                assert self.finder is not None
                self._finder = Finder(self._load(self.finder))
        return self._finder(shown, float(self.options["sensitivity"]))

    def _load(self, entry: catalogue.Entry) -> Restorer:
        return Restorer.load(entry.path, place=self.runtime, tile=self.tile, batch_size=self.batch_size)

    def notes(self) -> list[str]:
        """Masks that no picture of the run has asked for."""
        if self.masks is None or not self.masks.is_dir():
            return []
        used = {mask for mask, _ in self._matched.values()}
        left = [path for path in mask_files.pictures(self.masks) if path not in used]
        shown = ", ".join(str(path.relative_to(self.masks)) for path in left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        return [f"no picture for {len(left)} of the masks: {shown}"] if left else []

    def unwritten(self) -> list[str]:
        """The masks that could not be saved, the first by name; see `WritesSideFiles`."""
        more = len(self._unwritten) - 1
        return [self._unwritten[0] + (f" (and {more} more masks)" if more else "")] if self._unwritten else []

    def _save(self, hole: np.ndarray, picture: Picture, name: Path) -> None:
        """Save a mask that was used. One that cannot be written costs no picture: it is reported in the end."""
        assert self._writer is not None
        try:
            self._writer.add(hole, picture, name)
        except OSError as error:
            self._unwritten.append(f"cannot write the mask {self._writer.folder / name}: {(error.strerror or str(error)).lower()}")

    def _read(self, path: Path, picture: Picture, size: tuple[int, ...]) -> np.ndarray:
        """The mask of a picture's next frame: the page of the same number, or the only one for all."""
        page = self._page
        masks, index, marked = page[1:] if page is not None and page[0] is picture else (mask_files.opened(path, size), 0, False)
        if masks.frames not in (1, picture.frames):
            raise ValueError(f"its mask {path} has {masks.frames} pages, the picture {picture.frames}: give it one a page, or one for all")
        mask = np.asarray(masks.frame(index if masks.frames > 1 else 0).normalized().mean(2) > 0.5)
        mask = ~mask if self.options["invert_masks"] else mask
        marked = marked or bool(mask.any())
        self._page = (picture, masks, index + 1, marked)
        mask_files.compare(path, mask.shape, size)
        if mask.all():
            raise ValueError(f"its mask {path} covers the whole picture: nothing is left to fill it from (is it inverted? --invert-masks)")
        if not marked and index + 1 in (masks.frames, picture.frames):
            raise ValueError(f"its mask {path} marks nothing: white is what is to be filled (is it inverted? --invert-masks)")
        return mask


def _colour(text: str) -> np.ndarray:
    """ "#rrggbb" -> three floats in [0, 1]."""
    found = re.fullmatch(r"#?([0-9a-fA-F]{6})", text.strip())
    if not found:
        raise ValueError(f"mask_color must be like #ff00ff, not {text!r}")
    return np.array([int(found[1][at : at + 2], 16) for at in (0, 2, 4)], np.float32) / 255
