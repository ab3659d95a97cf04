"""The recipes of `restore simulate`."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from restore.datasets.simulation import SIMULATIONS, simulate
from restore.tasks import options


def test_the_options_name_every_recipe() -> None:
    assert tuple(SIMULATIONS) == options.SIMULATIONS


@pytest.mark.parametrize("recipe", SIMULATIONS)
@pytest.mark.parametrize("shape", [(64, 64, 3), (61, 83, 1), (9, 40, 3)])
def test_a_recipe_keeps_the_shape_and_is_seeded(recipe: str, shape: tuple[int, int, int], smooth: Callable[..., np.ndarray]) -> None:
    picture = smooth(*shape)
    before = picture.copy()
    degraded, drawn = simulate(picture, recipe, 3)
    again, drawn_again = simulate(picture, recipe, 3)
    assert degraded.shape == shape and degraded.dtype == np.float32 and np.isfinite(degraded).all()
    assert np.array_equal(degraded, again) and drawn == drawn_again == json.loads(json.dumps(drawn))
    assert np.array_equal(picture, before)
    assert not np.array_equal(degraded, picture)
    assert not np.array_equal(degraded, simulate(picture, recipe, 4)[0])


def test_other_pictures_draw_otherwise(smooth: Callable[..., np.ndarray]) -> None:
    picture = smooth(64, 64, 1)
    assert simulate(picture, "gaussian", 0)[1] != simulate(picture * np.float32(0.9), "gaussian", 0)[1]


def test_the_noise_is_what_was_drawn(smooth: Callable[..., np.ndarray]) -> None:
    picture = smooth(300, 300, 1)
    degraded, drawn = simulate(picture, "gaussian", 1)
    assert float((degraded - picture).std() * 255) == pytest.approx(drawn["sigma"], rel=0.02)
    degraded, drawn = simulate(picture, "xray-low-dose", 1)
    variance = float(picture.mean()) / drawn["counts"] + (drawn["readout"] / 255) ** 2
    assert float((degraded - picture).var()) == pytest.approx(variance, rel=0.05)
