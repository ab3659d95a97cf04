"""Blind noise estimation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.fft import dctn

from restore.datasets.degrade import gaussian, poisson_gaussian
from restore.images.noise_model import NoiseLevel, dct
from restore.inference.noise_estimate import CameraNoise, Estimate
from restore.inference.noise_estimation import estimate

Smooth = Callable[..., np.ndarray]


@pytest.mark.parametrize("sigma", [10, 25, 50])
@pytest.mark.parametrize("channels", [1, 3])
def test_gaussian_noise_within_a_tenth(smooth: Smooth, sigma: float, channels: int) -> None:
    noisy, _ = gaussian(smooth(192, 192, channels), sigma / 255, np.random.default_rng(0))
    assert estimate(noisy).level.sigma() == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize(("counts", "readout"), [(50.0, 12.0), (200.0, 8.0)])
def test_quantum_noise_within_fifteen_hundredths(counts: float, readout: float) -> None:
    ramp = np.linspace(0.05, 0.95, 384, dtype=np.float32)
    picture = np.broadcast_to(ramp, (384, 384))[:, :, None]
    noisy, truth = poisson_gaussian(picture, counts, readout / 255, np.random.default_rng(1))
    found = estimate(noisy).level
    assert found.slope == pytest.approx(truth.slope, rel=0.15)
    assert found.constant == pytest.approx(truth.constant, rel=0.15)


def test_clean_pictures_have_no_noise(smooth: Smooth) -> None:
    assert estimate(smooth(128, 128)).level.sigma() < 0.5
    assert estimate(np.full((64, 64, 1), 0.5, np.float32)).level.sigma() < 0.1


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 200, 1), (9, 9, 3)])
def test_too_small_a_picture_has_none(shape: tuple[int, int, int]) -> None:
    assert estimate(np.random.default_rng(0).random(shape, np.float32)) == Estimate()


def test_clipped_borders_do_not_hide_the_noise(smooth: Smooth) -> None:
    noisy, _ = gaussian(smooth(256, 256), 20 / 255, np.random.default_rng(2))
    noisy[:, :90] = 0  # a collimator's black
    assert estimate(noisy).level.sigma() == pytest.approx(20, rel=0.1)


def test_a_blind_estimate_of_little_noise_is_trusted_less() -> None:
    def fraction(sigma: float, colour: float = 8.0, spread: float = 5.0) -> float:
        return Estimate(NoiseLevel.gaussian(sigma), colour, spread).confidence()

    fractions = [fraction(sigma) for sigma in (0.0, 3.0, 5.0, 12.0, 50.0)]
    assert fractions == sorted(fractions)
    assert fractions[0] == fractions[1] == 0.6
    assert fractions[4] == 1
    # unless it is white, and alike in dark and bright places
    assert fraction(3.0, colour=1.1, spread=1.1) == 1
    assert fraction(3.0, colour=1.1) == fraction(3.0, spread=1.1) == 0.6


@pytest.mark.parametrize(("low", "span"), [(-1000.0, 3000.0), (0.0, 0.01), (0.4, 0.02), (-3.0, 1.0)])
def test_the_range_does_not_matter(smooth: Smooth, low: float, span: float) -> None:
    noisy, _ = gaussian(smooth(192, 192), 12 / 255, np.random.default_rng(0))
    found = estimate(noisy * np.float32(span) + np.float32(low)).level
    assert found.sigma() / span == pytest.approx(12, rel=0.1)


@pytest.mark.parametrize("counts", [20.0, 40.0])
@pytest.mark.parametrize("brightness", [0.5, 0.7, 0.8])
def test_noise_that_white_has_clipped_is_measured_whole(counts: float, brightness: float) -> None:
    rng = np.random.default_rng(5)
    picture = np.full((256, 256, 1), brightness, np.float32) + 0.05 * np.linspace(-1, 1, 256, dtype=np.float32)[:, None]
    noisy, truth = poisson_gaussian(picture, counts, 2 / 255, rng)
    clipped = np.rint(np.clip(noisy, 0, 1) * 255).astype(np.float32) / 255
    assert estimate(clipped).level.sigma(brightness) == pytest.approx(truth.sigma(brightness), rel=0.08)


@pytest.mark.parametrize("sigma", [25.0, 50.0])
def test_noise_that_black_has_clipped_is_measured_whole(smooth: Smooth, sigma: float) -> None:
    """In a dark picture clipping alone makes noise that grows with the signal."""
    noisy, _ = gaussian(smooth(256, 320) * 0.35, sigma / 255, np.random.default_rng(6))
    clipped = np.rint(np.clip(noisy, 0, 1) * 255).astype(np.float32) / 255
    found = estimate(clipped).level
    assert found.sigma(0.1) == pytest.approx(sigma, rel=0.15)
    assert found.sigma(0.3) == pytest.approx(sigma, rel=0.25)


@pytest.mark.parametrize("counts", [10.0, 30.0, 100.0])
def test_few_photons_are_not_taken_for_clipped_noise(smooth: Smooth, counts: float) -> None:
    noisy, truth = poisson_gaussian(smooth(256, 320) * 0.35, counts, 0.0, np.random.default_rng(6))
    clipped = np.rint(np.clip(noisy, 0, 1) * 255).astype(np.float32) / 255
    found = estimate(clipped).level
    assert found.sigma(0.3) == pytest.approx(truth.sigma(0.3), rel=0.15)
    assert found.sigma(0.05) == pytest.approx(truth.sigma(0.05), rel=0.3)


@pytest.mark.parametrize("amount", [0.02, 0.05])
def test_texture_in_most_places_does_not_raise_faint_noise(smooth: Smooth, amount: float) -> None:
    rng = np.random.default_rng(7)
    texture = cv2.GaussianBlur(rng.normal(0, 1, (256, 256)).astype(np.float32), (0, 0), 0.6)
    texture *= amount / texture.std() * (np.hypot(*np.mgrid[-128:128, -128:128]) > 60)  # all but a disc is textured
    noisy, _ = gaussian(smooth(256, 256) + texture[:, :, None], 5 / 255, rng)
    assert estimate(noisy).level.sigma() == pytest.approx(5, rel=0.15)


@pytest.mark.parametrize("border", [8, 12, 40])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_mat_does_not_hide_the_noise(smooth: Smooth, border: int, value: float) -> None:
    noisy, _ = gaussian(smooth(256, 320), 14 / 255, np.random.default_rng(1))
    noisy[:border] = noisy[-border:] = noisy[:, :border] = noisy[:, -border:] = value
    assert estimate(noisy).level.sigma() == pytest.approx(14, rel=0.1)


def test_padding_is_left_out(smooth: Smooth) -> None:
    noisy, _ = gaussian(smooth(256, 256), 10 / 255, np.random.default_rng(2))
    y, x = np.mgrid[:256, :256]
    valid = np.hypot(y - 128, x - 128) < 120
    noisy[~valid] = np.random.default_rng(3).choice([-2.0, -2.001], 65536).reshape(256, 256, 1)[~valid]
    assert estimate(noisy, valid).level.sigma() == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("sigma", [10, 20])
def test_a_magnitude_pictures_background_does_not_set_the_level(sigma: float) -> None:
    """MR: noise of 0.655 sigma where there is no signal (Gudbjartsson and Patz 1995)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    signal = 400.0 * (np.hypot(y - 128, x - 128) < 70)
    magnitude = np.hypot(signal + rng.normal(0, sigma, signal.shape), rng.normal(0, sigma, signal.shape)) / 800
    found = estimate(magnitude[:, :, None].astype(np.float32)).level
    assert found.sigma(0.5) * 800 / 255 == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize("sigma", [10, 25])
