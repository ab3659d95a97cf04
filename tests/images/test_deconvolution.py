"""Wiener's filter by the cosine transform."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from restore.images import deconvolution

Photograph = Callable[..., np.ndarray]


@pytest.mark.parametrize("width", [0.8, 1.5, 3.0])
def test_it_is_the_filter_of_the_mirrored_picture(photograph: Photograph, width: float) -> None:
    plane = photograph(61, 80)[:, :, 0]
    mirrored = np.concatenate([plane, plane[::-1]], 0)
    mirrored = np.concatenate([mirrored, mirrored[:, ::-1]], 1)
    squared = np.fft.fftfreq(122)[:, None] ** 2 + np.fft.rfftfreq(160)[None] ** 2
    response = np.exp(-2 * (np.pi * width) ** 2 * squared)
    gain = response * (1 + deconvolution.RATIO) / (response**2 + deconvolution.RATIO)
    expected = np.fft.irfft2(np.fft.rfft2(mirrored) * gain, (122, 160))[:61, :80]
    np.testing.assert_allclose(deconvolution.wiener(plane, width), expected, atol=1e-4)


def test_a_blurred_picture_comes_nearer_to_the_sharp_one(photograph: Photograph) -> None:
    sharp = photograph()[:, :, 0]
    blurred = cv2.GaussianBlur(sharp, (0, 0), 1.5, borderType=cv2.BORDER_REFLECT)
    result = deconvolution.wiener(blurred, 1.5)
    assert np.mean((result - sharp) ** 2) < 0.5 * np.mean((blurred - sharp) ** 2)
    assert result.mean() == pytest.approx(blurred.mean(), abs=1e-5)
    assert deconvolution.wiener(blurred, 0) is blurred


def test_blocks_do_not_show(photograph: Photograph, monkeypatch: pytest.MonkeyPatch) -> None:
    plane = photograph(330, 420)[:, :, 0]
    whole = deconvolution.wiener(plane, 2.5)
    monkeypatch.setattr(deconvolution, "BLOCK", 64)
    np.testing.assert_allclose(deconvolution.wiener(plane, 2.5), whole, atol=0.2 / 255)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 3)])
def test_tiny_planes(shape: tuple[int, int]) -> None:
    plane = np.full(shape, 0.4, np.float32)
    np.testing.assert_allclose(deconvolution.wiener(plane, 2.0), plane, atol=1e-5)
