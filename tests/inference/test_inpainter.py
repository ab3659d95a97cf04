"""Inpainting: only the holes change, they are filled from their surroundings, coarse to fine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from restore.inference import inpainter
from restore.inference.denoiser import Denoiser
from restore.inference.inpainter import Inpainter, InpaintInfo, crops
from restore.inference.loading import InferenceOptions
from restore.networks import ModelSpec, RestorationNetwork
from restore.networks.inpainter import HOLE
from restore.runtime import Runtime

Make = Callable[..., torch.nn.Module]


@pytest.fixture
def uneven(monkeypatch: pytest.MonkeyPatch) -> None:
    """No hole counts as smooth, so that the network fills each."""
    monkeypatch.setattr(inpainter, "smooth_filling", lambda piece, hole: (piece, np.zeros(hole.shape, np.float32)))


Smooth = Callable[..., np.ndarray]


class Constant(RestorationNetwork):
    """Fills every hole with one value, and records the sizes of its inputs."""

    spec = ModelSpec(1, 1, receptive_field=0, conditions=("mask",))

    def __init__(self, value: float = 0.25) -> None:
        super().__init__()
        self.value = value
        self.sizes: list[tuple[int, ...]] = []

    def __deepcopy__(self, memo: object) -> Constant:
        return self

    def forward(self, picture: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        assert bool((picture[mask > 0] == HOLE).all()), "what is under a hole must not be sizes"
        self.sizes.append(tuple(picture.shape[-2:]))
        return (self.value - HOLE) * mask


def _inpaint(network: RestorationNetwork, runtime: Runtime, feather: int = 0) -> Callable[..., tuple[np.ndarray, InpaintInfo]]:
    return Inpainter(network, options=InferenceOptions(runtime), texture=False, feather=feather).inpaint


def _mask(height: int, width: int, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


@pytest.mark.usefixtures("uneven")
@pytest.mark.parametrize("channels", [1, 3])
def test_outside_the_holes_nothing_changes_by_a_bit(tiny: Make, fp32: Runtime, smooth: Smooth, channels: int) -> None:
    picture, mask = smooth(90, 130, channels), _mask(90, 130, (10, 30, 20, 60), (80, 90, 0, 5))
    output, info = _inpaint(tiny("inpainter", 3), fp32)(picture, mask)
    np.testing.assert_array_equal(output[~mask], picture[~mask])
    assert np.abs(output[mask] - picture[mask]).max() > 0.01
    assert info.fraction == pytest.approx(mask.mean())


@pytest.mark.usefixtures("uneven")
def test_every_hole_is_filled_and_from_its_own_crop(fp32: Runtime) -> None:
    network = Constant()
    mask = _mask(400, 900, (50, 60, 50, 80), (300, 330, 800, 820), (10, 12, 880, 900))
    output, info = _inpaint(network, fp32)(np.where(mask[:, :, None], np.float32(1), np.float32(0.25)), mask)
    np.testing.assert_allclose(output[mask], 0.25, atol=1e-6)
    assert info.holes == 3 == len(network.sizes)
    assert all(height < 400 and width < 400 for height, width in network.sizes), "the work must grow with the holes, not the picture"


def test_crops_own_every_missing_pixel_once() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((500, 700), bool)
    for top, left in rng.integers(0, 480, (25, 2)):
        mask[top : top + 8, left : left + 15] = True
    owned = np.zeros(mask.shape, int)
    for crop in crops(mask):
        owned[crop.region] += crop.own
    np.testing.assert_array_equal(owned, mask.astype(int))


def test_a_wide_hole_is_filled_coarsely_first(fp32: Runtime, smooth: Smooth) -> None:
    network, picture = Constant(0.4), smooth(700, 700)
    output, info = _inpaint(network, fp32)(picture, _mask(700, 700, (150, 550, 150, 550)))
    assert info.coarsest < 0.5
    assert min(side for size in network.sizes for side in size) < 350 < max(side for size in network.sizes for side in size)
    assert np.abs(output[300:400, 300:400] - 0.4).max() < 0.05


@pytest.mark.usefixtures("uneven")
@pytest.mark.parametrize(
    "kept",
    [[np.s_[:2], np.s_[-2:], np.s_[:, :2], np.s_[:, -2:]], [np.s_[240, 320]], [np.s_[100:102, 50:52]], [np.s_[479]], [np.s_[:, 300]]],
    ids=["frame", "pixel", "four pixels", "row", "column"],
)
@pytest.mark.parametrize("texture", [True, False])
def test_a_picture_of_which_a_thin_part_is_kept_is_filled(
    tiny: Make, fp32: Runtime, smooth: Smooth, kept: list[Any], texture: bool
) -> None:
    picture, mask = smooth(480, 640), np.ones((480, 640), bool)
    for part in kept:
        mask[part] = False
    output, info = Inpainter(tiny("inpainter", 3), options=InferenceOptions(fp32), texture=texture).inpaint(picture, mask)
    assert info.coarsest < 0.5 and np.isfinite(output).all()
    np.testing.assert_array_equal(output[~mask], picture[~mask])


@pytest.mark.usefixtures("uneven")
@pytest.mark.parametrize("shape", [(4, 4000), (4000, 3), (1, 3000), (7, 7)])
def test_one_pixel_of_a_narrow_picture_is_enough(tiny: Make, fp32: Runtime, smooth: Smooth, shape: tuple[int, int]) -> None:
    mask = np.ones(shape, bool)
    mask[shape[0] // 2, shape[1] // 3] = False
    output, _ = _inpaint(tiny("inpainter", 3), fp32)(smooth(*shape), mask)
    assert np.isfinite(output).all()


def test_a_thin_kept_part_keeps_its_colour_when_it_is_downscaled() -> None:
    hole = np.ones((4000, 6000), bool)
    hole[7, 9] = False
    small, missing = inpainter.downscaled(np.full((4000, 6000, 1), 0.3, np.float32), hole, (41, 27))
    assert not missing[0, 0] and missing.sum() == missing.size - 1
    assert small[0, 0, 0] == pytest.approx(0.3, abs=1e-3)


def test_texture_and_seams_use_the_original_pixels_around_a_wide_hole(fp32: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, mask = np.full((700, 700, 1), 0.4, np.float32), _mask(700, 700, (150, 550, 150, 550))
    sizes = []
    monkeypatch.setattr(inpainter, "blend_seams", lambda output, hole: sizes.append(output) or output)
    _inpaint(Constant(0.9), fp32)(picture, mask)
    np.testing.assert_array_equal(sizes[0][~mask], picture[~mask])


def test_at_full_size_a_wide_hole_is_cropped_to_its_neighbourhood(fp32: Runtime, smooth: Smooth) -> None:
    network, mask = Constant(), _mask(1000, 1000, (300, 700, 300, 700))
    output, _ = _inpaint(network, fp32)(smooth(1000, 1000, 1), mask)
    assert np.abs(output[450:550, 450:550] - 0.25).max() < 0.05
    assert network.sizes[-1] == (400 + 2 * inpainter.MIN_CONTEXT,) * 2


@pytest.mark.usefixtures("uneven")
def test_a_filling_of_another_colour_is_blended_with_its_surroundings(fp32: Runtime) -> None:
    picture, mask = np.full((64, 64, 1), 0.6, np.float32), _mask(64, 64, (12, 52, 12, 52))
    output, _ = _inpaint(Constant(0.4), fp32)(picture, mask)
    assert output[32, 12, 0] > 0.45
    assert output[32, 32, 0] == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("method", ["telea", "navier-stokes"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_classical_methods_continue_what_is_smooth(smooth: Smooth, method: str, channels: int) -> None:
    picture, mask = smooth(80, 80, channels), _mask(80, 80, (30, 36, 30, 50))
    output, _ = Inpainter(method=method).inpaint(np.where(mask[:, :, None], np.float32(1), picture), mask)
    assert np.abs(output - picture)[mask].mean() < 0.03
    np.testing.assert_array_equal(output[~mask], picture[~mask])


@pytest.mark.usefixtures("uneven")
def test_a_feather_blends_inside_the_edge(fp32: Runtime) -> None:
    picture, mask = np.ones((64, 64, 1), np.float32), _mask(64, 64, (20, 44, 20, 44))
    output, _ = _inpaint(Constant(0.0), fp32, feather=4)(picture, mask)
    assert output[32, 20, 0] > output[32, 22, 0] > output[32, 30, 0] == 0


@pytest.mark.parametrize(
    ("mask", "word"), [(np.ones((40, 40), bool), "whole picture"), (np.zeros((40, 41), bool), "41 x 40 pixels")], ids=["all", "size"]
)
def test_invalid_masks_are_refused(fp32: Runtime, smooth: Smooth, mask: np.ndarray, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        _inpaint(Constant(), fp32)(smooth(40, 40), mask)


def test_a_mask_and_a_network_that_takes_one_belong_together(tiny: Make, fp32: Runtime) -> None:
    with pytest.raises(ValueError, match="mask"):
        Denoiser(tiny("inpainter"), options=InferenceOptions(fp32))
    with pytest.raises(ValueError, match="mask"):
        Inpainter(tiny("unet"), options=InferenceOptions(fp32))


def test_unknown_methods_and_missing_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="telea"):
        Inpainter(method="magic")
    with pytest.raises(ValueError, match="weights"):
        Inpainter()


def test_a_mask_is_dilated_by_a_disc() -> None:
    grown = inpainter.dilated(_mask(21, 21, (10, 11, 10, 11)), 4)
    assert grown[10, 6] and grown[14, 10] and not grown[6, 6]
    assert inpainter.dilated(grown, 0) is grown


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [0, 3, 4])
def test_arrays_of_any_type_keep_what_lies_outside_the_mask(fp32: Runtime, dtype: type, channels: int) -> None:
    shape = (40, 50, channels) if channels else (40, 50)
    picture = (np.random.default_rng(1).random(shape) * (np.iinfo(dtype).max if dtype != np.float32 else 1)).astype(dtype)
    mask = _mask(40, 50, (10, 20, 10, 20))
    output = Inpainter(Constant(0.5), options=InferenceOptions(fp32), texture=False)(picture, mask)
    assert output.dtype == dtype and output.shape == shape
    np.testing.assert_array_equal(output[~mask], picture[~mask])
    assert (output[mask] != picture[mask]).mean() > 0.5


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_tensors_give_tensors(fp32: Runtime, kind: torch.dtype) -> None:
    pictures, mask = torch.rand(2, 3, 40, 50).to(kind), _mask(40, 50, (10, 20, 10, 20))
    inpainter = Inpainter(Constant(0.5), options=InferenceOptions(fp32), texture=False)
    for missing in (mask, torch.from_numpy(mask)):
        filled = inpainter(pictures.requires_grad_(), missing)
        assert filled.dtype == kind and filled.shape == pictures.shape
        assert torch.equal(filled[:, :, ~mask], pictures.detach()[:, :, ~mask]) and not torch.equal(filled, pictures)


@pytest.mark.parametrize("mask", [np.uint8(255), np.uint8(1), np.int64(1), np.float32(1.0)])
def test_masks_of_every_type_are_holes(fp32: Runtime, mask: np.generic) -> None:
    picture = np.random.default_rng(1).random((40, 50, 3)).astype(np.float32)
    hole = _mask(40, 50, (10, 20, 10, 20))
    fill = Inpainter(Constant(0.5), options=InferenceOptions(fp32), texture=False)
    assert np.array_equal(fill(picture, hole * mask), fill(picture, hole))
    with pytest.raises(ValueError, match="booleans, integers or floats"):
        fill(picture, np.where(hole, "yes", "no"))
