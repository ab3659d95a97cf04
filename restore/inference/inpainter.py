"""Filling holes: crops around them at a scale that the network knows, the coarse before the fine, and OpenCV's classical ways.

Only crops around the holes are looked at, so that the work grows with the holes and not with the picture. A hole wider than what the
network was trained on is filled in the picture made smaller first; what comes of that gives the filling at full size its large shapes,
which there nothing near enough tells (Kulshreshtha et al. 2022, "Feature refinement to improve high resolution image inpainting", go from
coarse to fine too).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, Unpack

import cv2
import numpy as np

from restore.inference.calling import called
from restore.inference.fallbacks import RunInfo
from restore.inference.loading import Recipe, RunOptions, network_of, runner_of
from restore.inference.seams import blended
from restore.inference.texture import synthesized
from restore.networks.spec import RestorationNetwork

WIDEST = 96
"""Width in pixels of the widest hole that is filled at full size alone: about what training showed."""
CONTEXT, LEAST_CONTEXT, NEAR = 1.5, 96, 24
"""Surroundings that a crop shows on every side: so many times the width of its widest hole, and so many pixels at least; and how near
to each other holes share a crop."""


@dataclass
class InpaintInfo:
    """How the holes of a picture were filled, for the report."""

    holes: int = 0
    fraction: float = 0.0
    coarsest: float = 1.0
    runs: list[RunInfo] = field(default_factory=list)

    def stats(self) -> dict[str, Any]:
        """The holes, the fraction of the picture that they cover, and how the network ran."""
        stats: dict[str, Any] = {"holes": self.holes, "missing": round(self.fraction, 5)}
        if self.coarsest < 1:
            stats["coarsest_scale"] = round(self.coarsest, 3)
        redone = [text for run in self.runs for text in run.redone]
        return stats | ({"precision": self.runs[0].precision} if self.runs else {}) | ({"redone": redone} if redone else {})


class Inpainter:
    """Fills holes with a network or with one of OpenCV's methods. It holds no state of a picture, so threads may share one.

    Args:
        network: fills holes; None for the classical methods.
        recipe: the recipe of its weights.
        method: "network", "telea" (Telea 2004) or "navier-stokes" (Bertalmio et al. 2001).
        feather: pixels over which the filling blends with the picture inside the edge of a hole.
        texture: whether wide holes get detail from elsewhere in the picture, besides the network's output; see `synthesized`.
        options: see `RunOptions`.

    Raises:
        ValueError: an unknown method, no network where one is needed, or one that takes no mask.
    """

    def __init__(
        self, network: RestorationNetwork | None = None, recipe: Recipe | None = None, *, method: str = "network", feather: int = 0,
        texture: bool = True, **options: Unpack[RunOptions],
    ) -> None:  # fmt: skip
        if method not in METHODS:
            raise ValueError(f"unknown method {method!r}: there are {', '.join(METHODS)}")
        if method == "network" and network is None:
            raise ValueError("the method 'network' needs weights")
        if network is not None and not network.spec.takes_mask:
            raise ValueError("an inpainter's network takes a mask as its condition, and this one does not")
        self.recipe: Recipe = recipe or {}
        self.runner = runner_of(network, options) if network is not None else None
        self.method, self.feather = method, feather
        self.texture = texture and method == "network"

    @classmethod
    def load(
        cls, name: str | Path, *, feather: int = 0, texture: bool = True, **options: Unpack[RunOptions]
    ) -> Self:
        """An inpainter with the weights called `name` (a name, a file or a run's folder).

        Raises:
            ValueError: no such weights, or weights for another task.
        """
        return cls(*network_of(name, "inpaint"), feather=feather, texture=texture, **options)

    def __call__(self, picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Fill the holes of a picture.

        Args:
            picture: an array; see `called`.
            mask: (H, W) bool, true where the picture is missing; not everywhere.

        Returns:
            The same type and shape; outside the mask the very values of `picture`.

        Raises:
            ValueError: a shape or type that is no picture, a mask of another size, or one that leaves nothing of the picture.
        """
        filled = called(picture, lambda pixels, valid: self.inpaint(pixels, mask)[0])
        return np.where(mask[:, :, None] if picture.ndim == 3 else mask, filled, picture)

    def inpaint(self, pixels: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, InpaintInfo]:
        """Fill the holes of normalized pixels.

        Args:
            pixels: (H, W, 1|3) float32, nominal [0, 1].
            mask: (H, W) bool, true where the picture is missing; not everywhere.

        Returns:
            (H, W, 1|3) float32, outside the mask the very values of `pixels`, and how it went.

        Raises:
            ValueError: a mask of another size, or one that leaves nothing of the picture.
        """
        if mask.shape != pixels.shape[:2]:
            raise ValueError(f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels, the picture {pixels.shape[1]} x {pixels.shape[0]}")
        if mask.all():
            raise ValueError("the mask covers the whole picture: there is nothing to fill it from (is it inverted? --invert-masks)")
        info = InpaintInfo(fraction=float(mask.mean()))
        result = pixels.copy()
        for crop in crops(mask):
            info.holes += 1
            self._fill(result, pixels[crop.region], mask[crop.region], crop, info)
        return result, info

    def _fill(self, result: np.ndarray, piece: np.ndarray, hole: np.ndarray, crop: Crop, info: InpaintInfo) -> None:
        """Fill a crop's own holes in the whole picture's result."""
        # the known part is itself again: coarse fillings bleed, and texture and seams are taken from it
        output = np.where(hole[:, :, None], self._coarse_to_fine(piece, hole, info), piece)
        if self.texture:
            output = synthesized(output, hole)
        if self.method == "network" and not self.feather:  # which leaves no step
            output = blended(output, hole)
        output = np.clip(output, 0, 1)
        if self.feather:
            output = piece + (output - piece) * feathered(crop.own, self.feather)[:, :, None]
        result[crop.region][crop.own] = output[crop.own]

    def _coarse_to_fine(self, piece: np.ndarray, hole: np.ndarray, info: InpaintInfo) -> np.ndarray:
        if self.method != "network":
            return classical(piece, hole, METHODS[self.method])
        scale = min(1.0, WIDEST / max(1.0, width_of(hole)))
        if scale > 0.75:
            return self._run(piece, hole, info)
        info.coarsest = min(info.coarsest, scale)
        size = max(8, round(piece.shape[1] * scale)), max(8, round(piece.shape[0] * scale))
        small, small_hole = smaller(piece, hole, size)
        coarse = upscaled(self._coarse_to_fine(small, small_hole, info), piece.shape)
        # the coarse filling gives the shapes; the network adds what is fine at full size
        fine, near = piece.copy(), around(hole, LEAST_CONTEXT)  # what lies farther off has shaped the coarse filling
        fine[near] = self._run(piece[near], hole[near], info)
        blur = 0.6 / scale
        shapes = np.where(hole[:, :, None], coarse, piece)
        texture = fine - cv2.GaussianBlur(fine, (0, 0), blur).reshape(fine.shape)
        return np.asarray(cv2.GaussianBlur(shapes, (0, 0), 0.5 * blur).reshape(shapes.shape) + texture, np.float32)

    def _run(self, piece: np.ndarray, hole: np.ndarray, info: InpaintInfo) -> np.ndarray:
        assert self.runner is not None
        output, run = self.runner.run(piece, mask=hole)
        info.runs.append(run)
        return output


METHODS = {"network": -1, "telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS}
RADIUS = 5
"""Pixels around a hole's pixel that the classical methods look at."""


def classical(piece: np.ndarray, hole: np.ndarray, flag: int) -> np.ndarray:
    """One of OpenCV's methods, on 8 bits, which is all it knows in colour: (H, W, 1|3) float32 -> the same."""
    stored = np.rint(np.clip(piece, 0, 1) * 255).astype(np.uint8)
    made = cv2.inpaint(stored if stored.shape[2] == 3 else stored[:, :, 0], hole.astype(np.uint8), RADIUS, flag)
    return made.reshape(piece.shape).astype(np.float32) / 255


@dataclass(frozen=True)
class Crop:
    """Some holes that lie together, with their surroundings: where they are in the picture, and which pixels are to be filled from here."""

    region: tuple[slice, slice]
    own: np.ndarray


def crops(mask: np.ndarray) -> Iterator[Crop]:
    """Crops around the holes of (H, W) bool; those nearer to each other than NEAR share one. Every missing pixel is one crop's own."""
    near = cv2.dilate(mask.astype(np.uint8), np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8))
    count, labels, found, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
    for label in range(1, count):
        left, top, width, height, _ = (int(value) for value in found[label])
        inner = np.s_[top : top + height, left : left + width]
        margin = max(LEAST_CONTEXT, round(CONTEXT * width_of(mask[inner] & (labels[inner] == label)))) - NEAR
        rows = slice(max(0, top - margin), min(mask.shape[0], top + height + margin))
        columns = slice(max(0, left - margin), min(mask.shape[1], left + width + margin))
        yield Crop((rows, columns), mask[rows, columns] & (labels[rows, columns] == label))


def around(hole: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Rows and columns of the box about all of (H, W) bool that is true, with so many pixels more on every side where there are."""
    spans = (np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0)))
    rows, columns = (slice(max(0, int(span[0]) - margin), int(span[-1]) + 1 + margin) for span in spans)
    return rows, columns


def width_of(hole: np.ndarray) -> float:
    """Width in pixels of the widest hole, twice the way from its middle to its edge; a picture's border is no edge."""
    return 2 * float(cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5).max())


def feathered(mask: np.ndarray, length: int) -> np.ndarray:
    """(H, W) float32: 0 outside the mask, rising to 1 over `length` pixels behind its edge."""
    return np.clip(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) / (length + 1), 0, 1).astype(np.float32)


def smaller(piece: np.ndarray, hole: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A crop and its hole at another (width, height): only what is known counts, and a pixel is missing where most of it is."""
    known = (~hole).astype(np.float32)[:, :, None]
    weight = cv2.resize(known, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], 1)
    total = cv2.resize(piece * known, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    return np.asarray(total / np.maximum(weight, 1e-3), np.float32), weight[:, :, 0] < 0.5


def upscaled(piece: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(h, w, C) -> (H, W, C) by the cubic kernel."""
    return np.asarray(cv2.resize(piece, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC).reshape(shape), np.float32)


def dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    """A mask with so many pixels more on every side (a disc), (H, W) bool."""
    if pixels <= 0:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.astype(np.uint8), disc).astype(bool)
