"""Seeded damage for super-resolution: a picture made small.

Either by the cubic kernel alone, as all published figures of faithful networks are measured, or by all that happens to a
picture on its way through cameras and the internet: Wang et al. 2021, "Real-ESRGAN", section 3 (blur, resizing, noise and JPEG,
twice, then a sinc filter for ringing), with the ranges of its appendix; sigma is on the 0..255 scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
import torch
from scipy import special

from restore.datasets import degrade
from restore.networks.resample import shrink

RESIZINGS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


@dataclass(frozen=True)
class ShrinkingConfig:
    """How pictures are made small."""

    kind: Literal["bicubic", "real"] = field(
        default="bicubic", metadata={"help": "bicubic (antialiased, MATLAB's), or real: blur, noise and JPEG, twice, too"}
    )
    real_share: float = field(
        default=1.0,
        metadata={
            "help": "real: share of the crops that are harmed so; the others are made small by the cubic kernel alone",
            "range": (0, 1),
        },
    )
    blur: tuple[float, float] = field(
        default=(0.2, 3.0),
        metadata={"help": "real: deviation of the first blur in pixels; half of it the second time", "range": (1e-3, 100), "rising": True},
    )
    resize: tuple[float, float] = field(
        default=(0.15, 1.5), metadata={"help": "real: factor of the first resizing", "range": (0.01, 10), "rising": True}
    )
    sigma: tuple[float, float] = field(
        default=(1.0, 30.0), metadata={"help": "real: of Gaussian noise, 0..255", "range": (1e-3, 255), "rising": True}
    )
    counts: tuple[float, float] = field(
        default=(90.0, 5000.0), metadata={"help": "real: photons at white of Poisson noise", "range": (1e-3, 1e9), "rising": True}
    )
    jpeg_quality: tuple[int, int] = field(default=(30, 95), metadata={"help": "real: of JPEG", "range": (1, 100), "rising": True})
    strength: float = field(default=1.0, metadata={"help": "real: 0..1, share of all these ranges that is used", "range": (0, 1)})

    def __post_init__(self) -> None:
        for name in ("blur", "resize", "sigma", "counts", "jpeg_quality"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"shrinking.{name} must be two rising numbers above 0, not {low}, {high}")
        for name in ("strength", "real_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"shrinking.{name} must be in 0..1, not {getattr(self, name)}")


def damage(picture: np.ndarray, rng: np.random.Generator, *, scale: int, config: ShrinkingConfig) -> tuple[np.ndarray, None]:
    """(H, W, C) float32, nominal [0, 1], sides multiples of `scale` -> (H / scale, W / scale, C) in 8 bits; and no noise level."""
    harmed = config.kind == "real" and rng.random() < config.real_share
    small = real(picture, rng, scale, config) if harmed else bicubic(picture, scale)
    return degrade.to_8_bits(small), None


def bicubic(picture: np.ndarray, scale: int) -> np.ndarray:
    """Shrink by the antialiased cubic kernel: (H, W, C) -> (H / scale, W / scale, C)."""
    planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    return np.ascontiguousarray(shrink(planes, scale)[0].numpy().transpose(1, 2, 0))


def real(picture: np.ndarray, rng: np.random.Generator, scale: int, config: ShrinkingConfig) -> np.ndarray:
    """The second-order model: (H, W, C) -> (H / scale, W / scale, C); the second round is gentler, as in the paper."""
    height, width = picture.shape[0] // scale, picture.shape[1] // scale
    once = _round(picture, rng, config, 1.0, share=1.0)
    twice = _round(once, rng, config, 0.5, share=0.8, size=(height, width))
    small = _resize(twice, (height, width), rng)
    if rng.random() < 0.8 * config.strength:
        small = cv2.filter2D(small, -1, _sinc(rng), borderType=cv2.BORDER_REFLECT).reshape(small.shape)
    return degrade.jpeg(np.clip(small, 0, 1), _quality(rng, config)) if rng.random() < 0.5 else small


def _round(
    picture: np.ndarray, rng: np.random.Generator, config: ShrinkingConfig, force: float,
    *, share: float, size: tuple[int, int] | None = None,
) -> np.ndarray:  # fmt: skip
    """Blur, resizing (about `size` where one is given), noise and JPEG once; `share` is the chance of the blur."""
    if rng.random() < share:
        picture = cv2.filter2D(picture, -1, _kernel(rng, config, force), borderType=cv2.BORDER_REFLECT).reshape(picture.shape)
    low, high = (factor ** (force * config.strength) for factor in config.resize)
    factor = float(np.exp(rng.uniform(*np.log((low, high)))))
    shape = size or picture.shape[:2]
    picture = _resize(picture, (max(8, round(shape[0] * factor)), max(8, round(shape[1] * factor))), rng)
    if rng.random() < 0.5:
        sigma = config.strength * force * float(rng.uniform(*config.sigma))
        picture, _ = degrade.gaussian(picture, sigma / 255, rng)
    else:
        counts = float(np.exp(rng.uniform(*np.log(config.counts)))) / max(config.strength * force, 1e-3) ** 2
        picture, _ = degrade.poisson_gaussian(picture, counts, 0.0, rng)
    return degrade.jpeg(np.clip(picture, 0, 1), _quality(rng, config))


def _quality(rng: np.random.Generator, config: ShrinkingConfig) -> int:
    low, high = config.jpeg_quality
    return round(rng.uniform(low + (1 - config.strength) * (high - low), high))


def _resize(picture: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """To (height, width) by area, line or cubic kernel, drawn by chance."""
    how = RESIZINGS[int(rng.integers(3))]
    return cv2.resize(picture, size[::-1], interpolation=how).reshape(*size, -1)


def _kernel(rng: np.random.Generator, config: ShrinkingConfig, force: float) -> np.ndarray:
    """A blur of odd side up to 21: Gaussian, generalised Gaussian or plateau, round or stretched and turned; a sinc one time in ten.

    Liu, Sun 2013 / Real-ESRGAN appendix A: exp(-q^beta / 2) and 1 / (1 + q^beta), q the squared distance by the covariance.
    """
    if rng.random() < 0.1:
        return _sinc(rng)
    wide, narrow = (max(0.1, force * config.strength * float(rng.uniform(*config.blur))) for _ in range(2))
    if rng.random() < 0.5:
        narrow = wide
    turn = rng.uniform(0, np.pi)
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    inverse = axes @ np.diag([wide**-2, narrow**-2]) @ axes.T
    reach = min(10, max(1, int(np.ceil(3 * max(wide, narrow)))))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    squared = inverse[0, 0] * x * x + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y * y
    kind = rng.random()
    if kind < 0.7:
        kernel = np.exp(-squared / 2)
    elif kind < 0.85:
        kernel = np.exp(-(squared ** rng.uniform(0.5, 4)) / 2)
    else:
        kernel = 1 / (1 + squared ** rng.uniform(1, 2))
    return (kernel / kernel.sum()).astype(np.float32)


def _sinc(rng: np.random.Generator) -> np.ndarray:
    """A round ideal low-pass of 15 x 15: w J1(w r) / (2 pi r), w the cut-off from pi / 3 to pi (Real-ESRGAN, eq. 6)."""
    cutoff = rng.uniform(np.pi / 3, np.pi)
    y, x = np.mgrid[-7:8, -7:8]
    radius = np.hypot(x, y)
    radius[7, 7] = 1
    kernel = cutoff * special.j1(cutoff * radius) / (2 * np.pi * radius)
    kernel[7, 7] = cutoff**2 / (4 * np.pi)
    return (kernel / kernel.sum()).astype(np.float32)
