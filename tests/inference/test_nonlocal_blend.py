"""The weight of the non-local estimate, chosen without the clean picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from restore.datasets.degrade import gaussian, poisson_gaussian, to_8_bits
from restore.images.noise_model import NoiseLevel
from restore.inference import nonlocal_blend
from restore.inference.denoiser import Denoiser, Refinement
from restore.inference.loading import InferenceOptions
from restore.inference.noise_estimate import Estimate
from restore.runtime import Runtime

CPU = torch.device("cpu")
Smooth = Callable[..., np.ndarray]


def _blurred(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), 1.2)).reshape(pixels.shape)


def _mse(result: np.ndarray, clean: np.ndarray) -> float:
    return float(np.square(result - clean).mean())


def _cloth(smooth: Smooth, contrast: float) -> np.ndarray:
    y, x = np.mgrid[:192, :192]
    return np.asarray(smooth(192, 192) * 0.7 + contrast * (1 + np.sin(1.9 * x + 0.8 * y))[:, :, None], np.float32)


@pytest.mark.parametrize(("kind", "contrast"), [("white", 0.0), ("quantum", 0.03), ("8 bits", 0.15)])
def test_the_weight_is_near_the_best_one(smooth: Smooth, kind: str, contrast: float) -> None:
    clean, rng = _cloth(smooth, contrast), np.random.default_rng(1)
    noisy, level = poisson_gaussian(clean, 50, 2 / 255, rng) if kind == "quantum" else gaussian(clean, 25 / 255, rng)
    noisy = to_8_bits(noisy) if kind == "8 bits" else noisy
    result, weight = nonlocal_blend.blended(noisy, _blurred(noisy), level, _blurred, CPU)
    distance = nonlocal_blend.nonlocal_estimate(noisy, _blurred(noisy), level, CPU) - _blurred(noisy)
    best = float(((clean - _blurred(noisy)) * distance).sum() / np.square(distance).sum())
    assert weight is not None
    assert weight.measured == pytest.approx(best, abs=max(0.15, 4 * weight.deviation))
    assert _mse(result, clean) < _mse(_blurred(noisy), clean)


def test_bands_give_the_same(smooth: Smooth, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy, level = gaussian(smooth(200, 64), 25 / 255, np.random.default_rng(0))
    whole, _ = nonlocal_blend.blended(noisy, _blurred(noisy), level, _blurred, CPU)
    monkeypatch.setattr(nonlocal_blend, "BAND", 64)
    parts, _ = nonlocal_blend.blended(noisy, _blurred(noisy), level, _blurred, CPU)
    assert np.abs(parts - whole).max() < 0.02


@pytest.mark.parametrize(("size", "sigma"), [((40, 300), 25.0), ((128, 128), 0.0)])
def test_a_small_or_clean_picture_does_not_change(smooth: Smooth, size: tuple[int, int], sigma: float) -> None:
    picture = smooth(*size)
    result, weight = nonlocal_blend.blended(picture, picture, NoiseLevel.gaussian(sigma), _blurred, CPU)
    assert result is picture
    assert weight is None


def test_a_denoiser_blends_only_if_asked_and_where_noise_is_white(
    smooth: Smooth, weights_file: Callable[..., Path], tmp_path: Path
) -> None:
    denoiser = Denoiser.load(weights_file(tmp_path / "a.safetensors"), InferenceOptions(Runtime(CPU, torch.float32)))
    noisy, level = gaussian(_cloth(smooth, 0.15), 25 / 255, np.random.default_rng(0))
    plain, info = denoiser.denoise(noisy, level)
    single = Refinement(denoiser.runner)
    best, blended = denoiser.denoise(noisy, level, refinement=single)
    assert "nonlocal_weight" not in info.stats()
    assert blended.nonlocal_weight == blended.stats()["nonlocal_weight"] == 1.0  # the tiny network is untrained
    assert np.abs(best - plain).max() > 0.01
    half, _ = denoiser.denoise(noisy, level, 0.5, refinement=single)
    assert np.abs(half - noisy).mean() == pytest.approx(0.5 * np.abs(best - noisy).mean(), rel=0.1)
    correlated = Estimate(level, colour=2.5, spread=1.1)
    np.testing.assert_array_equal(denoiser.denoise(noisy, correlated, refinement=single)[0], denoiser.denoise(noisy, correlated)[0])
