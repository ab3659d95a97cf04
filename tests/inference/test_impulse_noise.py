"""Salt and pepper is found and replaced; lone extremes of clean pictures are not."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from restore.inference import impulse_noise
from restore.inference.arrays import is_eight_bit

Make = Callable[..., np.ndarray]


def _noisy(picture: np.ndarray, share: float, *, together: bool = False) -> np.ndarray:
    """A picture with a share of its samples, or pixels, at black and white."""
    draws = np.random.default_rng(1).random(picture.shape[:2] + ((1,) if together else picture.shape[2:]))
    return np.where(draws < share / 2, 0, np.where(draws < share, 1, picture)).astype(np.float32)


def _psnr(result: np.ndarray, clean: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((result - clean) ** 2)))


def _median(picture: np.ndarray) -> np.ndarray:
    return cv2.medianBlur(np.ascontiguousarray(picture), 3).reshape(picture.shape)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.3])
@pytest.mark.parametrize(("channels", "together"), [(1, False), (3, False), (3, True)])
def test_impulses_are_replaced(photograph: Make, share: float, channels: int, together: bool) -> None:
    clean = photograph(300, 340, channels)
    noisy = _noisy(clean, share, together=together)
    restored, fraction = impulse_noise.cleaned(noisy)
    assert fraction == pytest.approx(share, rel=0.1)
    assert _psnr(restored, clean) > _psnr(_median(noisy), clean) + 3
    untouched = noisy == clean
    np.testing.assert_array_equal(restored[untouched], clean[untouched])


@pytest.mark.parametrize("levels", [255, 65535])
@pytest.mark.parametrize("span", [1.0, 0.05])
def test_any_depth_and_range(photograph: Make, levels: int, span: float) -> None:
    clean = np.rint(levels * photograph()).astype(np.float32) / np.float32(levels)
    restored, fraction = impulse_noise.cleaned(np.float32(span) * _noisy(clean, 0.05) + np.float32(0.3))
    assert fraction == pytest.approx(0.05, rel=0.1)
    assert _psnr((restored - 0.3) / span, clean) > 33


@pytest.mark.parametrize(("levels", "same"), [(255, True), (65535, False)])
def test_a_picture_of_8_bits_stays_one(photograph: Make, levels: int, same: bool) -> None:
    clean = np.rint(levels * photograph(channels=3)).astype(np.float32) / np.float32(levels)
    restored, fraction = impulse_noise.cleaned(_noisy(clean, 0.05))
    assert fraction > 0.04
    assert is_eight_bit(restored) is same


def test_bright_regions_stay(photograph: Make) -> None:
    clean = photograph()
    clean[40:140, 60:200] = 1
    restored, fraction = impulse_noise.cleaned(_noisy(clean, 0.05))
    assert fraction > 0.04
    assert np.abs(restored[60:120, 80:180] - 1).mean() < 1e-3


def test_padding_is_no_picture(photograph: Make) -> None:
    clean = photograph()
    valid = np.zeros(clean.shape[:2], bool)
    valid[20:280, 30:300] = True
    noisy = np.where(valid[:, :, None], 0.5 + 0.4 * _noisy(clean, 0.05), 0).astype(np.float32)
    restored, fraction = impulse_noise.cleaned(noisy, valid)
    assert fraction > 0.03
    np.testing.assert_array_equal(restored[~valid], 0)
    assert _psnr(restored[valid], (0.5 + 0.4 * clean)[valid]) > 38


def _stars() -> np.ndarray:
    rng = np.random.default_rng(2)
    sky = np.full((300, 300), 0.06)
    sky[rng.integers(0, 300, 400), rng.integers(0, 300, 400)] = 1
    return (sky + rng.normal(0, 0.01, sky.shape)).clip(0, 1)[:, :, None]


def _page() -> np.ndarray:
    page = np.full((300, 340), 255, np.uint8)
    for row in range(14, 300, 14):
        cv2.putText(page, "thin strokes: 1,234.89 units ... i.e. nothing", (4, row), cv2.FONT_HERSHEY_PLAIN, 0.7, 0, 1, cv2.LINE_AA)
    return page[:, :, None] / 255


def _dots() -> np.ndarray:
    """Black and white dots on gray, in rows as those of a screen."""
    dots = np.full((300, 300), 0.5) + np.linspace(-0.1, 0.1, 300)
    dots[::4, ::4], dots[2::4, 2::4] = 0, 1
    return dots[:, :, None]


def _dithered(levels: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    shade = cv2.GaussianBlur(rng.random((300, 300)), (0, 0), 8)
    shade = (shade - shade.min()) / np.ptp(shade)
    return (np.floor(shade * levels + rng.random(shade.shape)) / levels).clip(0, 1)[:, :, None]


def _pixel_art() -> np.ndarray:
    return np.kron(np.random.default_rng(4).choice([0, 0.2, 0.5, 0.8, 1], (100, 100)), np.ones((3, 3)))[:, :, None]


def _squares() -> np.ndarray:
    return np.kron(np.random.default_rng(5).normal(0.6, 0.4, (50, 60)), np.ones((8, 8))).clip(0, 1)[:, :, None]


def _confetti() -> np.ndarray:
    """Marks of two pixels, black and white."""
    rng = np.random.default_rng(5)
    picture = np.full((300, 300), 0.5) + np.linspace(-0.1, 0.1, 300)
    for y, x, value in zip(*rng.integers(0, 298, (2, 600)), rng.integers(0, 2, 600), strict=True):
        picture[y, x : x + 2] = value
    return picture[:, :, None]


@pytest.mark.parametrize(
    "kind", ["stars", "page", "dots", "one bit", "three levels", "pixel art", "squares", "confetti", "noise", "loud noise"]
)
def test_other_extremes_are_no_impulses(photograph: Make, kind: str) -> None:
    noise = np.random.default_rng(6).standard_normal((300, 340, 1))
    picture = {
        "stars": _stars, "page": _page, "dots": _dots, "one bit": lambda: _dithered(1), "three levels": lambda: _dithered(2),
        "pixel art": _pixel_art, "squares": _squares, "confetti": _confetti, "noise": lambda: (photograph() + 0.1 * noise).clip(0, 1),
        "loud noise": lambda: (photograph() + 0.4 * noise).clip(0, 1),
    }[kind]().astype(np.float32)  # fmt: skip
    for pixels in (picture, 1 - picture):
        assert impulse_noise.find(pixels) is None


def test_photographs_hot_pixels_and_small_pictures_stay(photograph: Make) -> None:
    clean = photograph()
    assert impulse_noise.cleaned(clean) == (clean, 0)
    hot = clean.copy()
    hot[np.random.default_rng(7).integers(0, 300, 40), np.random.default_rng(8).integers(0, 340, 40)] = 1
    for pixels in (hot, np.zeros((300, 300, 1), np.float32), _noisy(clean[:30, :40], 0.1), np.ones((1, 1, 3), np.float32)):
        assert impulse_noise.find(pixels) is None
