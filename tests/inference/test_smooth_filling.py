"""Gradients go on inside of holes; everything else is left to the network."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from restore.inference.inpainter import Inpainter
from restore.inference.smooth_filling import membrane, smooth_filling

Make = Callable[..., torch.nn.Module]


def _gradient(height: int = 120, width: int = 160) -> np.ndarray:
    """A sky: brighter and paler towards the horizon, (H, W, 3)."""
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None]
    red, green, blue = 0.3 + 0.4 * down**2 + 0 * across, 0.45 + 0.3 * down - 0.05 * across**2, 0.75 + 0.1 * down + 0.05 * across * down
    return np.stack([red, green, blue], axis=-1)


def _hole(top: int, left: int, side: int, shape: tuple[int, int] = (120, 160)) -> np.ndarray:
    hole = np.zeros(shape, bool)
    hole[top : top + side, left : left + side] = True
    return hole


@pytest.mark.parametrize(("top", "left"), [(40, 60), (0, 60), (0, 0), (84, 124)])
def test_a_gradient_goes_on(top: int, left: int) -> None:
    picture, hole = _gradient(), _hole(top, left, 36)
    filling, trust = smooth_filling(np.where(hole[:, :, None], np.float32(0.5), picture), hole)
    np.testing.assert_allclose(filling, picture, atol=1.5 / 255)
    assert (trust[hole] == 1).all() and not trust[~hole].any()


def test_noise_does_not_hide_a_gradient_or_bend_it() -> None:
    noise = np.random.default_rng(0).standard_normal((120, 160, 3)).astype(np.float32) * 10 / 255
    hole = _hole(40, 60, 40)
    filling, trust = smooth_filling(_gradient() + noise, hole)
    assert (trust[hole] == 1).all()
    assert np.abs(filling - _gradient())[hole].mean() < 2 / 255


def test_an_edge_is_left_to_the_network() -> None:
    picture, hole = _gradient(), _hole(40, 60, 40)
    picture[:, 80:] -= 0.2
    filling, trust = smooth_filling(picture, hole)
    assert not trust.any()
    np.testing.assert_array_equal(filling, picture)


@pytest.mark.parametrize("side", [8, 2, 1])
def test_nothing_smooth_around_a_hole_concludes_nothing(side: int) -> None:
    """Then few pixels of the rim fit the polynomial, or none."""
    down, across = np.mgrid[:120, :160]
    picture = np.where((down // side + across // side) % 2, np.float32(0.9), np.float32(0.1))[:, :, None]
    picture[:, 80:] = 1 - picture[:, 80:]
    filling, trust = smooth_filling(picture, _hole(40, 60, 40))
    assert not trust.any()
    np.testing.assert_array_equal(filling, picture)


def test_thin_holes_through_much_are_left_alone() -> None:
    """The rim of a scratch across the whole picture fits no polynomial: in the end no pixel is left of it."""
    for seed in (0, 1, 11):
        shades = np.random.default_rng(seed).random((4, 12, 3), np.float32)
        picture = cv2.resize(shades, (600, 120), interpolation=cv2.INTER_CUBIC)
        hole = np.zeros((120, 600), bool)
        hole[59:62] = True
        assert not smooth_filling(picture, hole)[1].any()


def test_each_hole_is_judged_by_its_own_surroundings() -> None:
    picture, near, far = _gradient(), _hole(40, 20, 30), _hole(40, 110, 30)
    picture[:, 100:] += np.random.default_rng(0).integers(0, 2, (15, 8, 1)).repeat(8, 0).repeat(8, 1)[:, :60].astype(np.float32) * 0.3
    _, trust = smooth_filling(picture, near | far)
    assert (trust[near] == 1).all() and not trust[far].any()


def test_a_speck_at_the_border_of_a_tiny_picture_concludes_nothing() -> None:
    _, trust = smooth_filling(np.full((4, 4, 1), 0.5, np.float32), _hole(0, 0, 2, (4, 4)))
    assert not trust.any()


def test_a_membrane_lies_between_its_edges() -> None:
    picture, hole = _gradient(), _hole(20, 30, 80)
    surface = membrane(picture, ~hole)
    np.testing.assert_array_equal(surface[~hole], picture[~hole])
    np.testing.assert_allclose(surface[hole], picture[hole], atol=0.06)
    for channel in range(3):
        assert picture[~hole][:, channel].min() - 1e-6 <= surface[hole][:, channel].min()
        assert surface[hole][:, channel].max() <= picture[~hole][:, channel].max() + 1e-6


def test_an_inpainter_leaves_no_blob_in_a_gradient(tiny: Make) -> None:
    """The network is not trained at all: whatever it says does not matter there."""
    picture, hole = _gradient(), _hole(40, 60, 36)
    result, info = Inpainter(tiny("inpainter", 3)).inpaint(np.where(hole[:, :, None], np.float32(0), picture), hole)
    np.testing.assert_allclose(result, picture, atol=2 / 255)
    assert info.holes == 1 and not info.runs
