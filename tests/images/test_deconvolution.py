"""Wiener's filter by the cosine transform."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from restore.images import deconvolution
from restore.images.deconvolution import NOISE_SCALE, Inversion, WienerFilter

Photograph = Callable[..., np.ndarray]


@pytest.mark.parametrize("width", [0.8, 1.5, 3.0])
def test_it_is_the_filter_of_the_mirrored_picture(photograph: Photograph, width: float) -> None:
    plane = photograph(61, 80)[:, :, 0]
    mirrored = np.concatenate([plane, plane[::-1]], 0)
    mirrored = np.concatenate([mirrored, mirrored[:, ::-1]], 1)
    squared = np.fft.fftfreq(122)[:, None] ** 2 + np.fft.rfftfreq(160)[None] ** 2
    response = np.exp(-2 * (np.pi * width) ** 2 * squared)
    expected = np.fft.irfft2(np.fft.rfft2(mirrored) * response / (response**2 + 0.3 * squared), (122, 160))[:61, :80]
    np.testing.assert_allclose(WienerFilter(width, 0.3)(plane), expected, atol=1e-4)


@pytest.mark.parametrize("noise", [0.5, 3])
@pytest.mark.parametrize("width", [1.0, 2.0])
def test_a_blurred_picture_comes_nearer_to_the_sharp_one(photograph: Photograph, width: float, noise: float) -> None:
    sharp = photograph()[:, :, 0]
    blurred = cv2.GaussianBlur(sharp, (0, 0), width, borderType=cv2.BORDER_REFLECT)
    noisy = blurred + np.random.default_rng(0).normal(0, noise / 255, blurred.shape).astype(np.float32)
    result = deconvolution.wiener(noisy, width, noise / 255)(noisy)
    before, after = (np.mean((one - sharp) ** 2) for one in (noisy, result))
    assert after < (0.6 if noise < 1 else 0.85) * before
    assert result.mean() == pytest.approx(noisy.mean(), abs=1e-4)
    # the same in any range
    brighter = 20 * noisy + 5
    np.testing.assert_allclose(deconvolution.wiener(brighter, width, 20 * noise / 255)(brighter), 20 * result + 5, atol=2e-3)


def test_more_noise_is_strengthened_less(photograph: Photograph) -> None:
    plane = cv2.GaussianBlur(photograph()[:, :, 0], (0, 0), 1.5)
    changes = [np.abs(deconvolution.wiener(plane, 1.5, noise / 255)(plane) - plane).mean() for noise in (0.3, 2, 10)]
    assert changes[0] > 1.3 * changes[1] > 1.3 * changes[2]
    assert deconvolution.wiener(plane, 0, 0.01)(plane) is plane


def test_blocks_do_not_show(photograph: Photograph, monkeypatch: pytest.MonkeyPatch) -> None:
    plane = cv2.GaussianBlur(photograph(330, 420)[:, :, 0], (0, 0), 2.0)
    whole = WienerFilter(2.0, 0.0029)(plane)
    assert np.abs(whole - plane).max() > 0.05
    monkeypatch.setattr(deconvolution, "BLOCK", 64)
    np.testing.assert_allclose(WienerFilter(2.0, 0.0029)(plane), whole, atol=0.5 / 255)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 3)])
def test_tiny_and_flat_planes(shape: tuple[int, int]) -> None:
    plane = np.full(shape, 0.4, np.float32)
    np.testing.assert_allclose(deconvolution.wiener(plane, 2.0, 0.01)(plane), plane, atol=1e-5)


@pytest.mark.parametrize("width", [0.0, 1.0, 2.5])
def test_the_gain_is_that_of_white_noise(width: float) -> None:
    noise = np.random.default_rng(1).normal(0, 1, (256, 300)).astype(np.float32)
    sharpen = WienerFilter(width, 0.02)
    assert sharpen.gain == pytest.approx(sharpen(noise).std(), rel=0.03)


def test_the_condition_holds_what_the_filter_did_and_the_noise(photograph: Photograph) -> None:
    plane = cv2.GaussianBlur(photograph()[:, :, 0], (0, 0), 1.5)
    sharpen = deconvolution.wiener(plane, 1.5, 0.004)
    inversion = Inversion(plane, sharpen, 0.004)
    condition = inversion.condition(slice(5, 40), slice(20, 90))
    assert (condition.shape, condition.dtype) == ((35, 70, 3), np.float32)
    np.testing.assert_allclose(condition[:, :, 0], (plane - sharpen(plane))[5:40, 20:90], atol=1e-7)
    np.testing.assert_allclose(condition[0, 0, 1:], [NOISE_SCALE * 0.004 * sharpen.gain, NOISE_SCALE * 0.004 * 1.5], rtol=1e-5)
    # in units of the picture
    brighter = Inversion(3 * plane, sharpen, 3 * 0.004).condition(slice(5, 40), slice(20, 90))
    np.testing.assert_allclose(brighter, 3 * condition, atol=1e-5)


@pytest.mark.parametrize("width", [3.0, 4.0, 5.0])
def test_wide_blur_is_not_flattened(photograph: Photograph, width: float) -> None:
    sharp = photograph()[:, :, 0]
    blurred = cv2.GaussianBlur(sharp, (0, 0), width, borderType=cv2.BORDER_REFLECT)
    result = deconvolution.wiener(blurred, width, 0.3 / 255)(blurred)
    assert result.std() > blurred.std()
    assert np.mean((result - sharp) ** 2) < 0.8 * np.mean((blurred - sharp) ** 2)


def test_a_flat_plane_stays_as_it_is() -> None:
    plane = np.full((80, 90), 0.5, np.float32)
    for width in (1.5, 5.0):
        assert deconvolution.wiener(plane, width, 0.01)(plane) is plane