def test_correlated_noise_is_recognised_and_white_noise_is_not(smooth: Smooth, sigma: float) -> None:
    white = np.random.default_rng(4).normal(0, sigma / 255, (256, 256)).astype(np.float32)
    blurred = cv2.GaussianBlur(white, (0, 0), 0.8)
    blurred *= white.std() / blurred.std()
    assert not estimate(smooth(256, 256) + white[:, :, None]).correlated
    assert estimate(smooth(256, 256) + blurred[:, :, None]).correlated


@pytest.mark.parametrize("count", [0, 1, 64, 100])
def test_the_coefficients_are_those_of_the_orthonormal_dct(count: int) -> None:
    blocks = np.random.default_rng(0).random((count, 8, 8), np.float32)
    expected = dctn(blocks, axes=(1, 2), norm="ortho") if count else blocks
    np.testing.assert_allclose(dct(blocks), expected, atol=2e-6)


def _drawing(kind: str) -> np.ndarray:
    """(300, 400, 1) of what was drawn, without noise."""
    page = np.full((300, 400), 255, np.uint8)
    rng = np.random.default_rng(4)
    if kind == "dithered":
        return (smooth_ramp(page.shape) > rng.random(page.shape)).astype(np.float32)[:, :, None]
    thick = cv2.LINE_AA if kind == "lines" else cv2.LINE_8
    if kind == "lines":
        for _ in range(400):
            one, other = rng.integers(0, (400, 150), (2, 2)).tolist()
            cv2.line(page, one, other, 0, 1, thick)
    else:
        for row in range(12, 300, 14):
            cv2.putText(page, "terms apply to 1,234.89 units", (4, row), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 0, 1, thick)
    return page[:, :, None].astype(np.float32) / 255


