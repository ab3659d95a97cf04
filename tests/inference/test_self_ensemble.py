"""The transforms of a picture, and their average."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from restore import runtime
from restore.inference.denoiser import Denoiser
from restore.inference.loading import InferenceOptions
from restore.inference.self_ensemble import TRANSFORMS, apply_transform, undo_transform
from restore.networks import ModelSpec, RestorationNetwork


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_transform_can_be_undone(transform: tuple[int, bool]) -> None:
    fp32 = runtime.choose("cpu", "fp32")
    picture = torch.rand(2, 3, 5, 8)
    assert torch.equal(undo_transform(apply_transform(picture, transform, fp32), transform), picture)


def test_the_transforms_differ() -> None:
    fp32 = runtime.choose("cpu", "fp32")
    picture = torch.rand(1, 1, 6, 6)
    results = [apply_transform(picture, transform, fp32) for transform in TRANSFORMS]
    assert len({tuple(item.flatten().tolist()) for item in results}) == 8


class Sideways(RestorationNetwork):
    """Corrects each pixel by its left neighbour, so transforms change the result."""

    spec = ModelSpec(1, 1, receptive_field=1)

    def forward(self, picture: Tensor) -> Tensor:
        return picture.roll(1, 3)


def test_an_ensemble_is_the_mean_over_transforms() -> None:
    picture = np.random.default_rng(0).random((32, 32, 1), dtype=np.float32)
    fp32 = runtime.choose("cpu", "fp32")
    restored = Denoiser(Sideways(), options=InferenceOptions(fp32, ensemble=4)).denoise(picture)[0]
    neighbours = [np.roll(picture, shift, axis) for shift in (1, -1) for axis in (0, 1)]
    np.testing.assert_allclose(restored, picture + np.mean(neighbours, axis=0), atol=1e-6)


def test_an_odd_ensemble_is_refused() -> None:
    with pytest.raises(ValueError, match="1, 2, 4 or 8"):
        Denoiser(Sideways(), options=InferenceOptions(ensemble=3))


@pytest.mark.parametrize("size", [2, 5])
def test_batched_tiles_equal_single_tiles(size: int) -> None:
    picture = np.random.default_rng(1).random((150, 170, 3), dtype=np.float32)
    fp32 = runtime.choose("cpu", "fp32")
    alone, together = (
        Denoiser(Sideways(), options=InferenceOptions(fp32, tile=64, batch_size=count)).denoise(picture)[0] for count in (1, size)
    )
    np.testing.assert_array_equal(alone, together)
