"""Seeded downscaling, to train super-resolution on.

Either by the cubic kernel alone, with which faithful networks are measured in the literature; or by what happens to an image on its
way through cameras and the internet: Wang et al. 2021, "Real-ESRGAN", section 3 (blur, resizing, noise and JPEG, twice, then a sinc
filter for ringing), with the ranges of its appendix. Sigma is on the 0..255 scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
import torch
from scipy import special

from restore.datasets import degrade
from restore.limits import check_fields
from restore.networks.resample import shrink

RESIZINGS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


@dataclass(frozen=True)
class DownscalingConfig:
    """How images are downscaled."""

    kind: Literal["bicubic", "real"] = field(
        default="bicubic",
        metadata={"help": "bicubic (antialiased, as MATLAB's), or real: with blur, noise and JPEG, twice"},
    )
    real_fraction: float = field(
        default=1.0,
        metadata={
            "help": "real: fraction of the crops that are degraded so; the others use the cubic kernel alone",
            "range": (0, 1),
        },
    )
    blur: tuple[float, float] = field(
        default=(0.2, 3.0),
        metadata={
            "help": "real: standard deviation of the first blur in pixels; the second is half of it",
            "range": (1e-3, 100),
            "rising": True,
        },
    )
    resize: tuple[float, float] = field(
        default=(0.15, 1.5),
        metadata={"help": "real: factor of the first resizing", "range": (0.01, 10), "rising": True},
    )
    sigma: tuple[float, float] = field(
        default=(1.0, 30.0),
        metadata={"help": "real: standard deviation of Gaussian noise, of 255", "range": (1e-3, 255), "rising": True},
    )
    counts: tuple[float, float] = field(
        default=(90.0, 5000.0),
        metadata={"help": "real: Poisson noise: counts per pixel at white", "range": (1e-3, 1e9), "rising": True},
    )
    jpeg_quality: tuple[int, int] = field(
        default=(30, 95), metadata={"help": "real: range of the JPEG quality", "range": (1, 100), "rising": True}
    )
    strength: float = field(default=1.0, metadata={"help": "real: fraction of all these ranges that is used", "range": (0, 1)})

    def __post_init__(self) -> None:
        check_fields(self)


def downscale(picture: np.ndarray, rng: np.random.Generator, *, scale: int, config: DownscalingConfig) -> tuple[np.ndarray, None]:
    """(H, W, C) float32, nominal [0, 1], sides multiples of `scale` -> (H / scale, W / scale, C) in 8 bits, and no map."""
    degraded = config.kind == "real" and rng.random() < config.real_fraction
    small = real(picture, rng, scale, config) if degraded else bicubic(picture, scale)
    return degrade.to_8_bits(small), None


def bicubic(picture: np.ndarray, scale: int) -> np.ndarray:
    """Downscale by the antialiased cubic kernel: (H, W, C) -> (H / scale, W / scale, C)."""
    planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    return np.ascontiguousarray(shrink(planes, scale)[0].numpy().transpose(1, 2, 0))


def real(picture: np.ndarray, rng: np.random.Generator, scale: int, config: DownscalingConfig) -> np.ndarray:
    """The second-order model: (H, W, C) -> (H / scale, W / scale, C); the second pass is weaker, as in the paper."""
    height, width = picture.shape[0] // scale, picture.shape[1] // scale
    once = _degrade_once(picture, rng, config, 1.0, blur_probability=1.0)
    twice = _degrade_once(once, rng, config, 0.5, blur_probability=0.8, size=(height, width))
    small = _resize(twice, (height, width), rng)
    if rng.random() < 0.8 * config.strength:
        small = cv2.filter2D(small, -1, _sinc(rng), borderType=cv2.BORDER_REFLECT).reshape(small.shape)
    return degrade.jpeg(np.clip(small, 0, 1), _quality(rng, config)) if rng.random() < 0.5 else small


def _degrade_once(
    picture: np.ndarray, rng: np.random.Generator, config: DownscalingConfig, force: float,
    *, blur_probability: float, size: tuple[int, int] | None = None,
) -> np.ndarray:  # fmt: skip
    """Apply blur, resizing (about `size` where one is given), noise and JPEG once."""
    if rng.random() < blur_probability:
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


def _quality(rng: np.random.Generator, config: DownscalingConfig) -> int:
    low, high = config.jpeg_quality
    return round(rng.uniform(low + (1 - config.strength) * (high - low), high))


def _resize(picture: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Resize to (height, width) by a random kernel: area, linear or cubic."""
    interpolation = RESIZINGS[int(rng.integers(3))]
    return cv2.resize(picture, size[::-1], interpolation=interpolation).reshape(*size, -1)


def _kernel(rng: np.random.Generator, config: DownscalingConfig, force: float) -> np.ndarray:
    """A blur kernel of odd side up to 21: Gaussian, generalised Gaussian or plateau, isotropic or rotated; one in ten is a sinc.

    Liu, Sun 2013 / Real-ESRGAN appendix A: exp(-q^beta / 2) and 1 / (1 + q^beta), q the squared distance by the covariance.
    """
    if rng.random() < 0.1:
        return _sinc(rng)
    wide, narrow = (max(0.1, force * config.strength * float(rng.uniform(*config.blur))) for _ in range(2))
    if rng.random() < 0.5:
        narrow = wide
    angle = rng.uniform(0, np.pi)
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = axes @ np.diag([wide**-2, narrow**-2]) @ axes.T
    reach = min(10, max(1, int(np.ceil(3 * max(wide, narrow)))))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    squared = inverse[0, 0] * x * x + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y * y
    kind = rng.random()
    if kind < 0.7:
        kernel: np.ndarray = np.exp(-squared / 2)
    elif kind < 0.85:
        kernel = np.exp(-(squared ** rng.uniform(0.5, 4)) / 2)
    else:
        kernel = 1 / (1 + squared ** rng.uniform(1, 2))
    return np.asarray(kernel / kernel.sum(), np.float32)


def _sinc(rng: np.random.Generator) -> np.ndarray:
    """An isotropic ideal low-pass of 15 x 15: w J1(w r) / (2 pi r), w the cut-off from pi / 3 to pi (Real-ESRGAN, eq. 6)."""
    cutoff = rng.uniform(np.pi / 3, np.pi)
    y, x = np.mgrid[-7:8, -7:8]
    radius = np.hypot(x, y)
    radius[7, 7] = 1
    kernel: np.ndarray = cutoff * special.j1(cutoff * radius) / (2 * np.pi * radius)
    kernel[7, 7] = cutoff**2 / (4 * np.pi)
    return np.asarray(kernel / kernel.sum(), np.float32)
