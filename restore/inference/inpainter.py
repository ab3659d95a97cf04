"""`Inpainter`: fills holes with a network, coarse to fine, or with OpenCV's classical methods.

Only crops around the holes are processed, so the work grows with the holes and not with the picture. A hole wider than those of the
training is filled in a downscaled picture first. That filling gives the full-size one its large shapes (coarse to fine, as in Kulshreshtha
et al. 2022, "Feature refinement to improve high resolution image inpainting").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.inference.array_interface import Picture, apply
from restore.inference.loading import InferenceOptions, load_network, make_runner
from restore.inference.seam_blending import blend_seams
from restore.inference.smooth_filling import smooth_filling
from restore.inference.texture_synthesis import synthesize_texture
from restore.inference.tile_faults import InferenceInfo
from restore.networks.spec import RestorationNetwork
from restore.weights_file import Recipe

MAX_WIDTH = 96
"""Width in pixels of the widest hole that is filled at full size only: about the widest of the training."""
CONTEXT, MIN_CONTEXT, NEAR = 1.5, 96, 24
"""Margin of a crop on every side: CONTEXT times the width of its widest hole, at least MIN_CONTEXT pixels. Holes nearer than NEAR pixels
share a crop."""


@dataclass
class InpaintInfo:
    """How the holes of a picture were filled, for the report."""

    holes: int = 0
    fraction: float = 0.0
    coarsest: float = 1.0
    runs: list[InferenceInfo] = field(default_factory=list)

    def stats(self) -> dict[str, object]:
        """The holes, the fraction of the picture that they cover, and how the network ran."""
        stats: dict[str, object] = {"holes": self.holes, "missing": round(self.fraction, 5)}
        if self.coarsest < 1:
            stats["coarsest_scale"] = round(self.coarsest, 3)
        redone = [text for run in self.runs for text in run.redone]
        ran = {"engine": self.runs[0].engine, "precision": self.runs[0].precision} if self.runs else {}
        return stats | ran | ({"redone": redone} if redone else {})


class Inpainter:
    """Fills holes with a network or with one of OpenCV's methods. It keeps no state between pictures, so threads may share one.

    Args:
        network: fills holes; None for the classical methods.
        recipe: the recipe of its weights.
        method: "network", "telea" (Telea 2004) or "navier-stokes" (Bertalmio et al. 2001).
        feather: pixels inside the edge of a hole over which the filling blends with the picture.
        texture: whether to copy detail from elsewhere in the picture into wide holes; see `synthesize_texture`.
        options: see `InferenceOptions`; by default those of this machine.

    Raises:
        ValueError: the method is unknown, its network is missing, or the network takes no mask.
    """

    def __init__(
        self, network: RestorationNetwork | None = None, recipe: Recipe | None = None, options: InferenceOptions | None = None, *,
        method: str = "network", feather: int = 0, texture: bool = True,
    ) -> None:  # fmt: skip
        if method not in METHODS:
            raise ValueError(f"unknown method {method!r}: use one of {', '.join(METHODS)}")
        if method == "network" and network is None:
            raise ValueError("the method 'network' needs weights")
        if network is not None and not network.spec.takes_mask:
            raise ValueError("this network takes no mask: use one that was trained to inpaint")
        self.recipe: Recipe = recipe or {}
        self.runner = make_runner(network, options) if network is not None else None
        self.method, self.feather = method, feather
        self.texture = texture and method == "network"

    @classmethod
    def load(cls, name: str | Path, options: InferenceOptions | None = None, *, feather: int = 0, texture: bool = True) -> Self:
        """An inpainter with the weights called `name` (a name, a file or a run's folder).

        Raises:
            ValueError: the weights do not exist or are for another task.
        """
        return cls(*load_network(name, "inpaint"), options, feather=feather, texture=texture)

    def __call__(self, picture: Picture, mask: np.ndarray | Tensor) -> Picture:
        """Fill the holes of a picture.

        Args:
            picture: an array or a tensor; see `array_interface.apply`.
            mask: (H, W), an array or a tensor, where the picture (or all of a batch) is missing, not everywhere: true, integers other
                than 0, or floats above 0.5.

        Returns:
            The same type and shape. Values outside the mask are those of `picture`.

        Raises:
            ValueError: the shape or type is not that of a picture, the mask has another size, or it covers the whole picture.
        """
        missing = holes(mask.detach().cpu().numpy() if isinstance(mask, Tensor) else mask)
        filled = apply(picture, lambda pixels, valid: self.inpaint(pixels, missing)[0], holes=missing)
        if isinstance(picture, Tensor):
            return torch.where(torch.from_numpy(missing).to(picture.device), torch.as_tensor(filled), picture.detach())
        return np.where(missing[:, :, None] if picture.ndim == 3 else missing, filled, picture).astype(picture.dtype, copy=False)

    def inpaint(self, pixels: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, InpaintInfo]:
        """Fill the holes of normalized pixels.

        Args:
            pixels: (H, W, 1|3) float32, nominal [0, 1].
            mask: (H, W) bool, true where the picture is missing; not everywhere.

        Returns:
            (H, W, 1|3) float32, with the values of `pixels` outside the mask; and information about the run.

        Raises:
            ValueError: the mask has another size, or it covers the whole picture.
        """
        if mask.shape != pixels.shape[:2]:
            raise ValueError(f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels, the picture {pixels.shape[1]} x {pixels.shape[0]}")
        if mask.all():
            raise ValueError("the mask covers the whole picture: there is nothing to fill it from (is it inverted?)")
        info = InpaintInfo(fraction=float(mask.mean()))
        result = pixels.copy()
        for crop in crops(mask):
            info.holes += 1
            self._fill(result, pixels[crop.region], mask[crop.region], crop, info)
        return result, info

    def _fill(self, result: np.ndarray, piece: np.ndarray, hole: np.ndarray, crop: Crop, info: InpaintInfo) -> None:
        """Fill the holes of a crop in the whole picture's result."""
        # coarse fillings bleed over the edge, and texture and seams need the original pixels there
        output, smooth = smooth_filling(piece, hole) if self.method == "network" else (piece, np.zeros(hole.shape, np.float32))
        if not (smooth[crop.own] == 1).all():
            share = smooth[:, :, None]
            mixed = share * output + (1 - share) * self._coarse_to_fine(piece, hole, info)  # exactly the method's where nothing is smooth
            output = np.where(hole[:, :, None], mixed, piece)
        if self.texture:
            output = synthesize_texture(output, hole, smooth)
        if self.method == "network" and not self.feather:  # feathering leaves no step to blend
            output = blend_seams(output, hole)
        output = np.clip(output, 0, 1)
        if self.feather:
            output = piece + (output - piece) * feathered(crop.own, self.feather)[:, :, None]
        result[crop.region][crop.own] = output[crop.own]

    def _coarse_to_fine(self, piece: np.ndarray, hole: np.ndarray, info: InpaintInfo) -> np.ndarray:
        if self.method != "network":
            return classical(piece, hole, METHODS[self.method])
        scale = min(1.0, MAX_WIDTH / max(1.0, width_of(hole)))
        if scale > 0.75:
            return self._run(piece, hole, info)
        height, width = (min(side, max(8, round(side * scale))) for side in hole.shape)  # a side that grew would not be averaged
        if (height, width) == hole.shape:
            return self._run(piece, hole, info)
        info.coarsest = min(info.coarsest, scale)
        small, small_hole = downscaled(piece, hole, (width, height))
        coarse = upscaled(self._coarse_to_fine(small, small_hole, info), piece.shape)
        # the coarse filling has the shapes; the network adds the fine detail at full size
        fine, near = piece.copy(), around(hole, MIN_CONTEXT)  # pixels farther off affect the coarse filling only
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
"""Neighbourhood of a missing pixel, in pixels, in the classical methods."""


def classical(piece: np.ndarray, hole: np.ndarray, flag: int) -> np.ndarray:
    """Inpaint with one of OpenCV's methods, (H, W, 1|3) float32 -> the same. For colour they support 8 bits only."""
    stored = np.rint(np.clip(piece, 0, 1) * 255).astype(np.uint8)
    filled = cv2.inpaint(stored if stored.shape[2] == 3 else stored[:, :, 0], hole.astype(np.uint8), RADIUS, flag)
    return filled.reshape(piece.shape).astype(np.float32) / 255


@dataclass(frozen=True)
class Crop:
    """A group of neighbouring holes with their surroundings.

    Attributes:
        region: rows and columns of the crop in the picture.
        own: (h, w) bool, the pixels that this crop fills.
    """

    region: tuple[slice, slice]
    own: np.ndarray


def crops(mask: np.ndarray) -> Iterator[Crop]:
    """Crops around the holes of a mask, (H, W) bool. Holes nearer than NEAR share one. Every missing pixel belongs to exactly one crop."""
    near = cv2.dilate(mask.astype(np.uint8), np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
    for label in range(1, count):
        left, top, width, height, _ = (int(value) for value in stats[label])
        inner = np.s_[top : top + height, left : left + width]
        margin = max(MIN_CONTEXT, round(CONTEXT * width_of(mask[inner] & (labels[inner] == label)))) - NEAR
        rows = slice(max(0, top - margin), min(mask.shape[0], top + height + margin))
        columns = slice(max(0, left - margin), min(mask.shape[1], left + width + margin))
        yield Crop((rows, columns), mask[rows, columns] & (labels[rows, columns] == label))


def holes(mask: np.ndarray) -> np.ndarray:
    """A mask of any type -> bool: true, integers other than 0, or floats above 0.5.

    Raises:
        ValueError: it has another type.
    """
    if mask.dtype.kind not in "buif":
        raise ValueError(f"a mask must hold booleans, integers or floats, not {mask.dtype}")
    return np.asarray(mask > 0.5 if mask.dtype.kind == "f" else mask != 0)


def around(hole: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Rows and columns of the bounding box of a mask, (H, W) bool, with a margin in pixels, clipped to the picture."""
    spans = (np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0)))
    rows, columns = (slice(max(0, int(span[0]) - margin), int(span[-1]) + 1 + margin) for span in spans)
    return rows, columns


def width_of(hole: np.ndarray) -> float:
    """Width in pixels of the widest hole: twice the largest distance to its edge. The picture's border is not an edge."""
    return 2 * float(cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5).max())


def feathered(mask: np.ndarray, length: int) -> np.ndarray:
    """(H, W) float32: 0 outside the mask, rising to 1 over `length` pixels inside its edge."""
    return np.clip(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) / (length + 1), 0, 1).astype(np.float32)


def downscaled(piece: np.ndarray, hole: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Downscale a crop and its hole to `size`, (width, height).

    Only valid pixels count. A pixel of the result is missing where most of its area is; where that would leave none, only where all of its
    area is.
    """
    valid = (~hole).astype(np.float32)[:, :, None]
    weight = cv2.resize(valid, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], 1)
    total = cv2.resize(piece * valid, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    missing = weight[:, :, 0] < 0.5
    if missing.all():  # thin parts are kept, such as a frame: a picture without any pixel cannot be filled
        missing = weight[:, :, 0] <= 0
    return np.asarray(total / np.where(missing[:, :, None], np.maximum(weight, 1e-3), weight), np.float32), missing


def upscaled(piece: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(h, w, C) -> (H, W, C) by the cubic kernel."""
    return np.asarray(cv2.resize(piece, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC).reshape(shape), np.float32)


def dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Dilate a mask, (H, W) bool, by a disc with a radius of `pixels`."""
    if pixels <= 0:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.astype(np.uint8), disc).astype(bool)
