"""Noisy pictures alone -> pairs with independent noise: recorruption.

Pang et al. 2021, "Recorrupted-to-recorrupted: unsupervised deep learning for image denoising" (arXiv 2103.14792). To a noisy picture y
with noise of the covariance S, noise n of the same covariance is added twice: input y + t n, target y - n / t. For Gaussian noise the two
are independent given the clean picture, so a network that is trained with the squared error learns what it would learn from clean
targets. Poisson-Gaussian noise is treated as Gaussian with the variance of each pixel's brightness.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from restore.datasets.crops import Pictures, random_crop, to_float, to_tensor
from restore.images.noise_model import NoiseLevel
from restore.images.noise_spectrum import WHITE, NoiseSpectrum

LEAST, MOST = 0.4, 1.0
"""Range of t. The target's noise grows with 1 / t; with t the input's noise exceeds that of use."""


@dataclass(frozen=True)
class PictureNoise:
    """The noise of a picture, and the range in which a network sees the picture.

    Attributes:
        level: of the picture divided by `span`, finest detail only.
        spectrum: of the noise.
        offset, span: input = (pixels - offset) / span.
    """

    level: NoiseLevel
    spectrum: NoiseSpectrum = WHITE
    offset: float = 0.0
    span: float = 1.0


@dataclass(frozen=True, eq=False)
class RecorruptedCrops(Dataset[dict[str, Tensor]]):
    """Crops of noisy pictures with further noise: {"input": (C, S, S), "target": (C, S, S), "noise": (1, S, S)} float32.

    An item is a function of (seed, index) alone.

    Attributes:
        pictures: the noisy pictures.
        crop: side S in pixels; smaller pictures are reflected outwards.
        noise_of: measures the noise of a picture (H, W, C), float32 in [0, 1].
        seed: of everything random.
        length: number of items.
    """

    pictures: Pictures
    crop: int
    noise_of: Callable[[np.ndarray], PictureNoise]
    seed: int
    length: int
    _known: dict[int, PictureNoise] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        number, picture = self.pictures.draw_numbered(rng)
        if number not in self._known:
            self._known[number] = self.noise_of(to_float(picture))
        noise = self._known[number]
        crop = (random_crop(picture, self.crop, rng) - np.float32(noise.offset)) / np.float32(noise.span)
        turns = int(rng.integers(4)) if noise.spectrum.white else 2 * int(rng.integers(2))
        pair = recorrupted(crop, noise, float(rng.uniform(LEAST, MOST)), rng)
        flipped = rng.random() < 0.5
        oriented = [np.rot90(one[:, ::-1] if flipped else one, turns) for one in pair]
        return {name: to_tensor(one) for name, one in zip(("input", "target", "noise"), oriented, strict=True)}


def recorrupted(
    noisy: np.ndarray, noise: PictureNoise, factor: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Recorrupt a picture.

    Args:
        noisy: (H, W, C) float32, in a network's range.
        noise: its noise.
        factor: t.
        rng: the source of randomness.

    Returns:
        The input and the target, (H, W, C), and the map of the input's noise, (H, W, 1).
    """
    deviation = noise.level.map(noisy)
    more = deviation * noise.spectrum.field(noisy.shape, rng)
    inputs = noisy + np.float32(factor) * more
    return inputs, noisy - more / np.float32(factor), noise.level.scaled(float(np.sqrt(1 + factor**2))).map(inputs)
