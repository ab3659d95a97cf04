"""Seeded faults of exposure and colour: under- and over-exposure, wrong gamma, fading and low contrast.

Pictures are float32 (H, W, C) in nominal [0, 1], coded as sRGB. A fault keeps no value outside [0, 1]: what was clipped is lost, as in a
camera. Afifi et al. 2021, "Learning multi-scale photo exposure correction", use exposure values of -1.5 to 1.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from restore.limits import check_fields

Generator = np.random.Generator


@dataclass(frozen=True)
class ExposureConfig:
    """How far the exposure and the colours are off. Ranges are drawn from uniformly."""

    clean_fraction: float = field(default=0.3, metadata={"help": "fraction of the crops that stay as they are", "range": (0, 1)})
    stops: tuple[float, float] = field(default=(-3.0, 1.5), metadata={"help": "exposure: range in stops", "range": (-8, 8), "rising": True})
    gamma: tuple[float, float] = field(
        default=(0.5, 2.2), metadata={"help": "gamma: range of the exponent", "range": (0.1, 10), "rising": True}
    )
    black: float = field(default=0.3, metadata={"help": "fading: highest level of black", "range": (0, 0.45)})
    white: float = field(default=0.6, metadata={"help": "fading: lowest level of white", "range": (0.55, 1)})
    cast: float = field(default=0.12, metadata={"help": "fading: largest difference of a channel's black and white", "range": (0, 0.45)})
    contrast: tuple[float, float] = field(
        default=(0.3, 0.85), metadata={"help": "low contrast: range of the factor", "range": (0.05, 1), "rising": True}
    )

    def __post_init__(self) -> None:
        check_fields(self)


def damage(picture: np.ndarray, rng: Generator, *, config: ExposureConfig) -> tuple[np.ndarray, None]:
    """Give a picture one fault of FAULTS, or none: (H, W, C) -> the same shape, and no map."""
    if rng.random() < config.clean_fraction:
        return picture, None
    names = list(FAULTS)
    return FAULTS[names[int(rng.integers(len(names)))]](picture, rng, config), None


def exposed(picture: np.ndarray, stops: float) -> np.ndarray:
    """Expose by `stops` more, in linear light, and clip: (H, W, C) -> the same shape."""
    return encoded(np.clip(linear(picture) * 2.0**stops, 0, 1))


def linear(picture: np.ndarray) -> np.ndarray:
    """sRGB's code in [0, 1] -> linear light (IEC 61966-2-1)."""
    low = np.clip(picture, 0, 1)
    return np.asarray(np.where(low <= 0.04045, low / 12.92, ((low + 0.055) / 1.055) ** 2.4), np.float32)


def encoded(light: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] -> sRGB's code."""
    return np.asarray(np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055), np.float32)


def _exposure(picture: np.ndarray, rng: Generator, config: ExposureConfig) -> np.ndarray:
    return exposed(picture, float(rng.uniform(*config.stops)))


def _gamma(picture: np.ndarray, rng: Generator, config: ExposureConfig) -> np.ndarray:
    exponent = np.exp(rng.uniform(*np.log(config.gamma)))
    return np.asarray(np.clip(picture, 0, 1) ** np.float32(exponent), np.float32)


def _faded(picture: np.ndarray, rng: Generator, config: ExposureConfig) -> np.ndarray:
    """Raise black and lower white, in each channel a little otherwise."""
    channels = picture.shape[2]
    black = rng.uniform(0, config.black) + rng.uniform(-config.cast, config.cast, channels)
    white = rng.uniform(config.white, 1) + rng.uniform(-config.cast, config.cast, channels)
    black, white = np.clip(black, 0, 0.45), np.clip(white, 0.55, 1)
    return np.asarray(black + (white - black) * np.clip(picture, 0, 1), np.float32)


def _flat(picture: np.ndarray, rng: Generator, config: ExposureConfig) -> np.ndarray:
    """Bring all values nearer to a gray between the picture's mean and the middle."""
    factor, toward = rng.uniform(*config.contrast), rng.uniform(0, 1)
    centre = toward * float(picture.mean()) + (1 - toward) * 0.5
    return np.asarray(np.clip(centre + factor * (picture - centre), 0, 1), np.float32)


FAULTS: Mapping[str, Callable[[np.ndarray, Generator, ExposureConfig], np.ndarray]] = {
    "exposure": _exposure,
    "gamma": _gamma,
    "faded": _faded,
    "flat": _flat,
}
"""Name -> fault: (picture, generator, ranges) -> the picture with it."""
