"""The width of a blur is read off the edges."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from restore.inference import blur_estimation, sharpener

Photograph = Callable[..., np.ndarray]


@pytest.mark.parametrize("noise", [0, 1, 3])
@pytest.mark.parametrize("width", [1.0, 1.5, 2.0])
def test_the_width_of_a_gaussian_is_found(photograph: Photograph, width: float, noise: float) -> None:
    blurred = cv2.GaussianBlur(photograph()[:, :, 0], (0, 0), width)
    noisy = blurred + np.random.default_rng(0).normal(0, noise / 255, blurred.shape).astype(np.float32)
    assert blur_estimation.estimate(noisy) == pytest.approx(width, rel=0.3)
    # the range of the values does not matter
    assert blur_estimation.estimate(40 + 0.01 * noisy) == pytest.approx(blur_estimation.estimate(noisy), rel=0.02)


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
    assert blur_estimation.estimate(spoilt, valid) == pytest.approx(2.0, rel=0.3)


def test_of_a_large_picture_the_middle_is_seen(photograph: Photograph, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = np.tile(cv2.GaussianBlur(photograph()[:, :, 0], (0, 0), 1.5), (2, 2))
    whole = blur_estimation.estimate(scene)
    monkeypatch.setattr(blur_estimation, "LARGEST", scene.size // 4)
    assert blur_estimation.estimate(scene) == pytest.approx(whole, rel=0.25)
