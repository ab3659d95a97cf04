"""Recipes of `restore simulate`: seeded degradations of a whole picture, made of those that networks are trained on.

Images are float32 (H, W, C), C 1 or 3, in nominal [0, 1]; the size stays. A recipe returns what it drew, too, so that a pair can be
described and made again.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from restore.datasets import defects, degrade
from restore.datasets.downscaling import DownscalingConfig, real

Simulated = tuple[np.ndarray, dict[str, object]]
DEFECTS_PER_MEGAPIXEL = 12.0


@dataclass(frozen=True)
class SimulationRecipe:
    """One recipe.

    Attributes:
        summary: what it imitates, with the ranges that it draws from.
        apply: (picture, generator) -> the degraded picture and what was drawn.
    """

    summary: str
    apply: Callable[[np.ndarray, np.random.Generator], Simulated]


def simulate(picture: np.ndarray, recipe: str, seed: int) -> Simulated:
    """Degrade a picture by a key of SIMULATIONS. The same picture, recipe and seed give the same result.

    Args:
        picture: (H, W, 1|3) float32, nominal [0, 1]; `restore.simulate` takes other types.

    Returns:
        The degraded picture (H, W, C) float32, not clipped, and what was drawn (JSON-able).
    """
    picture = np.ascontiguousarray(picture, np.float32)
    rng = np.random.default_rng([seed, zlib.crc32(picture.data)])
    degraded, drawn = SIMULATIONS[recipe].apply(picture, rng)
    return np.asarray(degraded, np.float32).reshape(picture.shape), drawn


def _gaussian(picture: np.ndarray, rng: np.random.Generator) -> Simulated:
    sigma = float(rng.uniform(5, 50))
    return degrade.gaussian(picture, sigma / 255, rng)[0], {"sigma": round(sigma, 2)}


def _xray_low_dose(picture: np.ndarray, rng: np.random.Generator) -> Simulated:
    counts, readout = float(np.exp(rng.uniform(*np.log((20, 200))))), float(rng.uniform(0, 3))
    noisy, _ = degrade.poisson_gaussian(picture, counts, readout / 255, rng)
    return noisy, {"counts": round(counts, 2), "readout": round(readout, 2)}


def _jpeg(picture: np.ndarray, rng: np.random.Generator) -> Simulated:
    quality = int(rng.integers(10, 61))
    return degrade.jpeg(picture, quality), {"quality": quality}


def _phone(picture: np.ndarray, rng: np.random.Generator) -> Simulated:
    blur, sigma, quality = float(rng.uniform(0.3, 1.0)), float(rng.uniform(3, 20)), int(rng.integers(70, 96))
    soft = cv2.GaussianBlur(picture, (0, 0), blur, borderType=cv2.BORDER_REFLECT).reshape(picture.shape)
    noisy, _ = degrade.correlated(soft, sigma / 255, rng)
    return degrade.jpeg(noisy, quality), {"blur": round(blur, 2), "sigma": round(sigma, 2), "quality": quality}


def _old_photo(picture: np.ndarray, rng: np.random.Generator) -> Simulated:
    count = max(1, round(DEFECTS_PER_MEGAPIXEL * picture.shape[0] * picture.shape[1] / 1e6 * float(rng.uniform(0.3, 1.5))))
    config = replace(defects.DefectConfig(), count=(count, count), clean_fraction=0.0)
    faded = defects.degrade_globally(picture, rng, config=config)
    return defects.add_defects(faded, rng, config=config)[0], {"defects": count}


def _low_resolution(picture: np.ndarray, rng: np.random.Generator) -> Simulated:
    scale = int(rng.choice((2, 4)))
    height, width = picture.shape[:2]
    padded = cv2.copyMakeBorder(picture, 0, -height % scale, 0, -width % scale, cv2.BORDER_REFLECT)
    small = real(padded.reshape(*padded.shape[:2], -1), rng, scale, DownscalingConfig(kind="real"))
    large = cv2.resize(small, padded.shape[1::-1], interpolation=cv2.INTER_CUBIC).reshape(*padded.shape[:2], -1)
    return large[:height, :width], {"scale": scale}


SIMULATIONS: Mapping[str, SimulationRecipe] = {
    "gaussian": SimulationRecipe("white Gaussian noise, sigma 5 to 50 of 255", _gaussian),
    "xray-low-dose": SimulationRecipe("quantum noise of 20 to 200 counts at white, readout noise up to 3 of 255", _xray_low_dose),
    "jpeg": SimulationRecipe("JPEG of quality 10 to 60", _jpeg),
    "phone": SimulationRecipe("slight blur, noise correlated between pixels (sigma 3 to 20 of 255), JPEG of quality 70 to 95", _phone),
    "old-photo": SimulationRecipe("fading, blur, grain; scratches, cracks, creases, dust and losses", _old_photo),
    "low-resolution": SimulationRecipe("shrunk 2 or 4 times with blur, noise and JPEG, and enlarged to the old size", _low_resolution),
}
"""Name -> recipe."""
