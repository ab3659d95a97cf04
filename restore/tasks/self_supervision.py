"""Training from noisy pictures alone: measures the noise of a folder, or says why it cannot be learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from restore.datasets.crops import Pictures, to_float
from restore.datasets.recorrupted import PictureNoise
from restore.gan.paired import LossConfig
from restore.images.noise_model import PhotonSteps
from restore.images.noise_spectrum import NoiseSpectrum
from restore.inference.noise_correlation import measured_spectrum
from restore.inference.noise_estimate import Estimate
from restore.inference.noise_estimation import estimate
from restore.inference.photon_counts import photon_steps
from restore.inference.ranges import NARROW, range_of
from restore.networks import ModelSpec

MOST = 16
"""Pictures whose noise spectrum is measured, evenly spread over the folder."""
LEAST_SIGMA = 0.5
"""Noise (sigma of 255, in the network's range) below which there is nothing to learn."""


@dataclass(frozen=True)
class FolderNoise:
    """Measures the noise of a folder's pictures; see `RecorruptedCrops.noise_of`.

    Attributes:
        spectrum: of the noise of all pictures.
        homogeneous: whether the network's correction scales with the picture; see `range_of`.
        text: describes the noise, for the report.
        photons: of all pictures, where single photons can be distinguished.
    """

    spectrum: NoiseSpectrum
    homogeneous: bool
    text: str = ""
    photons: PhotonSteps | None = None

    def __call__(self, picture: np.ndarray) -> PictureNoise:
        """The noise of (H, W, C) float32 in [0, 1], in the network's range."""
        known = estimate(picture)
        span = range_of(picture, known.level, homogeneous=self.homogeneous, narrow=NARROW)
        return self.own(known).within(span.offset, span.span)

    def own(self, known: Estimate) -> PictureNoise:
        """The noise of a picture in its own range, given the estimate of it."""
        return PictureNoise(known.level, self.spectrum, photons=self.photons)


def check_losses(losses: LossConfig) -> None:
    """Raise ValueError if the losses need clean targets."""
    others = (losses.perceptual_weight, losses.lpips_weight, losses.adversarial_weight)
    if losses.pixel != "l2" or any(others):
        raise ValueError("the targets of self_supervised training are noisy: set losses.pixel=l2, and the other losses' weights to 0")


def measure(pictures: Pictures, spec: ModelSpec) -> FolderNoise:
    """Measure the noise that a folder's pictures have in common.

    Raises:
        ValueError: none of the pictures can be read, they have no noise, or it is not known how it is correlated.
    """
    spread = dict.fromkeys(np.linspace(0, len(pictures.files) - 1, MOST).astype(int).tolist())
    found: list[np.ndarray] = []
    for number in [*spread, *(other for other in range(len(pictures.files)) if other not in spread)]:
        if number not in spread and len(found) >= min(MOST, len(spread)):
            break
        if (picture := pictures.get(number)) is not None:
            found.append(to_float(picture))
    if not found:
        raise ValueError(f"none of the {len(pictures.files)} pictures can be read; the last error: {[*pictures.skipped.values()][-1]}")
    return folder_noise(found, spec)


def folder_noise(pictures: Sequence[np.ndarray], spec: ModelSpec) -> FolderNoise:
    """The noise that some pictures, (H, W, C) float32 each, have in common.

    Raises:
        ValueError: there is none, or it is not known how it is correlated.
    """
    estimates = [estimate(picture) for picture in pictures]
    ranges = [
        range_of(one, known.level, homogeneous=spec.homogeneous, narrow=NARROW) for one, known in zip(pictures, estimates, strict=True)
    ]
    sigmas = [known.level.sigma(float(one.mean())) / span.span for one, known, span in zip(pictures, estimates, ranges, strict=True)]
    sigma = float(np.median(sigmas))
    if sigma < LEAST_SIGMA:
        raise ValueError(
            f"the pictures have hardly any noise (sigma {sigma:.2f} of 255), so nothing can be learned from it: train on clean ones"
        )
    spectrum = measured_spectrum(pictures, estimates)
    if spectrum is None:
        raise ValueError(
            "the noise may be correlated between neighbouring pixels, and these pictures have too little flat area to measure how: "
            "add pictures with flat areas, or train on clean ones"
        )
    photons = photon_steps(pictures, estimates) if spectrum.white else None
    return FolderNoise(spectrum, spec.homogeneous, f"sigma {sigma:.1f} of 255, {_kind(spectrum, photons)}", photons)


def _kind(spectrum: NoiseSpectrum, photons: PhotonSteps | None) -> str:
    if photons is not None:
        return "single photons"
    if any(spectrum.lines):
        rows, columns = (variance**0.5 for variance in spectrum.lines)
        return f"lines: rows {rows:.1f} and columns {columns:.1f} times that"
    return "white" if spectrum.white else f"correlated, {spectrum.variance:.1f} times the variance of its finest detail"
