"""`Enhancer`: one map for all pixels, gray stays gray, all bits stay, parts can be left out, good pictures stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import restore
from restore.images.noise_model import NoiseLevel
from restore.inference import enhancer as enhancer_module
from restore.inference import photo_detail
from restore.inference.cube_file import LENGTH, SIDE, cube
from restore.inference.enhancer import Enhancer, GlobalMap, overview
from restore.inference.strengths import Strengths
from restore.networks.lookup_table import Table
from restore.networks.lut import GAPS, LutNetwork
from restore.runtime import Runtime

Make = Callable[..., LutNetwork]
Smooth = Callable[..., np.ndarray]
NONE = Strengths(0, 0, 0, 0)
EXPOSURE = Strengths(1, 0, 0, 0)


@pytest.fixture
def enhancer(tiny: Make) -> Enhancer:
    """An enhancer that brings the brightest values near to white."""
    network = tiny("lut", 3)
    with torch.no_grad():
        network.head.bias[GAPS - 1 : 3 * GAPS : GAPS] = -3.0
    return Enhancer(network)


@pytest.fixture
def all_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every picture is judged: the small synthetic pictures of most tests are as plain as a wall."""
    monkeypatch.setattr(enhancer_module, "structure_trust", lambda thumbnail: 1.0)


def dark(smooth: Smooth, channels: int = 3) -> np.ndarray:
    """(72, 90, C) an under-exposed picture with some detail."""
    detail = 0.05 * np.random.default_rng(0).random((72, 90, channels), np.float32)
    return 0.3 * smooth(72, 90, channels) ** 2 + detail


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.usefixtures("all_judged")
def test_a_dark_picture_becomes_brighter_by_one_curve(enhancer: Enhancer, smooth: Smooth, channels: int) -> None:
    picture = dark(smooth, channels)
    result, mapping, _ = enhancer.enhance(picture, EXPOSURE)
    assert result.shape == picture.shape and result.mean() > picture.mean() + 0.1
    np.testing.assert_array_equal(mapping(picture), result)
    whole, part = mapping(picture), mapping(np.ascontiguousarray(picture[20:41, 30:77]))
    np.testing.assert_allclose(whole[20:41, 30:77], part, atol=1e-6)


@pytest.mark.parametrize("colour", [(0.0,), (0.0, 0.0, 0.0), (0.2, 0.3, 0.1)])
def test_a_picture_of_one_colour_stays(enhancer: Enhancer, colour: tuple[float, ...]) -> None:
    """As a black frame of a film does: its exposure cannot be judged."""
    picture = np.tile(np.float32(colour), (70, 90, 1))
    result, mapping, _ = enhancer.enhance(picture, Strengths())
    assert mapping.plain
    np.testing.assert_array_equal(result, picture)


def test_gray_stays_gray_however_it_is_stored(enhancer: Enhancer, smooth: Smooth) -> None:
    gray = dark(smooth, 1)
    three = enhancer.enhance(np.repeat(gray, 3, axis=2), Strengths())[0]
    assert (three == three[:, :, :1]).all()
    np.testing.assert_array_equal(three[:, :, :1], enhancer.enhance(gray, Strengths())[0])


def test_without_any_part_nothing_changes(enhancer: Enhancer, smooth: Smooth) -> None:
    picture = dark(smooth)
    assert enhancer.enhance(picture, NONE)[0] is picture
    stored = np.random.default_rng(0).integers(0, 65536, (40, 50, 3), dtype=np.uint16)
    np.testing.assert_array_equal(enhancer(stored, NONE), stored)


@pytest.mark.parametrize("part", list(vars(NONE)))
@pytest.mark.usefixtures("all_judged")
def test_each_part_has_an_effect_that_grows(enhancer: Enhancer, smooth: Smooth, part: str) -> None:
    picture = 0.35 + 0.25 * photo_like(smooth)
    changes = []
    for strength in (0.5, 1.0, 2.0):
        result = enhancer.enhance(picture, Strengths(**{**vars(NONE), part: strength}))[0]
        changes.append(float(np.abs(result - picture).mean()))
    assert 0 < changes[0] < changes[1] < changes[2]


