"""Decides without clean pictures whether one denoiser restores noisy pictures better than another.

The squared distance to a target with independent noise is the error plus a constant (see `recorrupted`), so the difference between two
denoisers' distances is the difference between their errors. Little noise is added, so they are judged close to the noise of use.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from restore.datasets.recorrupted import PictureNoise, recorrupted
from restore.inference.denoiser import Denoiser
from restore.inference.noise_estimate import Estimate

WINDOWS, SIDE, FACTOR = 12, 192, 0.3
"""Windows of the pictures that are restored, their side in pixels, and their recorruption factor t."""
LEAST_GAIN, SURE = 0.1, 2.0
"""The adapted weights are used if their gain in dB is certainly larger, and their error smaller by so many standard errors."""
LEVEL_ERROR, PHOTON_ERROR = 0.1, 0.02
"""Relative error of an estimated noise variance that a gain must survive, and of that of counted photons. Of X-rays of 50 counts 4 % more
was measured, for their own grain; that alone made weights seem 0.5 dB better than they were."""


@dataclass(frozen=True)
class Judgement:
    """What held-out pictures say of adapted weights.

    Attributes:
        gain: in dB, estimated.
        least: the same if the noise level is wrong by LEVEL_ERROR, in the direction that is worse for the adapted weights.
        certainty: the decrease of the squared error in standard errors.
    """

    gain: float
    least: float
    certainty: float

    @property
    def helps(self) -> bool:
        """Whether the adapted weights are to be used."""
        return self.least > LEAST_GAIN and self.certainty > SURE


@dataclass(frozen=True)
class Judged:
    """A noisy picture to judge by: (H, W, C) float32, the estimate of its noise, and the noise in the picture's own range."""

    pixels: np.ndarray
    known: Estimate
    noise: PictureNoise


@dataclass(frozen=True)
class _Evidence:
    """Of one window, in squared brightness.

    Attributes:
        error: of the given denoiser.
        difference: how much smaller the other one's is.
        divergence: of the given denoiser, times the noise's variance.
        other: the same of the other.
    """

    error: float
    difference: float
    divergence: float
    other: float


def judge(given: Denoiser, adapted: Denoiser, pictures: Sequence[Judged]) -> Judgement:
    """Compare two denoisers on noisy pictures that neither was trained on.

    If the noise's variance is v and v' is measured, a distance is wrong by -2 (v - v') times the mean divergence of the network. The
    added noise measures the divergence: its product with the output is t^2 v' times it.
    """
    rng = np.random.default_rng(0)
    evidence = [_evidence(given, adapted, pictures[number % len(pictures)], rng) for number in range(max(WINDOWS, len(pictures)))]
    differences = [one.difference for one in evidence]
    error, difference, divergence, other = (float(value) for value in np.mean([astuple(one) for one in evidence], axis=0))
    # the best denoiser's error is the variance times the divergence (Tweedie's formula); a coarse variance may leave less
    error = max(error, divergence)
    relative = PHOTON_ERROR if all(one.noise.photons for one in pictures) else LEVEL_ERROR
    doubt = 2 * relative * abs(divergence - other)
    deviation = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    gain, least = (_decibels(value, error) for value in (difference, difference - doubt))
    return Judgement(gain, least, difference / max(deviation, 1e-30))


def _decibels(decrease: float, error: float) -> float:
    """The gain in dB by a decrease of the squared error; at most 20, because none is left of an error that is known coarsely."""
    return -10 * math.log10(max(1 - decrease / max(error, 1e-30), 0.01))


def _evidence(given: Denoiser, adapted: Denoiser, picture: Judged, rng: np.random.Generator) -> _Evidence:
    rows, columns = (_span(length, rng) for length in picture.pixels.shape[:2])
    window = np.ascontiguousarray(picture.pixels[rows, columns])
    known = replace(picture.known, level=picture.known.level.scaled(math.sqrt(1 + FACTOR**2)))
    # of the mean brightness: the line's kink at black makes the mean of the pixels' variances too large
    variance = picture.noise.spectrum.variance * float(picture.noise.level.variance(window.mean()))
    state, parts = int(rng.integers(2**32)), []
    for twin in (False, True):
        inputs, target, _ = recorrupted(window, picture.noise, FACTOR, np.random.default_rng(state), twin=twin)
        before, after = (one.denoise(inputs, known)[0] for one in (given, adapted))
        # the noise that was added is independent of the window, so subtracting that only makes the product steadier
        own, other = (float(((inputs - window) * (one - window)).mean()) / FACTOR**2 for one in (before, after))
        parts.append((_square(before - window) - variance + 2 * own, _square(before - target) - _square(after - target), own, other))
    return _Evidence(*(float(value) for value in np.mean(parts, axis=0)))


def _span(length: int, rng: np.random.Generator) -> slice:
    start = int(rng.integers(max(1, length - SIDE + 1)))
    return slice(start, start + SIDE)


def _square(values: np.ndarray) -> float:
    return float(np.square(values, dtype=np.float64).mean())
