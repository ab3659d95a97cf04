"""Seeded defects of old prints: cracks, scratches, creases, dust and losses, and the global degradation that lies beneath them.

Wan et al. 2020, "Bringing old photos back to life", section 3.2, separate the two: global degradation (fading, blur, grain) and local
defects. A detector of local defects must meet the global degradation in its input.
Images are float32 (H, W, C) in nominal [0, 1]; lengths are pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from restore.datasets.degrade import correlated
from restore.limits import check_fields

Generator = np.random.Generator
VISIBLE = 0.05
"""The smallest difference, of white, that counts as visible."""


@dataclass(frozen=True)
class DefectConfig:
    """How degraded the images are."""

    count: tuple[int, int] = field(
        default=(1, 10),
        metadata={"help": "range of the number of defects on a crop", "range": (1, 1000), "rising": True},
    )
    clean_fraction: float = field(
        default=0.25,
        metadata={"help": "fraction of the crops without defects, so that these are learnt too", "range": (0, 1)},
    )
    dark_fraction: float = field(default=0.3, metadata={"help": "fraction of the defects that are darker than the image", "range": (0, 1)})
    grain: float = field(default=10.0, metadata={"help": "largest standard deviation of the film's grain, of 255", "range": (0, 255)})

    def __post_init__(self) -> None:
        check_fields(self)


def degrade_globally(picture: np.ndarray, rng: Generator, *, config: DefectConfig) -> np.ndarray:
    """Apply fading, blur and grain, each to some of the images: (H, W, C) -> the same shape."""
    if rng.random() < 0.6:
        black, white = rng.uniform(0, 0.25), rng.uniform(0.65, 1)
        picture = black + (white - black) * np.clip(picture, 0, 1) ** np.float32(rng.uniform(0.7, 1.5))
    if rng.random() < 0.5:
        picture = _like(picture, cv2.GaussianBlur(picture.astype(np.float32), (0, 0), rng.uniform(0.4, 2.0)))
    if rng.random() < 0.7:
        picture = correlated(picture.astype(np.float32), float(rng.uniform(0, config.grain)) / 255, rng)[0]
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def add_defects(picture: np.ndarray, rng: Generator, *, config: DefectConfig) -> tuple[np.ndarray, None]:
    """(H, W, C) -> the image with defects, and no map: where they are is the target."""
    if rng.random() < config.clean_fraction:
        return picture, None
    degraded = picture.copy()
    for _ in range(int(rng.integers(config.count[0], config.count[1] + 1))):
        name = NAMES[int(rng.choice(len(NAMES), p=PROBABILITIES))]
        coverage = KINDS[name](picture.shape[0], picture.shape[1], rng)
        degraded = _overlay(degraded, coverage, rng, config)
    return np.clip(degraded, 0, 1), None


def defect_mask(clean: np.ndarray, degraded: np.ndarray) -> np.ndarray:
    """Where defects are visible, (H, W, C) float32 of 0 and 1; a defect of the image's own brightness is not."""
    return np.broadcast_to(np.abs(degraded - clean).max(2, keepdims=True) > VISIBLE, clean.shape).astype(np.float32)


def _overlay(picture: np.ndarray, coverage: np.ndarray, rng: Generator, config: DefectConfig) -> np.ndarray:
    """Blend one defect, (H, W) of 0..1, over the image in a random gray and opacity."""
    if rng.random() < 0.7:
        coverage = cv2.GaussianBlur(coverage, (0, 0), rng.uniform(0.3, 0.9))
    dark = rng.random() < config.dark_fraction
    colour = np.float32(rng.uniform(0, 0.25) if dark else rng.uniform(0.65, 1.0))
    opacity = np.float32(rng.uniform(0.35, 1.0)) * (
        1 - np.float32(rng.uniform(0, 0.6)) * _cloud(coverage.shape[0], coverage.shape[1], rng, 6)
    )
    texture = colour + np.float32(rng.uniform(0, 0.06)) * rng.standard_normal(coverage.shape, dtype=np.float32)
    alpha = np.clip(coverage * opacity, 0, 1)[:, :, None]
    return np.asarray(picture * (1 - alpha) + texture[:, :, None] * alpha, np.float32)


