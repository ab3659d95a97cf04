"""Seeded holes to train inpainting on: strokes, boxes, scratches, text and blobs, narrow, medium or wide.

Yu et al. 2019, "Free-form image inpainting with gated convolution", appendix (strokes of a wandering brush); Suvorov et al. 2022, "LaMa",
section 2.4 (wide strokes and boxes, drawn anew for every sample). A mask is (H, W, 1) float32, 1 where the image is missing.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from restore.networks.inpainter import HOLE


@dataclass(frozen=True)
class Preset:
    """The size of holes; lengths in pixels of an image of 256 pixels.

    Attributes:
        thickness: range of a stroke's width, and of half the side of a box or a blob.
        fraction: range of the fraction of the image that is missing.
    """

    thickness: tuple[float, float]
    fraction: tuple[float, float]


PRESETS: Mapping[str, Preset] = {
    "narrow": Preset((2, 10), (0.02, 0.15)),
    "medium": Preset((8, 26), (0.08, 0.30)),
    "wide": Preset((24, 64), (0.20, 0.50)),
}
MIXED = ("narrow", "medium", "wide")
TRIES = 40
"""The most shapes that are drawn for one mask."""


@dataclass(frozen=True)
class MaskConfig:
    """Which holes are drawn."""

    preset: Literal["narrow", "medium", "wide", "mixed"] = field(
        default="mixed", metadata={"help": "narrow, medium, wide, or one of the three for each crop"}
    )
    kinds: tuple[str, ...] = field(
        default=("strokes", "boxes", "scratches", "text", "blobs"),
        metadata={"help": "shapes that are drawn, of these five"},
    )

    def __post_init__(self) -> None:
        unknown = set(self.kinds) - set(KINDS)
        if unknown or not self.kinds:
            raise ValueError(f"masks.kinds must be some of {', '.join(KINDS)}, not {', '.join(map(repr, self.kinds)) or 'nothing'}")
        if self.preset not in (*PRESETS, "mixed"):
            raise ValueError(f"masks.preset must be one of {', '.join(PRESETS)}, mixed, not {self.preset!r}")


def cut_holes(picture: np.ndarray, rng: np.random.Generator, *, config: MaskConfig) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, C) float32 -> the image with flat gray holes, and the mask (H, W, 1)."""
    mask = draw(picture.shape[0], picture.shape[1], rng, config)
    return np.where(mask > 0, np.float32(HOLE), picture), mask


def draw(height: int, width: int, rng: np.random.Generator, config: MaskConfig) -> np.ndarray:
    """Draw one mask, (H, W, 1) float32 of 0 and 1; part of the image always stays and part is always missing."""
    preset = PRESETS[config.preset if config.preset != "mixed" else MIXED[int(rng.integers(len(MIXED)))]]
    unit = min(height, width) / 256
    fraction = rng.uniform(*preset.fraction)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(TRIES):
        shape = np.zeros_like(mask)
        KINDS[config.kinds[int(rng.integers(len(config.kinds)))]](shape, rng, preset, unit)
        union = mask | shape
        # a shape that would remove too much is skipped
        if union.mean() <= preset.fraction[1]:
            mask = union
        if mask.mean() >= fraction:
            break
    if not mask.any():
        mask[height // 2 : height // 2 + 2, width // 4 : width // 2] = 1
    return mask[:, :, None].astype(np.float32)


def _strokes(mask: np.ndarray, rng: np.random.Generator, preset: Preset, unit: float) -> None:
    """A wandering brush: each turn starts from the last direction."""
    thick = max(1, round(unit * rng.uniform(*preset.thickness)))
    position, heading = rng.uniform(0, 1, 2) * mask.shape[::-1], rng.uniform(0, 2 * np.pi)
    for _ in range(int(rng.integers(2, 8))):
        heading += rng.normal(0, 0.7)
        step = unit * rng.uniform(10, 60) + thick
        end = position + step * np.array([np.cos(heading), np.sin(heading)])
        cv2.line(mask, _point(position), _point(end), 1, thick)
        position = end


def _boxes(mask: np.ndarray, rng: np.random.Generator, preset: Preset, unit: float) -> None:
    half = unit * rng.uniform(*preset.thickness, 2) * rng.uniform(0.7, 1.6, 2)
    centre = rng.uniform(0, 1, 2) * mask.shape[::-1]
    cv2.rectangle(mask, _point(centre - half), _point(centre + half), 1, -1)


def _blobs(mask: np.ndarray, rng: np.random.Generator, preset: Preset, unit: float) -> None:
    """The outline of an object: a circle whose radius varies with a few waves."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = np.ones_like(angle)
    for wave in range(1, 5):
        radius += rng.uniform(0, 0.5) / wave * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    radius = unit * 1.3 * rng.uniform(*preset.thickness) * np.maximum(radius, 0.2)
    stretch = rng.uniform(0.6, 1.6)
    around = np.stack([np.cos(angle) * radius * stretch, np.sin(angle) * radius / stretch], 1)
    outline = rng.uniform(0, 1, 2) * mask.shape[::-1] + around
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], 1)


def _scratches(mask: np.ndarray, rng: np.random.Generator, preset: Preset, unit: float) -> None:
    """Long, thin, slightly bent lines, mostly vertical as in old prints, with dust next to them."""
    height, width = mask.shape
    thick = max(1, round(unit * min(preset.thickness[0], 6) * rng.uniform(0.4, 1.2)))
    start = rng.uniform(0, 1, 2) * (width, height)
    heading = rng.normal(np.pi / 2, 0.35) if rng.random() < 0.7 else rng.uniform(0, np.pi)
    bend, length = rng.normal(0, 0.15), rng.uniform(0.3, 1.2) * max(height, width)
    along = np.linspace(-0.5, 0.5, 24)
    angle = heading + bend * along
    line = start + length * np.stack([along * np.cos(angle), along * np.sin(angle)], 1)
    cv2.polylines(mask, [np.rint(line).astype(np.int32)], False, 1, thick)
    for _ in range(int(rng.integers(0, 6))):
        cv2.circle(mask, _point(rng.uniform(0, 1, 2) * (width, height)), max(1, round(unit * rng.uniform(0.5, 3))), 1, -1)


def _text(mask: np.ndarray, rng: np.random.Generator, preset: Preset, unit: float) -> None:
    """A line of letters in one of OpenCV's fonts."""
    words = "".join(rng.choice(list(string.ascii_letters + string.digits + "  "), int(rng.integers(6, 24))))
    size = unit * rng.uniform(0.5, 0.8 + preset.thickness[0] / 10)
    thick = max(1, round(unit * rng.uniform(0.8, 1 + preset.thickness[0] / 3)))
    origin = _point(rng.uniform(-0.1, 0.8, 2) * mask.shape[::-1])
    cv2.putText(mask, words, origin, int(rng.integers(0, 8)), size, 1, thick)


def _point(position: np.ndarray) -> tuple[int, int]:
    return round(float(position[0])), round(float(position[1]))


KINDS: Mapping[str, Callable[[np.ndarray, np.random.Generator, Preset, float], None]] = {
    "strokes": _strokes,
    "boxes": _boxes,
    "scratches": _scratches,
    "text": _text,
    "blobs": _blobs,
}
