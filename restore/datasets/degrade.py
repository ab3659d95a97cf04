"""Seeded synthetic noise and compression: what turns a clean image into the network's input.

Images are float32 (H, W, C) in nominal [0, 1]. Each function takes a NumPy generator, so that the same seed gives the same degradation.
Functions that add noise return the noisy image together with its noise level.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from restore.images.noise_model import NoiseLevel

Noisy = tuple[np.ndarray, NoiseLevel]


@dataclass(frozen=True)
class NoiseConfig:
    """Which noise is added. The fractions are probabilities; all other crops get white Gaussian noise."""

    sigma: tuple[float, float] = field(
        default=(0.0, 55.0),
        metadata={
            "help": "Gaussian noise: range of its standard deviation, of 255",
            "range": (0, 2550),
            "rising": True,
        },
    )
    poisson_fraction: float = field(
        default=0.0, metadata={"help": "fraction of crops with Poisson-Gaussian (quantum) noise", "range": (0, 1)}
    )
    counts: tuple[float, float] = field(
        default=(10.0, 1000.0),
        metadata={
            "help": "quantum noise: range of counts per pixel at white, drawn log-uniformly",
            "range": (1e-3, 1e9),
            "rising": True,
        },
    )
    readout: tuple[float, float] = field(
        default=(0.0, 5.0),
        metadata={
            "help": "quantum noise: range of the readout's standard deviation, of 255",
            "range": (0, 2550),
            "rising": True,
        },
    )
    correlated_fraction: float = field(
        default=0.0,
        metadata={"help": "fraction of crops whose noise is spatially correlated, as that of cameras", "range": (0, 1)},
    )
    correlated_sigma: tuple[float, float] = field(
        default=(0.0, 20.0),
        metadata={
            "help": "correlated noise: range of its standard deviation, of 255",
            "range": (0, 2550),
            "rising": True,
        },
    )
    camera_fraction: float = field(
        default=0.0, metadata={"help": "fraction of crops with noise that is made on a simulated camera's sensor", "range": (0, 1)}
    )
    soft_fraction: float = field(
        default=0.0, metadata={"help": "fraction of crops that are enlarged or blurred first, as lenses do", "range": (0, 1)}
    )
    round_fraction: float = field(
        default=0.0, metadata={"help": "fraction of crops rounded and clipped to 8 bits afterwards", "range": (0, 1)}
    )
    jpeg_fraction: float = field(default=0.0, metadata={"help": "fraction of crops stored as JPEG afterwards", "range": (0, 1)})
    jpeg_quality: tuple[int, int] = field(
        default=(70, 98), metadata={"help": "JPEG: range of the quality", "range": (1, 100), "rising": True}
    )
    map_error: float = field(
        default=0.0,
        metadata={
            "help": "the network's noise map is multiplied by exp(N(0, map_error)), to match the errors of estimates",
            "range": (0, 10),
        },
    )


def gaussian(picture: np.ndarray, sigma: float, rng: np.random.Generator) -> Noisy:
    """White Gaussian noise of standard deviation `sigma` (picture units), float and unclipped."""
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    return picture + np.float32(sigma) * noise, NoiseLevel(0.0, sigma**2)


def poisson_gaussian(picture: np.ndarray, counts: float, readout: float, rng: np.random.Generator) -> Noisy:
    """X-ray quantum noise: Poisson with `counts` per pixel at white, plus Gaussian readout noise (picture units).

    Variance a x + b with a = 1 / counts and b = readout^2 (Foi et al. 2008, eq. 1-3).
    """
    quanta = rng.poisson(np.clip(picture, 0, None) * counts).astype(np.float32) / np.float32(counts)
    noisy = quanta + np.float32(readout) * rng.standard_normal(picture.shape, dtype=np.float32)
    return noisy, NoiseLevel(1 / counts, readout**2)


def correlated(picture: np.ndarray, sigma: float, rng: np.random.Generator) -> Noisy:
    """Noise of standard deviation `sigma`, correlated between pixels and colours as after a camera's demosaicing and smoothing.

    Its amplitude falls with the frequency f (cycles per pixel) as (f + 0.02)^-g exp(-(2 pi f b)^2 / 2), g in 0..0.8 and b in 0.3..1
    pixels. A fraction of 0 to 0.9 is common to the colours. The PolyU photographs (Xu et al. 2018) have g near 0.6, b near 0.7 and a
    common fraction near 0.65. The returned level is that of the finest detail: a blind estimate can measure no more, and the network has
    to recognise coarse noise itself.
    """
    height, width, channels = picture.shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]).astype(np.float32)
    slope, blur, common = rng.uniform(0, 0.8), rng.uniform(0.3, 1.0), rng.uniform(0, 0.9)
    amplitude = (frequency + 0.02) ** -slope * np.exp(-((2 * np.pi * blur * frequency) ** 2) / 2)
    white = rng.standard_normal((channels + 1, height, width), dtype=np.float32)
    mixed = np.sqrt(common) * white[:1] + np.sqrt(1 - common) * white[1:] if channels > 1 else white[1:]
    shaped = np.fft.irfft2(np.fft.rfft2(mixed) * amplitude, (height, width)).transpose(1, 2, 0)
    noise = (shaped * (sigma / max(float(shaped.std()), 1e-6))).astype(np.float32)
    return picture + noise, NoiseLevel.of(noise)


def to_8_bits(picture: np.ndarray) -> np.ndarray:
    """Round and clip as an 8-bit file does."""
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 255), np.float32) / np.float32(255)


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """Encode as an 8-bit JPEG of `quality` (1..100) and decode."""
    stored = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)[:, :, ::-1]  # OpenCV has blue first
    encoded = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)).reshape(picture.shape)[:, :, ::-1]
    return decoded.astype(np.float32) / np.float32(255)


def add_noise(picture: np.ndarray, rng: np.random.Generator, config: NoiseConfig) -> tuple[np.ndarray, np.ndarray]:
    """Draw one kind of noise from `config` and add it.

    Returns:
        The noisy image (H, W, C) and the map of its noise's standard deviation, (H, W, 1). The map is computed from the noisy image, as
        in use: one computed from the clean image would reveal the target.
    """
    draws = rng.random(5)
    if draws[0] < config.poisson_fraction:
        counts = float(np.exp(rng.uniform(*np.log(config.counts))))
        noisy, level = poisson_gaussian(picture, counts, float(rng.uniform(*config.readout)) / 255, rng)
    else:
        camera = draws[1] < config.correlated_fraction
        sigma = float(rng.uniform(*(config.correlated_sigma if camera else config.sigma))) / 255
        noisy, level = (correlated if camera else gaussian)(picture, sigma, rng)
    if draws[2] < config.jpeg_fraction:
        noisy = jpeg(noisy, int(rng.integers(config.jpeg_quality[0], config.jpeg_quality[1] + 1)))
        level = NoiseLevel.of(noisy - picture) if level.even else level
    elif draws[3] < config.round_fraction:
        noisy = to_8_bits(noisy)
    if config.map_error > 0:
        level = level.scaled(float(np.exp(rng.normal(0, config.map_error))))
    return noisy, level.map(noisy)
