"""Back-projection: the result's reduction is nearer to the small picture; bands change nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from restore.inference import back_projection
from restore.inference.back_projection import back_project
from restore.networks.resample import enlarge, shrink

Smooth = Callable[..., np.ndarray]


def _on_planes(function: Callable[[torch.Tensor, int], torch.Tensor], picture: np.ndarray, scale: int) -> np.ndarray:
    planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    return np.ascontiguousarray(function(planes, scale)[0].numpy().transpose(1, 2, 0))


@pytest.mark.parametrize("scale", [2, 4])
def test_the_reduction_comes_nearer(photograph: Smooth, scale: int) -> None:
    small = photograph(40, 52, 3)
    large = _on_planes(enlarge, small, scale)
    before, after = (np.abs(_on_planes(shrink, one, scale) - small).mean() for one in (large, back_project(small, large, scale)))
    assert after < 0.6 * before
    np.testing.assert_array_equal(back_project(small, large, scale, 0.0), large)


def test_bands_change_nothing(photograph: Smooth, monkeypatch: pytest.MonkeyPatch) -> None:
    small = photograph(50, 30)
    large = _on_planes(enlarge, small, 2)
    whole = back_project(small, large, 2)
    monkeypatch.setattr(back_projection, "bands", lambda shape: (slice(top, min(shape[0], top + 7)) for top in range(0, shape[0], 7)))
    np.testing.assert_allclose(back_project(small, large, 2), whole, atol=1e-6)
