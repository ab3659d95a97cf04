"""Collaborative filtering: what repeats is kept, noise goes."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from restore.datasets.degrade import gaussian
from restore.inference import nonlocal_filter
from restore.inference.nonlocal_blend import nonlocal_estimate

Smooth = Callable[..., np.ndarray]


def _blurred(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), 1.5)).reshape(pixels.shape)


def _mse(result: np.ndarray, clean: np.ndarray) -> float:
    return float(np.square(result - clean).mean())


def _cloth(smooth: Smooth, channels: int = 1) -> np.ndarray:
    """A fine regular texture on a smooth picture."""
    y, x = np.mgrid[:130, :150]
    return np.asarray(smooth(130, 150, channels) * 0.7 + 0.15 * (1 + np.sin(1.9 * x + 0.8 * y))[:, :, None], np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_texture_that_the_guide_lost_comes_back(smooth: Smooth, channels: int) -> None:
    clean = _cloth(smooth, channels)
    noisy, level = gaussian(clean, 20 / 255, np.random.default_rng(0))
    guide = _blurred(noisy)
    result = nonlocal_estimate(noisy, guide, level, torch.device("cpu"))
    assert result.shape == noisy.shape
    assert _mse(result, clean) < 0.25 * min(_mse(guide, clean), _mse(noisy, clean))


def test_without_noise_nothing_changes(smooth: Smooth) -> None:
    planes = torch.from_numpy(_cloth(smooth).transpose(2, 0, 1).copy())
    result = nonlocal_filter.filtered(planes, planes, torch.full((1, 130, 150), 1e-10))
    torch.testing.assert_close(result, planes, atol=1e-3, rtol=0)


@pytest.mark.parametrize("size", [(55, 55), (56, 213), (130, 61)])
def test_any_size(size: tuple[int, int], smooth: Smooth) -> None:
    clean = smooth(*size)
    noisy, level = gaussian(clean, 20 / 255, np.random.default_rng(0))
    assert _mse(nonlocal_estimate(noisy, clean, level, torch.device("cpu")), clean) < 0.1 * _mse(noisy, clean)


def test_columns_are_handled_in_parts(smooth: Smooth, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = smooth(64, 300)
    noisy, level = gaussian(clean, 20 / 255, np.random.default_rng(0))
    whole = nonlocal_estimate(noisy, _blurred(noisy), level, torch.device("cpu"))
    monkeypatch.setattr(nonlocal_filter, "CHUNK", 64)
    np.testing.assert_allclose(nonlocal_estimate(noisy, _blurred(noisy), level, torch.device("cpu")), whole, atol=2e-3)