def _cloud(height: int, width: int, rng: Generator, size: int) -> np.ndarray:
    """Smooth noise in 0..1 whose patches are about `size` pixels."""
    coarse = rng.random((height // size + 3, width // size + 3), dtype=np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def _like(picture: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Restore the last axis, which OpenCV drops where it has one channel."""
    return result.reshape(picture.shape)


def _line(coverage: np.ndarray, points: np.ndarray, thickness: np.ndarray) -> None:
    """Draw an antialiased line through `points`, (N, 2) in pixels (x, y), of the given thickness at each."""
    shift = 4
    fixed = np.rint(points * 2**shift).astype(np.int32)
    for start, end, thick in zip(fixed[:-1], fixed[1:], thickness[1:], strict=True):
        # a line thinner than a pixel is drawn one pixel wide and fainter
        strength = 255 * min(1.0, float(thick))
        ends = (int(start[0]), int(start[1])), (int(end[0]), int(end[1]))
        cv2.line(coverage, *ends, strength, max(1, round(float(thick))), cv2.LINE_AA, shift)


def _walk(rng: Generator, start: np.ndarray, heading: float, *, length: float, step: float, turn: float) -> np.ndarray:
    """A random path of `length`: every `step` its direction deviates from the heading by `turn` (standard deviation, radians)."""
    count = max(2, round(length / step))
    wobble = rng.normal(0, turn, count)
    drift = np.cumsum(rng.normal(0, turn / 8, count))
    angles = heading + wobble + drift
    moves = step * np.stack([np.cos(angles), np.sin(angles)], 1)
    return np.concatenate([start[None], start + np.cumsum(moves, 0)])


def _random_point(height: int, width: int, rng: Generator) -> np.ndarray:
    return rng.uniform(0, 1, 2) * (width, height)


def _finish(coverage: np.ndarray) -> np.ndarray:
    return coverage.astype(np.float32) / 255


def _crack(height: int, width: int, rng: Generator) -> np.ndarray:
    """The emulsion broken along a jagged path, with branches."""
    coverage = np.zeros((height, width), np.uint8)
    thick, size = rng.uniform(0.7, 3.5), max(height, width)
    branches = [(_random_point(height, width, rng), rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.3) * size, thick)]
    for _ in range(6):
        if not branches:
            break
        start, heading, length, wide = branches.pop()
        path = _walk(rng, start, heading, length=length, step=rng.uniform(2, 7), turn=rng.uniform(0.15, 0.7))
        taper = wide * np.clip(np.minimum(np.linspace(3, 0.3, len(path)), 1) * rng.uniform(0.5, 1.4, len(path)), 0.3, None)
        _line(coverage, path, taper)
        for _ in range(int(rng.integers(0, 3))):
            at = path[int(rng.integers(len(path)))]
            branches.append((at, heading + rng.choice([-1, 1]) * rng.uniform(0.4, 1.6), length * rng.uniform(0.1, 0.6), 0.8 * wide))
    return _finish(coverage)


def _scratch(height: int, width: int, rng: Generator) -> np.ndarray:
    """A fine line, nearly straight, sometimes interrupted."""
    coverage = np.zeros((height, width), np.uint8)
    length = rng.uniform(0.05, 1.2) * max(height, width)
    start, heading = _random_point(height, width, rng), rng.uniform(0, 2 * np.pi)
    path = _walk(rng, start, heading, length=length, step=max(3.0, length / 24), turn=rng.uniform(0, 0.12))
    thick = np.full(len(path), rng.uniform(0.4, 2.0))
    if rng.random() < 0.4:
        thick *= rng.random(len(path)) < 0.75
    _line(coverage, path, thick)
    return _finish(coverage)


def _crease(height: int, width: int, rng: Generator) -> np.ndarray:
    """A fold from side to side, along which parts of the surface have come off."""
    coverage = np.zeros((height, width), np.uint8)
    heading = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.25)
    start = _random_point(height, width, rng) - 1.0 * max(height, width) * np.array([np.cos(heading), np.sin(heading)])
    path = _walk(rng, start, heading, length=2.4 * max(height, width), step=rng.uniform(3, 8), turn=rng.uniform(0.05, 0.25))
    _line(coverage, path, rng.uniform(0.4, 1.0) + rng.gamma(0.8, rng.uniform(0.3, 2.0), len(path)))
    return _finish(coverage)


def _dust(height: int, width: int, rng: Generator) -> np.ndarray:
    """Specks and hairs."""
    coverage = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(2, 25))):
        position = _random_point(height, width, rng)
        if rng.random() < 0.25:
            hair = _walk(rng, position, rng.uniform(0, 2 * np.pi), length=rng.uniform(4, 20), step=2.5, turn=0.5)
            _line(coverage, hair, np.full(len(hair), rng.uniform(0.5, 1.4)))
        else:
            axes = np.rint(16 * rng.uniform(0.4, 2.6) * rng.uniform(0.6, 1.5, 2)).astype(int)
            centre = np.rint(position * 16).astype(int)
            angle = float(rng.uniform(0, 180))
            cv2.ellipse(
                coverage,
                (int(centre[0]), int(centre[1])),
                (int(axes[0]), int(axes[1])),
                angle,
                0,
                360,
                255,
                -1,
                cv2.LINE_AA,
                4,
            )
    return _finish(coverage)


def _loss(height: int, width: int, rng: Generator) -> np.ndarray:
    """A patch with a ragged outline where the surface is gone, often at a border."""
    position = _random_point(height, width, rng)
    if rng.random() < 0.5:
        side = int(rng.integers(2))
        position[side] = rng.choice([0.0, (width, height)[side]])
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    stretch = rng.uniform(0.5, 2.0)
    distance = np.hypot((columns - position[0]) / stretch, (rows - position[1]) * stretch) / rng.uniform(2, 18)
    ragged = distance + 1.2 * _cloud(height, width, rng, 4) + 0.8 * _cloud(height, width, rng, 12)
    return np.asarray(np.clip(4 * (1.9 - ragged), 0, 1), np.float32)


KINDS: Mapping[str, Callable[[int, int, Generator], np.ndarray]] = {
    "crack": _crack, "scratch": _scratch, "crease": _crease, "dust": _dust, "loss": _loss,
}  # fmt: skip
"""Defects: (height, width, generator) -> the coverage of each pixel, (H, W) float32 of 0..1."""
NAMES, PROBABILITIES = tuple(KINDS), (0.28, 0.27, 0.12, 0.18, 0.15)
