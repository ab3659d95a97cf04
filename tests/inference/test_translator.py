"""`Translator`: the network sees a picture at the size of its training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from restore.inference.loading import InferenceOptions
from restore.inference.translator import Translator
from restore.runtime import Runtime


@pytest.fixture
def translator(tiny: Callable[..., Any]) -> Translator:
    recipe = {"training": {"data": {"sides": [24, 40]}}}
    return Translator(tiny(channels=3, name="resnet"), recipe, InferenceOptions(Runtime(torch.device("cpu"), torch.float32)))


def _picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), np.float32)


@pytest.mark.parametrize(
    ("shape", "size", "side"),
    [
        ((30, 50), "fitted", 30), ((40, 90), "fitted", 40), ((41, 90), "fitted", 24), ((20, 90), "fitted", 20), ((41, 90), "full", 41),
        ((41, 90), 32, 32), ((20, 90), 32, 20),
    ],
)  # fmt: skip
def test_the_side_that_the_network_sees(translator: Translator, shape: tuple[int, int], size: int | str, side: int) -> None:
    assert translator.side_for(shape, size) == side


def test_without_a_known_training_the_picture_stays_as_it_is(translator: Translator) -> None:
    for recipe in ({}, {"training": {}}, {"training": {"data": {"sides": [0, 0]}}}):
        translator.recipe = recipe
        assert translator.side_for((500, 400, 3), "fitted") == 400


@pytest.mark.parametrize("size", [0, -3, "small"])
def test_other_sizes_are_refused(translator: Translator, size: int | str) -> None:
    with pytest.raises(ValueError, match="size must be fitted, full or a number of pixels"):
        translator.translate(_picture(50, 60), size=size)


def test_a_large_picture_is_translated_small(translator: Translator) -> None:
    picture = _picture(60, 75)
    fitted, full = translator.translate(picture)[0], translator.translate(picture, size="full")[0]
    assert fitted.shape == full.shape == picture.shape
    assert not np.allclose(fitted, full)
    np.testing.assert_array_equal(translator.translate(picture, size=24)[0], fitted)
    np.testing.assert_array_equal(translator.translate(picture, size=60)[0], full)
    np.testing.assert_array_equal(translator.translate(picture, 0.0)[0], picture)
    half = translator.translate(picture, 0.5)[0]
    np.testing.assert_allclose(half, (picture + fitted) / 2, atol=1e-6)
