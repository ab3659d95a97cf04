"""Noisy pictures alone -> pairs with independent noise: recorruption.

Pang et al. 2021, "Recorrupted-to-recorrupted: unsupervised deep learning for image denoising" (arXiv 2103.14792). To a noisy picture y
with noise of the covariance S, noise n of the same covariance is added twice: input y + t n, target y - n / t. For Gaussian noise the two
are independent given the clean picture, so a network that is trained with the squared error learns what it would learn from clean
targets. Of two twins one has n and the other -n: what the two targets add to the noise of y then cancels in the sum of their losses.

Poisson-Gaussian noise is treated as Gaussian, with the variance of each noisy pixel: its mean is the true variance, so input and target
are uncorrelated even next to edges. Single photons are split instead: each goes to the input with the probability 1 / (1 + t^2), else to
the target. Both are then Poisson and independent (Monroy et al. 2024, "Generalized recorrupted-to-recorrupted", arXiv 2412.04648).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from restore.datasets.crops import Pictures, random_crop, to_float, to_tensor
from restore.images.noise_model import NoiseLevel, PhotonSteps
from restore.images.noise_spectrum import WHITE, NoiseSpectrum

FACTORS = (0.7, 1.4)
"""Range of t. The target's noise grows with 1 / t; with t the input's noise exceeds that of use. `docs/decisions/recorruption.md` has the
measurements."""


@dataclass(frozen=True)
class PictureNoise:
    """The noise of a picture, and the range in which a network sees the picture.

    Attributes:
        level: of the picture divided by `span`, finest detail only.
        spectrum: of the noise.
        offset, span: input = (pixels - offset) / span.
        photons: of the divided picture too, where single photons can be distinguished; their noise is white.
    """

    level: NoiseLevel
    spectrum: NoiseSpectrum = WHITE
    offset: float = 0.0
    span: float = 1.0
    photons: PhotonSteps | None = None

    def within(self, offset: float, span: float) -> PictureNoise:
        """The noise of the same picture, whose range is its own so far, in another range."""
        photons = self.photons and PhotonSteps(self.photons.step / span, (self.photons.zero - offset) / span)
        return replace(self, level=self.level.within(offset, span), offset=offset, span=span, photons=photons)


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
        twins: items 2 i and 2 i + 1 are the same crop with opposite noise.
        upright: crops are flipped left to right only.
    """

    pictures: Pictures
    crop: int
    noise_of: Callable[[np.ndarray], PictureNoise]
    seed: int
    length: int
    twins: bool = False
    upright: bool = False
    _known: dict[int, PictureNoise] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index // 2 if self.twins else index])
        number, picture = self.pictures.draw_numbered(rng)
        if number not in self._known:
            self._known[number] = self.noise_of(to_float(picture))
        noise = self._known[number]
        crop = (random_crop(picture, self.crop, rng) - np.float32(noise.offset)) / np.float32(noise.span)
        turns = int(rng.integers(4)) if noise.spectrum.white else 2 * int(rng.integers(2))
        pair = recorrupted(crop, noise, float(rng.uniform(*FACTORS)), rng, twin=self.twins and index % 2 == 1)
        flipped = rng.random() < 0.5
        oriented = [np.rot90(one[:, ::-1] if flipped else one, 0 if self.upright else turns) for one in pair]
        return {name: to_tensor(one) for name, one in zip(("input", "target", "noise"), oriented, strict=True)}


def recorrupted(
    noisy: np.ndarray, noise: PictureNoise, factor: float, rng: np.random.Generator, *, twin: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Recorrupt a picture.

    Args:
        noisy: (H, W, C) float32, in a network's range.
        noise: its noise.
        factor: t.
        rng: the source of randomness.
        twin: make the other one of the two that this state of `rng` gives.

    Returns:
        The input and the target, (H, W, C), and the map of the input's noise, (H, W, 1).
    """
    if noise.photons is not None:
        inputs, target = _split(noisy, noise.photons, factor, rng.spawn(2)[twin])
    else:
        more = (-1 if twin else 1) * _deviation(noisy, noise) * noise.spectrum.field(noisy.shape, rng)
        inputs, target = noisy + np.float32(factor) * more, noisy - more / np.float32(factor)
    return inputs, target, noise.level.scaled(float(np.sqrt(1 + factor**2))).map(inputs)


def _deviation(noisy: np.ndarray, noise: PictureNoise) -> np.ndarray:
    """The standard deviation of each pixel's noise; of correlated noise that of its surroundings, since pixels share it."""
    level = noise.level
    if level.slope == 0 or not noise.spectrum.white:
        return level.map(noisy)
    variance = np.float32(level.slope) * (noisy - np.float32(level.black)) + np.float32(level.constant)
    return np.asarray(np.sqrt(np.maximum(variance, 0)))


def _split(noisy: np.ndarray, photons: PhotonSteps, factor: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two pictures that have each a part of the photons; readout noise, small against a photon, stays in both."""
    counts = np.maximum(np.rint((noisy - photons.zero) / photons.step), 0).astype(np.int64)
    rest = noisy - np.float32(photons.step) * counts.astype(np.float32)
    part = 1 / (1 + factor**2)
    first = rng.binomial(counts, part)
    inputs, target = rest + photons.step / part * first, rest + photons.step / (1 - part) * (counts - first)
    return inputs.astype(np.float32), target.astype(np.float32)