def smooth_ramp(shape: tuple[int, int]) -> np.ndarray:
    return np.broadcast_to(np.linspace(0.1, 0.9, shape[1]), shape)


@pytest.mark.parametrize("kind", ["lines", "text", "dithered"])
def test_strokes_and_dots_are_no_noise(kind: str) -> None:
    drawn = _drawing(kind)
    assert estimate(drawn).level.sigma() < 3
    assert estimate(np.repeat(drawn, 3, 2) * np.array([1, 0.97, 0.9], np.float32)).level.sigma() < 3


@pytest.mark.parametrize(("paper", "ink", "side"), [(1.0, 0.0, 400), (246 / 255, 30 / 255, 400), (20 / 255, 230 / 255, 300)])
def test_antialiased_text_is_no_noise(paper: float, ink: float, side: int) -> None:
    page = cv2.resize(_drawing("text")[:, :, 0], (2 * side, 2 * side), interpolation=cv2.INTER_CUBIC)
    page = cv2.resize(np.clip(page, 0, 1), (side, side), interpolation=cv2.INTER_AREA)
    text = np.rint((ink + (paper - ink) * page) * 255).astype(np.float32)[:, :, None] / 255
    assert estimate(text).level.sigma() < 3


@pytest.mark.parametrize("sigma", [8, 20, 30])
@pytest.mark.parametrize("kind", ["lines", "text"])
def test_noise_of_clipped_paper_is_measured(kind: str, sigma: float) -> None:
    noisy, _ = gaussian(_drawing(kind), sigma / 255, np.random.default_rng(5))
    noisy = np.rint(255 * np.clip(noisy, 0, 1)) / np.float32(255)
    assert estimate(noisy).level.sigma() == pytest.approx(sigma, rel=0.15)


def test_coarse_grain_is_trusted_and_removed_by_more_than_its_finest_detail(photograph: Callable[..., np.ndarray]) -> None:
    clean = cv2.GaussianBlur(photograph()[:, :, 0], (0, 0), 1.2)[:, :, None]
    grain = cv2.GaussianBlur(np.random.default_rng(2).standard_normal(clean.shape[:2]).astype(np.float32), (0, 0), 1.0)
    found = estimate(clean + (12 / 255 / grain.std() * grain)[:, :, None])
    assert found.correlated
    assert found.grain > 0.9
    assert found.confidence() > 0.95
    assert replace(found, camera=CameraNoise()).for_network.sigma() == pytest.approx(1.5 * found.level.sigma(), rel=0.15)
    assert 1.5 * found.level.sigma() < found.for_network.sigma() < 12
    rounded = np.rint(255 * clean) / np.float32(255)
    for other in (clean, rounded, photograph(), gaussian(clean, 12 / 255, np.random.default_rng(3))[0]):
        assert estimate(other).grain < 0.1


@pytest.mark.parametrize("kind", ["lines", "text"])
def test_noise_over_strokes_is_found(kind: str) -> None:
    noisy, _ = gaussian(0.2 + 0.6 * _drawing(kind), 20 / 255, np.random.default_rng(5))
    assert estimate(noisy).level.sigma() == pytest.approx(20, rel=0.6)
