"""Seeded wear of old prints: what makes a clean photograph look old, and the cracks, scratches, creases, dust and tears upon it.

Wan et al. 2020, "Bringing old photos back to life", section 3.2, tell the two apart too: what is everywhere (fading, blur, grain) and what
is somewhere (`wear`). A network that is to take away only the second must find the first in what it is asked for.
Pictures are float32 (H, W, C) in nominal [0, 1]; lengths are pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from restore.datasets.degrade import correlated

Generator = np.random.Generator
SEEN = 0.05
"""The least difference, of white, that is to be seen."""


@dataclass(frozen=True)
class WearConfig:
    """How old and how worn the pictures are."""

    marks: tuple[int, int] = field(
        default=(1, 10), metadata={"help": "range of the number of marks on a worn crop", "range": (1, 1000), "rising": True}
    )
    unworn_share: float = field(
        default=0.25, metadata={"help": "share of the crops with none, so that none is learnt too", "range": (0, 1)}
    )
    dark_share: float = field(default=0.3, metadata={"help": "share of the marks that are darker than the picture", "range": (0, 1)})
    grain: float = field(default=10.0, metadata={"help": "largest standard deviation of the film's grain, of 255", "range": (0, 255)})

    def __post_init__(self) -> None:
        if not 0 < self.marks[0] <= self.marks[1]:
            raise ValueError(f"wear.marks must be two rising numbers from 1, not {self.marks[0]}, {self.marks[1]}")
        for name in ("unworn_share", "dark_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"wear.{name} must be in 0..1, not {getattr(self, name)}")


def age(picture: np.ndarray, rng: Generator, *, config: WearConfig) -> np.ndarray:
    """Fading, blur and grain, each on some of the pictures: (H, W, C) -> the same."""
    if rng.random() < 0.6:
        black, white = rng.uniform(0, 0.25), rng.uniform(0.65, 1)
        picture = black + (white - black) * np.clip(picture, 0, 1) ** np.float32(rng.uniform(0.7, 1.5))
    if rng.random() < 0.5:
        picture = _like(picture, cv2.GaussianBlur(picture.astype(np.float32), (0, 0), rng.uniform(0.4, 2.0)))
    if rng.random() < 0.7:
        picture = correlated(picture.astype(np.float32), float(rng.uniform(0, config.grain)) / 255, rng)[0]
    return np.clip(picture, 0, 1).astype(np.float32)


def wear(picture: np.ndarray, rng: Generator, *, config: WearConfig) -> tuple[np.ndarray, None]:
    """(H, W, C) -> the same with marks upon it (and no map: where they are is what is to be learnt)."""
    if rng.random() < config.unworn_share:
        return picture, None
    worn = picture.copy()
    for _ in range(int(rng.integers(config.marks[0], config.marks[1] + 1))):
        name = NAMES[int(rng.choice(len(NAMES), p=SHARES))]
        cover = KINDS[name](picture.shape[0], picture.shape[1], rng)
        worn = _covered(worn, cover, rng, config)
    return np.clip(worn, 0, 1), None


def marked(clean: np.ndarray, worn: np.ndarray) -> np.ndarray:
    """Where wear is to be seen, (H, W, C) float32 of 0 and 1: a mark of the picture's own brightness is none."""
    return np.broadcast_to(np.abs(worn - clean).max(2, keepdims=True) > SEEN, clean.shape).astype(np.float32)


def _covered(picture: np.ndarray, cover: np.ndarray, rng: Generator, config: WearConfig) -> np.ndarray:
    """Lay one mark, (H, W) of 0..1, over the picture in a colour of its own, as thick as it happens to be."""
    if rng.random() < 0.7:
        cover = cv2.GaussianBlur(cover, (0, 0), rng.uniform(0.3, 0.9))
    dark = rng.random() < config.dark_share
    colour = np.float32(rng.uniform(0, 0.25) if dark else rng.uniform(0.65, 1.0))
    opacity = np.float32(rng.uniform(0.35, 1.0)) * (1 - np.float32(rng.uniform(0, 0.6)) * _cloud(cover.shape[0], cover.shape[1], rng, 6))
    texture = colour + np.float32(rng.uniform(0, 0.06)) * rng.standard_normal(cover.shape, dtype=np.float32)
    share = np.clip(cover * opacity, 0, 1)[:, :, None]
    return np.asarray(picture * (1 - share) + texture[:, :, None] * share, np.float32)


