"""The width of a blur is read off the spectrum."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from restore.inference import blur_estimation, sharpener

Photograph = Callable[..., np.ndarray]


@pytest.mark.parametrize("noise", [0.3, 1, 3])
@pytest.mark.parametrize("width", [1.0, 1.5, 2.0])
def test_the_width_of_a_gaussian_is_found(photograph: Photograph, width: float, noise: float) -> None:
    blurred = cv2.GaussianBlur(photograph()[:, :, 0], (0, 0), width)
    noisy = blurred + np.random.default_rng(0).normal(0, noise / 255, blurred.shape).astype(np.float32)
    found = blur_estimation.estimate(noisy, noise / 255)
    assert found == pytest.approx(width, rel=0.3)
    # the range of the values does not matter
    assert blur_estimation.estimate(5 + 3 * noisy, 3 * noise / 255) == pytest.approx(found, rel=0.02)


def test_sharp_pictures_and_pictures_without_edges_have_none(photograph: Photograph) -> None:
    assert sharpener.estimate(photograph()) == 0
    for plane in (
        np.full((64, 64), 0.3, np.float32),
        np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64),
        photograph()[:9, :9, 0],
    ):
        assert sharpener.estimate(plane[:, :, None]) == 0


def test_what_is_no_picture_does_not_count(photograph: Photograph) -> None:
    scene = cv2.GaussianBlur(photograph()[:, :, 0], (0, 0), 2.0)
    spoilt, valid = scene.copy(), np.ones(scene.shape, bool)
    spoilt[:, ::10], valid[:, ::10] = 1.0, False
    valid[:, :170], spoilt[:, :170] = True, scene[:, :170]
    assert blur_estimation.estimate(spoilt, 0.001, valid) == pytest.approx(2.0, rel=0.3)


def test_of_a_large_picture_parts_are_seen(photograph: Photograph, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = np.tile(cv2.GaussianBlur(photograph()[:, :, 0], (0, 0), 1.5), (2, 2))
    whole = blur_estimation.estimate(scene, 0.001)
    monkeypatch.setattr(blur_estimation, "TILE", 150)
    assert len(blur_estimation._tiles(scene)) == 9
    assert blur_estimation.estimate(scene, 0.001) == pytest.approx(whole, rel=0.15)


def test_padding_around_a_picture_does_not_count(photograph: Photograph) -> None:
    scene = cv2.GaussianBlur(photograph()[:, :, 0], (0, 0), 2.0)
    padded, valid = np.pad(scene, ((40, 9), (0, 70))), np.pad(np.ones(scene.shape, bool), ((40, 9), (0, 70)))
    assert blur_estimation.estimate(padded, 0.001, valid) == blur_estimation.estimate(scene, 0.001)
    assert blur_estimation.estimate(padded, 0.001, np.zeros(padded.shape, bool)) == 0


@pytest.mark.parametrize("noise", [0.3, 4])
@pytest.mark.parametrize("width", [0.8, 1.0, 1.5])
def test_edges_tell_sharp_pictures_from_soft_ones(photograph: Photograph, width: float, noise: float) -> None:
    scene = photograph()[:, :, 0]
    rng = np.random.default_rng(1)
    soft, sharp = (
        plane + rng.normal(0, noise / 255, plane.shape).astype(np.float32) for plane in (cv2.GaussianBlur(scene, (0, 0), width), scene)
    )
    assert not blur_estimation.has_sharp_edges(soft, noise / 255, width)
    assert noise > 1 or blur_estimation.has_sharp_edges(sharp, noise / 255, width)  # strong noise hides that edges are steep


def test_the_power_of_white_noise_is_its_variance() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, (400, 300)).astype(np.float32)
    np.testing.assert_allclose(blur_estimation._rings(noise)[4:], 0.02**2, rtol=0.1)


def test_noise_is_not_taken_for_blur(photograph: Photograph) -> None:
    for sigma, picture in ((25, photograph()), (60, photograph()), (5, np.full((200, 240, 1), 0.5, np.float32))):
        noisy = picture + np.random.default_rng(1).normal(0, sigma / 255, picture.shape).astype(np.float32)
        assert sharpener.estimate(noisy) == 0
    dithered = (photograph() > np.random.default_rng(2).random((300, 340, 1))).astype(np.float32)
    assert sharpener.estimate(dithered) == 0


@pytest.mark.parametrize(("square", "side"), [(12, 256), (8, 160), (12, 240)])
def test_chessboards_are_sharp(square: int, side: int, photograph: Photograph) -> None:
    rows, columns = np.mgrid[:side, :side] // square
    board = ((rows + columns) % 2).astype(np.float32)[:, :, None]
    assert sharpener.estimate(board) == 0
    blurred = cv2.GaussianBlur(photograph(), (0, 0), 2.0)
    framed = np.pad(blurred.reshape(blurred.shape[0], -1, 1), ((9, 9), (9, 9), (0, 0)))
    assert sharpener.estimate(framed) == pytest.approx(1.9, rel=0.2), "a frame is sharp around any picture"


def _page(scale: float) -> np.ndarray:
    """(300, 420) float32: antialiased strokes on white paper."""
    page = np.full((300, 420), 255, np.uint8)
    for row in range(20, 300, int(40 * scale)):
        cv2.putText(
            page, "the quick brown fox 1,234.89 units, and no others, jumps", (4, row), cv2.FONT_HERSHEY_DUPLEX, scale, 20, 1, cv2.LINE_AA
        )
    return page.astype(np.float32) / 255


@pytest.mark.parametrize("scale", [0.4, 0.5, 0.7, 1.0])
def test_soft_text_is_soft_and_sharp_text_is_not(scale: float) -> None:
    page = _page(scale)
    for sharp in (page, 1 - page, 0.2 + 0.5 * page, cv2.GaussianBlur(page, (0, 0), 0.4)):
        assert sharpener.estimate(sharp[:, :, None]) == 0
    for width in (1.0, 1.2, 1.5):
        blurred = np.rint(255 * cv2.GaussianBlur(page, (0, 0), width)) / np.float32(255)
        assert 0.7 * width < blur_estimation.estimate(blurred, 0.3 / 255) < 1.45 * width


def test_strokes_are_looked_at_on_paper_alone(photograph: Photograph) -> None:
    blurred = cv2.GaussianBlur(_page(0.7), (0, 0), 1.0)
    assert blur_estimation.width_of_strokes(blurred) == pytest.approx(1.0, rel=0.25)
    for plane in (_page(0.7), 1 - blurred, cv2.GaussianBlur(photograph()[:, :, 0], (0, 0), 1.0), np.zeros((64, 64), np.float32)):
        assert blur_estimation.width_of_strokes(plane) == 0


@pytest.mark.parametrize("length", [7, 9, 15])
@pytest.mark.parametrize("turn", [0, 30, 90, 135])
def test_blur_of_motion_has_a_direction_and_is_left(photograph: Photograph, length: int, turn: float) -> None:
    line = np.zeros((17, 17), np.float32)
    half = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))]) * (length - 1) / 2
    cv2.line(line, *(tuple(int(v) for v in np.rint(16 * (8 + sign * half))) for sign in (-1, 1)), 1.0, shift=4)
    scene = photograph()[:, :, 0]
    noise = np.random.default_rng(0).normal(0, 1 / 255, scene.shape).astype(np.float32)
    moved = cv2.filter2D(scene, -1, line / line.sum()) + noise
    assert blur_estimation.has_direction(moved, 1 / 255)
    assert blur_estimation.estimate(moved, 1 / 255) == 0


@pytest.mark.parametrize("width", [1.0, 1.5, 2.0])
def test_blur_of_a_lens_has_no_direction(photograph: Photograph, width: float) -> None:
    blurred = cv2.GaussianBlur(photograph()[:, :, 0], (0, 0), width)
    blurred += np.random.default_rng(0).normal(0, 1 / 255, blurred.shape).astype(np.float32)
    assert not blur_estimation.has_direction(blurred, 1 / 255)
    assert not blur_estimation.has_direction(blurred[:100], 1 / 255)
