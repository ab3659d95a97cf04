"""The decision without clean pictures: it agrees with the truth for each kind of noise, and doubts what hangs on the noise level."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from restore.datasets.recorrupted import PictureNoise
from restore.images.noise_model import NoiseLevel, PhotonSteps
from restore.images.noise_spectrum import SIDE, NoiseSpectrum
from restore.inference.denoiser import Denoiser
from restore.inference.loading import InferenceOptions
from restore.inference.noise_estimate import Estimate
from restore.runtime import Runtime
from restore.tasks.adaptation_judgement import Judged, Judgement, judge

Smooth = Callable[..., np.ndarray]


class Blur(Denoiser):
    """Averages a square of pixels: what it gains or loses is known."""

    def __init__(self, network: torch.nn.Module, runtime: Runtime, side: int) -> None:
        super().__init__(network, None, InferenceOptions(runtime))
        self.side = side

    def denoise(self, pixels, *args, **kwargs):
        return cv2.blur(pixels, (self.side, self.side)).reshape(pixels.shape), None


def _noisy(kind: str, clean: np.ndarray) -> tuple[np.ndarray, PictureNoise]:
    rng = np.random.default_rng(0)
    if kind == "photons":
        return (rng.poisson(8 * clean) / 8).astype(np.float32), PictureNoise(NoiseLevel(1 / 8), photons=PhotonSteps(1 / 8))
    if kind == "signal":
        return rng.normal(clean, np.sqrt(clean / 50)).astype(np.float32), PictureNoise(NoiseLevel(1 / 50))
    lines = (1.0, 0.5) if kind == "lines" else (0.0, 0.0)
    noise = PictureNoise(NoiseLevel.gaussian(15), NoiseSpectrum(np.ones((SIDE, SIDE)), lines))
    return clean + np.float32(15 / 255) * noise.spectrum.field(clean.shape, rng), noise


@pytest.mark.parametrize("kind", ["white", "signal", "lines", "photons"])
def test_the_estimated_gain_is_the_true_one(kind: str, smooth: Smooth, fp32: Runtime, tiny: Callable[..., torch.nn.Module]) -> None:
    clean = smooth(192, 192)
    noisy, noise = _noisy(kind, clean)
    none, some = Blur(tiny(), fp32, 1), Blur(tiny(), fp32, 3)
    error = {one: float(np.square(one.denoise(noisy)[0] - clean).mean()) for one in (none, some)}
    found = judge(none, some, [Judged(noisy, Estimate(noise.level), noise)])
    assert found.gain == pytest.approx(10 * np.log10(error[none] / error[some]), abs=1.0 if kind == "lines" else 0.4)  # few lines
    assert found.helps and found.least < found.gain
    assert not judge(some, none, [Judged(noisy, Estimate(noise.level), noise)]).helps
    same = judge(none, none, [Judged(noisy, Estimate(noise.level), noise)])
    assert not same.helps and same.gain == 0


def test_a_gain_that_hangs_on_the_noise_level_is_not_believed() -> None:
    assert Judgement(gain=0.22, least=-0.3, certainty=6.5).helps is False
    assert Judgement(gain=0.22, least=0.11, certainty=6.5).helps is True
    assert Judgement(gain=0.22, least=0.11, certainty=1.5).helps is False