def photo_like(smooth: Smooth) -> np.ndarray:
    """(256, 320, 3) with soft detail at all sizes."""
    rng = np.random.default_rng(0)
    coarse = [rng.random((256 // side, 320 // side, 3), np.float32) for side in (4, 8, 16, 64)]
    layers = [cv2.resize(layer, (320, 256), interpolation=cv2.INTER_CUBIC) for layer in coarse]
    return np.clip(np.mean(layers, axis=0), 0, 1)


def test_sixteen_bits_stay_sixteen_bits(enhancer: Enhancer, smooth: Smooth) -> None:
    stored = np.rint(dark(smooth) * 65535).astype(np.uint16)
    result = enhancer(stored)
    assert result.dtype == np.uint16
    assert len(np.unique(result)) > 0.7 * len(np.unique(stored))


@pytest.mark.usefixtures("all_judged")
def test_a_dark_sky_in_eight_bits_gets_no_bands(enhancer: Enhancer) -> None:
    ramp = np.linspace(0.1, 0.3, 400, dtype=np.float32)[None].repeat(96, 0)
    stored = np.rint(255 * np.stack([ramp, ramp, ramp], 2)).astype(np.uint8)
    mapping = enhancer.map(overview(stored / np.float32(255)), EXPOSURE)
    assert mapping.slopes(3)[30:70].min() > 1.5
    rows = enhancer(stored, EXPOSURE)[:, :, 1].mean(axis=0)
    exact = 255 * mapping(np.stack([ramp, ramp, ramp], 2))[0, :, 1]
    assert np.abs(rows - exact)[40:-40].max() < 0.5


@pytest.mark.parametrize(("eight_bit", "most"), [(True, (0.0, 0.5)), (False, (0.75, 3.0))])
@pytest.mark.usefixtures("all_judged")
def test_nor_after_a_step_that_left_the_stairs(enhancer: Enhancer, eight_bit: bool, most: tuple[float, float]) -> None:
    ramp = 0.999 * np.linspace(0.1, 0.3, 400, dtype=np.float32)[None].repeat(96, 0)
    ramp = np.stack([ramp, ramp, ramp], 2)
    stairs = 0.999 * np.rint(ramp / 0.999 * 255) / np.float32(255)
    exact = 255 * enhancer.map(overview(stairs), EXPOSURE)(ramp)[0, :, 1]
    result = np.rint(255 * enhancer.enhance(stairs, EXPOSURE, eight_bit=eight_bit)[0])
    assert most[0] <= np.abs(result[:, :, 1].mean(axis=0) - exact)[40:-40].max() < most[1]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 33), (35, 9)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size(enhancer: Enhancer, smooth: Smooth, size: tuple[int, int], channels: int) -> None:
    result, _, _ = enhancer.enhance(smooth(*size, channels), Strengths(2, 2, 2, 2))
    assert result.shape == (*size, channels) and np.isfinite(result).all()


def test_alpha_types_and_tensors(enhancer: Enhancer, smooth: Smooth) -> None:
    stored = np.rint(255 * np.dstack([dark(smooth), smooth(72, 90)])).astype(np.uint8)
    result = enhancer(stored)
    assert result.dtype == np.uint8 and np.array_equal(result[:, :, 3], stored[:, :, 3])
    batch = torch.from_numpy(dark(smooth)).permute(2, 0, 1)[None]
    assert enhancer(batch).shape == batch.shape


@pytest.mark.usefixtures("all_judged")
def test_a_small_change_is_left_out(smooth: Smooth, tiny: Make) -> None:
    picture = dark(smooth)
    result, mapping, _ = Enhancer(tiny("lut", 3)).enhance(picture, EXPOSURE)
    assert 0 < mapping.change < 0.02 and mapping.plain
    assert result is picture


@pytest.mark.parametrize(("shift", "kept"), [(0.075, False), (-0.075, True), (0.11, True), (-0.045, False)])
@pytest.mark.usefixtures("all_judged")
def test_a_picture_is_made_brighter_only_by_much(
    smooth: Smooth, tiny: Make, monkeypatch: pytest.MonkeyPatch, shift: float, kept: bool
) -> None:
    network = tiny("lut", 3)
    monkeypatch.setattr(network, "table", lambda pictures: constant([shift] * len(pictures)))
    picture = 0.2 + 0.5 * smooth(72, 90, 3) + 0.1 * np.random.default_rng(0).random((72, 90, 3), np.float32)
    result, mapping, _ = Enhancer(network).enhance(picture, EXPOSURE)
    assert mapping.change == pytest.approx(abs(shift), abs=1e-5) and mapping.plain is not kept
    np.testing.assert_allclose(result, picture + (shift if kept else 0), atol=1e-5)


def test_a_sky_and_a_page_stay_as_they_are(enhancer: Enhancer, smooth: Smooth) -> None:
    """Without texture, exposure cannot be judged; a page or a screen is as bright as it was drawn."""
    sky = (
        np.linspace(0.35, 0.75, 200, dtype=np.float32)[:, None, None] * np.array([0.6, 0.8, 1.0], np.float32).repeat(240).reshape(3, 240).T
    )
    page = np.full((200, 240, 3), 0.9, np.float32)
    page[20:60, 20:200] = np.random.default_rng(0).random((40, 180, 3), np.float32)
    grainy = sky + 0.04 * np.random.default_rng(2).standard_normal((*sky.shape[:2], 1), np.float32)
    for picture in (sky, grainy, page):
        result, mapping, _ = enhancer.enhance(picture, Strengths(1, 1, 0, 0))
        assert mapping.plain and np.array_equal(result, picture)
    textured = sky.copy()
    textured[:, :120] += 0.2 * (np.random.default_rng(1).random((200, 120, 3), np.float32) - 0.5)
    assert not enhancer.enhance(textured, EXPOSURE)[1].plain


@pytest.mark.usefixtures("all_judged")
@pytest.mark.parametrize(("shift", "channels", "kept"), [(0.06, 3, True), (0.03, 3, False), (0.06, 1, False)])
def test_a_cast_is_removed_by_less_than_brightness_changes(
    smooth: Smooth, tiny: Make, monkeypatch: pytest.MonkeyPatch, shift: float, channels: int, kept: bool
) -> None:
    """A change that brightens so little is left out; so is a cast of a picture whose result is gray anyway."""
    network, cast = tiny("lut", 3), torch.tensor([shift, 0.0, -shift])
    monkeypatch.setattr(network, "table", lambda pictures: Table(torch.ones(len(pictures), 3, 128), cast.repeat(len(pictures), 1), None))
    picture = 0.2 + 0.5 * photo_like(smooth)[:, :, :channels]
    result, mapping, _ = Enhancer(network).enhance(picture, EXPOSURE)
    assert mapping.change < 0.05 and mapping.plain is not kept
    np.testing.assert_allclose(result, picture + (cast.numpy() if kept else 0), atol=1e-5)


@pytest.mark.parametrize(
    ("colour", "grain", "size"),
    [((0.93, 0.89, 0.78), 2.5, 1.5), ((0.97, 0.96, 0.95), 1.5, 1.2), ((0.69, 0.68, 0.67), 2.0, 2.0), ((0.06, 0.05, 0.05), 2.0, 1.0)],
)
def test_paper_walls_and_black_film_stay_as_they_are(enhancer: Enhancer, colour: tuple[float, ...], grain: float, size: float) -> None:
    """Grain is no content: how it is exposed says nothing, and it must not become stronger."""
    surface = np.float32(colour) + grain / 255 * grain_of(size)
    result, mapping, gain = enhancer.enhance(surface, Strengths())
    assert mapping.plain and gain == 1
    np.testing.assert_array_equal(result, surface)


def test_the_fewer_the_structures_the_less_changes(enhancer: Enhancer) -> None:
    rng, changes = np.random.default_rng(1), []
    objects = rng.random((4, 5, 3), np.float32).repeat(64, 0).repeat(64, 1) - 0.5
    objects[:, 128:] += rng.random((64, 48, 1), np.float32).repeat(4, 0).repeat(4, 1) - 0.5
    for contrast in (0.12, 0.172, 0.182, 0.25):
        picture = 0.4 + contrast * objects + 2 / 255 * grain_of(1.2)
        changes.append(float(np.abs(enhancer.enhance(picture, EXPOSURE)[0] - picture).mean()))
    assert changes[0] == 0 < changes[1] < changes[2] < changes[3]


@pytest.mark.parametrize(("grain", "judged"), [(0.1, True), (2.0, False)])
def test_outlines_above_the_grain_are_structure_however_faded(enhancer: Enhancer, grain: float, judged: bool) -> None:
    picture = np.full((256, 320, 3), 0.4, np.float32)
    for left in range(10, 150, 28):
        cv2.rectangle(picture, (left, 20), (left + 12, 236), (0.46, 0.46, 0.46), 3)
    picture += grain / 255 * grain_of(1.2)
    assert enhancer_module.structure(picture[:, :, 1]) < enhancer_module.STRUCTURE[0]
    assert enhancer.enhance(picture, EXPOSURE)[1].plain is not judged


@pytest.mark.parametrize(("brightness", "judged"), [(0.05, True), (0.15, False)])
def test_a_very_dark_picture_is_judged_by_its_relative_spread(enhancer: Enhancer, brightness: float, judged: bool) -> None:
    objects = np.random.default_rng(1).random((32, 40, 1), np.float32).repeat(8, 0).repeat(8, 1) - 0.5
    picture = (brightness + 0.1 * objects + 1 / 255 * grain_of(1.0)).repeat(3, axis=2)
    assert enhancer_module.structure(picture[:, :, 1]) < enhancer_module.STRUCTURE[0]
    assert enhancer.enhance(picture, EXPOSURE)[1].plain is not judged


def grain_of(size: float) -> np.ndarray:
    """(256, 320, 1) grain of standard deviation 1, blurred by `size` pixels."""
    grain = cv2.GaussianBlur(np.random.default_rng(3).standard_normal((256, 320), np.float32), (0, 0), size)
    return (grain / grain.std())[:, :, None]


def test_the_table_is_the_mean_of_those_of_the_whole_and_its_corners(smooth: Smooth, tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    network, seen = tiny("lut", 3), []

    def table(pictures: torch.Tensor) -> Table:
        seen.append(pictures)
        return constant([0.3, 0, 0.1, 0.1, 0])

    enhancer = Enhancer(network)
    monkeypatch.setattr(network, "table", table)
    picture = 0.5 * smooth(72, 90, 3)
    assert enhancer.map(overview(picture), EXPOSURE).change == pytest.approx(0.1, abs=1e-5)
    (pictures,) = seen
    lower_right = cv2.resize(picture[-54:, -68:], (256, 256), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(pictures[4].permute(1, 2, 0), lower_right)


def constant(shifts: list[float]) -> Table:
    """Tables that add a constant."""
    return Table(torch.ones(len(shifts), 3, 128), torch.tensor(shifts)[:, None].repeat(1, 3), None)


def test_only_a_network_with_a_table_of_colours_will_do(tiny: Make) -> None:
    with pytest.raises(ValueError, match="predicts no lookup table"):
        Enhancer(tiny("resnet", 3))
    with pytest.raises(ValueError, match="for gray pictures"):
        Enhancer(tiny("lut", 1))


def test_strengths_have_a_range() -> None:
    with pytest.raises(ValueError, match="contrast must be from 0 to 2, not 3"):
        Strengths(contrast=3)


def test_a_narrow_range_is_widened_and_a_full_one_stays() -> None:
    rng = np.random.default_rng(0)
    slope, offset = photo_detail.levels(0.4 + 0.2 * rng.random((50, 50), np.float32), 1.0)
    assert slope == photo_detail.WIDEST and 0 <= slope * 0.4 + offset < slope * 0.6 + offset <= 1
    assert photo_detail.levels(rng.random((50, 50), np.float32), 1.0) == (1.0, 0.0)
    assert photo_detail.levels(np.full((50, 50), 0.3, np.float32), 1.0) == (1.0, 0.0)


def test_a_soft_picture_is_sharpened_and_a_noisy_one_is_not(smooth: Smooth) -> None:
    rng = np.random.default_rng(0)
    sharp = (
        photo_like(smooth) + 0.1 * rng.random((256, 320, 1), np.float32) + 0.1 * (rng.random((128, 160, 1)) > 0.5).repeat(2, 0).repeat(2, 1)
    )
    soft = cv2.GaussianBlur(sharp, (0, 0), 1.2)
    quiet = NoiseLevel.gaussian(0.3)
    assert photo_detail.detailed(sharp, quiet, 0.0, 1.0)[1] == 1.0
    better, gain = photo_detail.detailed(soft, quiet, 0.0, 1.0)
    assert gain > 1.2 and np.abs(better - sharp).mean() < np.abs(soft - sharp).mean()
    noise = rng.normal(0, 10 / 255, (128, 160, 1)).astype(np.float32)
    flat = 0.5 + noise
    raised = photo_detail.detailed(flat, NoiseLevel.gaussian(10.0), 2.0, 2.0)[0]
    assert (raised - raised.mean()).std() < 1.2 * noise.std()


@pytest.mark.parametrize("gray", [False, True])
def test_a_cube_file_holds_the_map(enhancer: Enhancer, smooth: Smooth, gray: bool) -> None:
    mapping = enhancer.map(overview(dark(smooth, 1 if gray else 3)), Strengths())
    lines = cube(mapping, gray=gray, title='a "b".png').splitlines()
    size = f"LUT_1D_SIZE {LENGTH}" if gray else f"LUT_3D_SIZE {SIDE}"
    assert lines[:2] == ['TITLE "a b.png"', size]
    rows = np.array([[float(word) for word in line.split()] for line in lines[2:]])
    if gray:
        nodes = np.linspace(0, 1, LENGTH, dtype=np.float32)[:, None, None]
        np.testing.assert_allclose(rows, mapping(nodes)[:, 0].repeat(3, 1), atol=1e-6)
        return
    table = rows.reshape(SIDE, SIDE, SIDE, 3)
    colour = np.array([[[3, 17, 30]]], np.float32) / np.float32(SIDE - 1)
    np.testing.assert_allclose(table[30, 17, 3], mapping(colour)[0, 0], atol=1e-5)


def test_a_plain_map_is_the_identity(smooth: Smooth) -> None:
    assert GlobalMap().plain
    np.testing.assert_array_equal(GlobalMap()(smooth(9, 9, 3)), smooth(9, 9, 3))


def test_it_is_loaded_by_name(tiny: Make, own_weights: Path, fp32: Runtime) -> None:
    from restore import weights

    weights.save(own_weights / "mine.safetensors", tiny("lut", 3).state_dict(), {
        "task": "enhance", "network": "lut", "settings": {"channels": 3, "widths": [4, 8], "side": 3, "tables": 2},
    })  # fmt: skip
    picture = np.random.default_rng(0).random((40, 50, 3), np.float32)
    assert restore.load("mine")(picture).shape == picture.shape