def _cloud(height: int, width: int, rng: Generator, size: int) -> np.ndarray:
    """Smooth noise of 0..1 whose patches are about `size` pixels."""
    coarse = rng.random((height // size + 3, width // size + 3), dtype=np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def _like(picture: np.ndarray, made: np.ndarray) -> np.ndarray:
    """OpenCV drops a last axis of one channel."""
    return made.reshape(picture.shape)


def _line(cover: np.ndarray, places: np.ndarray, thickness: np.ndarray) -> None:
    """Smooth-edged pieces through `places`, (N, 2) in pixels (x, y), each as thick as `thickness` says."""
    shift = 4
    fixed = np.rint(places * 2**shift).astype(np.int32)
    for start, end, thick in zip(fixed[:-1], fixed[1:], thickness[1:], strict=True):
        # no line is thinner than a pixel: a thinner one is fainter
        strength = 255 * min(1.0, float(thick))
        ends = (int(start[0]), int(start[1])), (int(end[0]), int(end[1]))
        cv2.line(cover, *ends, strength, max(1, round(float(thick))), cv2.LINE_AA, shift)


def _walk(rng: Generator, start: np.ndarray, heading: float, *, length: float, step: float, turn: float) -> np.ndarray:
    """A path of `length` whose direction changes by `turn` (standard deviation, radians) every `step` about a heading of its own."""
    count = max(2, round(length / step))
    wobble = rng.normal(0, turn, count)
    drift = np.cumsum(rng.normal(0, turn / 8, count))
    angles = heading + wobble + drift
    moves = step * np.stack([np.cos(angles), np.sin(angles)], 1)
    return np.concatenate([start[None], start + np.cumsum(moves, 0)])


def _anywhere(height: int, width: int, rng: Generator) -> np.ndarray:
    return rng.uniform(0, 1, 2) * (width, height)


def _finish(cover: np.ndarray) -> np.ndarray:
    return cover.astype(np.float32) / 255


def _crack(height: int, width: int, rng: Generator) -> np.ndarray:
    """The emulsion broken along a jagged path, with branches."""
    cover = np.zeros((height, width), np.uint8)
    thick, size = rng.uniform(0.7, 3.5), max(height, width)
    waiting = [(_anywhere(height, width, rng), rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.3) * size, thick)]
    for _ in range(6):
        if not waiting:
            break
        start, heading, length, wide = waiting.pop()
        path = _walk(rng, start, heading, length=length, step=rng.uniform(2, 7), turn=rng.uniform(0.15, 0.7))
        taper = wide * np.clip(np.minimum(np.linspace(3, 0.3, len(path)), 1) * rng.uniform(0.5, 1.4, len(path)), 0.3, None)
        _line(cover, path, taper)
        for _ in range(int(rng.integers(0, 3))):
            at = path[int(rng.integers(len(path)))]
            waiting.append((at, heading + rng.choice([-1, 1]) * rng.uniform(0.4, 1.6), length * rng.uniform(0.1, 0.6), 0.8 * wide))
    return _finish(cover)


def _scratch(height: int, width: int, rng: Generator) -> np.ndarray:
    """A fine line, nearly straight, in places interrupted."""
    cover = np.zeros((height, width), np.uint8)
    length = rng.uniform(0.05, 1.2) * max(height, width)
    start, heading = _anywhere(height, width, rng), rng.uniform(0, 2 * np.pi)
    path = _walk(rng, start, heading, length=length, step=max(3.0, length / 24), turn=rng.uniform(0, 0.12))
    thick = np.full(len(path), rng.uniform(0.4, 2.0))
    if rng.random() < 0.4:
        thick *= rng.random(len(path)) < 0.75
    _line(cover, path, thick)
    return _finish(cover)


def _crease(height: int, width: int, rng: Generator) -> np.ndarray:
    """A fold from side to side, along which the surface has come off in places."""
    cover = np.zeros((height, width), np.uint8)
    heading = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.25)
    start = _anywhere(height, width, rng) - 1.0 * max(height, width) * np.array([np.cos(heading), np.sin(heading)])
    path = _walk(rng, start, heading, length=2.4 * max(height, width), step=rng.uniform(3, 8), turn=rng.uniform(0.05, 0.25))
    _line(cover, path, rng.uniform(0.4, 1.0) + rng.gamma(0.8, rng.uniform(0.3, 2.0), len(path)))
    return _finish(cover)


def _dust(height: int, width: int, rng: Generator) -> np.ndarray:
    """Specks and hairs."""
    cover = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(2, 25))):
        place = _anywhere(height, width, rng)
        if rng.random() < 0.25:
            hair = _walk(rng, place, rng.uniform(0, 2 * np.pi), length=rng.uniform(4, 20), step=2.5, turn=0.5)
            _line(cover, hair, np.full(len(hair), rng.uniform(0.5, 1.4)))
        else:
            axes = np.rint(16 * rng.uniform(0.4, 2.6) * rng.uniform(0.6, 1.5, 2)).astype(int)
            middle = np.rint(place * 16).astype(int)
            turned = float(rng.uniform(0, 180))
            cv2.ellipse(cover, (int(middle[0]), int(middle[1])), (int(axes[0]), int(axes[1])), turned, 0, 360, 255, -1, cv2.LINE_AA, 4)
    return _finish(cover)


def _loss(height: int, width: int, rng: Generator) -> np.ndarray:
    """A patch of ragged outline where the surface is gone, often at a border."""
    place = _anywhere(height, width, rng)
    if rng.random() < 0.5:
        side = int(rng.integers(2))
        place[side] = rng.choice([0.0, (width, height)[side]])
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    stretch = rng.uniform(0.5, 2.0)
    distance = np.hypot((columns - place[0]) / stretch, (rows - place[1]) * stretch) / rng.uniform(2, 18)
    ragged = distance + 1.2 * _cloud(height, width, rng, 4) + 0.8 * _cloud(height, width, rng, 12)
    return np.clip(4 * (1.9 - ragged), 0, 1).astype(np.float32)


KINDS: Mapping[str, Callable[[int, int, Generator], np.ndarray]] = {
    "crack": _crack, "scratch": _scratch, "crease": _crease, "dust": _dust, "loss": _loss,
}  # fmt: skip
"""Marks: (height, width, generator) -> how much of each pixel is covered, (H, W) float32 of 0..1."""
NAMES, SHARES = tuple(KINDS), (0.28, 0.27, 0.12, 0.18, 0.15)
