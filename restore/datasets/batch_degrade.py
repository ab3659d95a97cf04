"""The noise of `degrade` and the downscaling of `downscaling` for whole batches on any device.

Crops are float32 (B, C, H, W) in nominal [0, 1]; what is drawn for each crop is (B, 1, 1, 1). Every kind of noise that may occur is made
for the whole batch, and each crop takes one: choosing first would have the CPU wait for the GPU. The models and their sources are those
of `degrade`.
"""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.datasets import batch_compression
from restore.datasets.degrade import NoiseConfig
from restore.images.noise_model import BASIS, BLOCK, HIGH, SMOOTHING
from restore.networks.resample import shrink


class Draws:
    """Random numbers for a batch.

    Args:
        like: the batch, whose count, shape and device they have.
        generator: of that device.
    """

    def __init__(self, like: Tensor, generator: torch.Generator) -> None:
        self.like, self.generator = like, generator

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """One number for each crop, (B, 1, 1, 1)."""
        drawn = torch.rand((len(self.like), 1, 1, 1), generator=self.generator, device=self.like.device)
        return low + (high - low) * drawn

    def chance(self, probability: float) -> Tensor:
        """Whether something happens to each crop, (B, 1, 1, 1)."""
        return self.uniform() < probability

    def whole(self, low: int, high: int) -> Tensor:
        """An integer from `low` to `high` for each crop, (B, 1, 1, 1)."""
        return torch.randint(low, high + 1, (len(self.like), 1, 1, 1), generator=self.generator, device=self.like.device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, (B, *shape)."""
        return torch.randn((len(self.like), *shape), generator=self.generator, device=self.like.device)


def add_noise(clean: Tensor, generator: torch.Generator, *, config: NoiseConfig) -> tuple[Tensor, Tensor]:
    """Draw a kind of noise for each crop from `config` and add it; see `degrade.add_noise`.

    Returns:
        The noisy crops, and the map of the noise's standard deviation, (B, 1, H, W), computed from the noisy crops.
    """
    draws = Draws(clean, generator)
    slope = torch.zeros_like(draws.uniform())
    noisy, constant = gaussian(clean, draws.uniform(*config.sigma) / 255, draws)
    if config.correlated_fraction:
        noisy, constant = _where(
            draws.chance(config.correlated_fraction),
            correlated(clean, draws.uniform(*config.correlated_sigma) / 255, draws),
            (noisy, constant),
        )
    if config.poisson_fraction:
        counts = torch.exp(draws.uniform(*(math.log(limit) for limit in config.counts)))
        noisy, slope, constant = _where(
            draws.chance(config.poisson_fraction),
            poisson_gaussian(clean, counts, draws.uniform(*config.readout) / 255, draws),
            (noisy, slope, constant),
        )
    noisy, constant = _stored(clean, noisy, slope, constant, config, draws)
    if config.map_error > 0:
        factor = torch.exp(2 * config.map_error * draws.normal(1, 1, 1))
        slope, constant = slope * factor, constant * factor
    return noisy, noise_map(noisy, slope, constant)


def gaussian(clean: Tensor, sigma: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """White noise of standard deviation `sigma`; the noisy crops, and their noise's variance."""
    return clean + sigma * draws.normal(*clean.shape[1:]), sigma**2


def poisson_gaussian(clean: Tensor, counts: Tensor, readout: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
    """Quantum noise with `counts` per pixel at white and readout noise; the noisy crops, and the variance's slope and constant part."""
    quanta = torch.poisson(clean.clamp(min=0) * counts, generator=draws.generator) / counts
    return quanta + readout * draws.normal(*clean.shape[1:]), 1 / counts, readout**2


def correlated(clean: Tensor, sigma: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Noise that is correlated between pixels and colours, and the variance of its finest detail; see `degrade.correlated`."""
    channels, height, width = clean.shape[1:]
    frequency = torch.hypot(torch.fft.fftfreq(height, device=clean.device)[:, None], torch.fft.rfftfreq(width, device=clean.device)[None])
    exponent, blur, common = draws.uniform(0, 0.8), draws.uniform(0.3, 1.0), draws.uniform(0, 0.9)
    amplitude = (frequency + 0.02) ** -exponent * torch.exp(-((2 * math.pi * blur * frequency) ** 2) / 2)
    white = draws.normal(channels + 1, height, width)
    mixed = common.sqrt() * white[:, :1] + (1 - common).sqrt() * white[:, 1:] if channels > 1 else white[:, 1:]
    shaped = torch.fft.irfft2(torch.fft.rfft2(mixed) * amplitude, (height, width))
    deviation = shaped.std(dim=(1, 2, 3), keepdim=True, correction=0).clamp(min=1e-6)
    noise = shaped * (sigma / deviation)
    return clean + noise, fine_variance(noise)


def fine_variance(noise: Tensor) -> Tensor:
    """What `NoiseLevel.of` measures on each crop of a noise field, (B, 1, 1, 1); crops of at least 8 x 8 pixels."""
    count, _, height, width = noise.shape
    cells = noise[..., : height // BLOCK * BLOCK, : width // BLOCK * BLOCK].unfold(2, BLOCK, BLOCK).unfold(3, BLOCK, BLOCK)
    basis, high = _fine_basis(noise.device)
    coefficients = cells.reshape(count, -1, BLOCK * BLOCK) @ basis
    return coefficients[..., high].square().mean(dim=1).median(dim=1).values[:, None, None, None]


def noise_map(noisy: Tensor, slope: Tensor, constant: Tensor) -> Tensor:
    """The standard deviation at each pixel, (B, 1, H, W); see `NoiseLevel.map`."""
    rows, columns = (_smoothing(side, noisy.device) for side in noisy.shape[-2:])
    smooth = rows @ noisy.mean(dim=1, keepdim=True) @ columns.mT
    return (slope * smooth.clamp(min=0) + constant).sqrt()


def downscale(clean: Tensor, generator: torch.Generator, *, scale: int) -> tuple[Tensor, None]:
    """Downscale by the antialiased cubic kernel and round to 8 bits; see `downscaling.downscale`. Nothing is drawn."""
    return to_8_bits(shrink(clean, scale)), None


def to_8_bits(picture: Tensor) -> Tensor:
    """Round and clip as an 8-bit file does."""
    return torch.round(picture.clamp(0, 1) * 255) / 255


def _stored(clean: Tensor, noisy: Tensor, slope: Tensor, constant: Tensor, config: NoiseConfig, draws: Draws) -> tuple[Tensor, Tensor]:
    """Store a part of the crops as JPEG, whose noise is measured then, and round a part of the others."""
    as_jpeg = draws.chance(config.jpeg_fraction)
    result = torch.where(draws.chance(config.round_fraction), to_8_bits(noisy), noisy)
    if not config.jpeg_fraction:
        return result, constant
    coded = batch_compression.jpeg(noisy, draws.whole(*config.jpeg_quality))
    measured = torch.where(slope == 0, fine_variance(coded - clean), constant)
    return torch.where(as_jpeg, coded, result), torch.where(as_jpeg, measured, constant)


def _where(condition: Tensor, chosen: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """`torch.where` of each pair."""
    return tuple(torch.where(condition, one, another) for one, another in zip(chosen, other, strict=True))


@cache
def _fine_basis(device: torch.device) -> tuple[Tensor, Tensor]:
    """The cosine transform of a block in a row, and which coefficients are its fine detail."""
    return torch.from_numpy(BASIS).to(device), torch.from_numpy(np.flatnonzero(HIGH)).to(device)


@cache
def _smoothing(side: int, device: torch.device) -> Tensor:
    """The Gaussian filter of `NoiseLevel.map` along one axis as a matrix (side, side)."""
    taps = round(SMOOTHING * 8 + 1) | 1  # OpenCV's choice for pictures that are not 8-bit
    blurred = cv2.GaussianBlur(np.eye(side, dtype=np.float32), (1, taps), 1.0, sigmaY=SMOOTHING, borderType=cv2.BORDER_REFLECT)
    return torch.from_numpy(np.ascontiguousarray(blurred)).to(device)
