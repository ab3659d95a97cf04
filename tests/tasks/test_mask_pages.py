"""Masks with alpha, masks in colour, and photographs that are given as masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import restore
from restore.pipeline.records import Record

HOLE = np.zeros((40, 60), bool)
HOLE[10:20, 15:40] = True


def _layer(colour: tuple[int, int, int], alpha: np.ndarray) -> np.ndarray:
    """A layer of one colour with this alpha, (H, W) in [0, 1]."""
    return np.dstack([np.full((*alpha.shape, 3), colour, np.uint8), np.rint(255 * alpha).astype(np.uint8)])


def _record(folder: Path, mask: Path, **options: object) -> Record:
    source = folder / "in/a.png"
    source.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(90, 110, (*HOLE.shape, 3), dtype=np.uint8)).save(source)
    given = {"masks": mask, "save_masks": folder / "used", "method": "telea", **options}
    (record,) = restore.run("inpaint", source, folder / "out", options=given).records
    return record


def _used(folder: Path) -> np.ndarray:
    return np.asarray(Image.open(folder / "used/a.png")) > 0


SOFT = np.where(HOLE, 1.0, 0.0) * np.linspace(0.4, 1, 60)
"""Strokes whose edge is soft: opaque on the right, less than half at the left."""


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (255, 0, 0)], ids=["white", "black", "red"])
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_the_alpha_of_strokes_of_one_colour_is_the_mask(tmp_path: Path, colour: tuple[int, int, int], suffix: str) -> None:
    path = tmp_path / f"mask.{suffix}"
    Image.fromarray(_layer(colour, SOFT)).save(path, **({"lossless": True, "exact": True} if suffix == "webp" else {}))
    record = _record(tmp_path, path)
    assert (record.status, record.warnings) == ("done", []), record.error
    np.testing.assert_array_equal(_used(tmp_path), SOFT >= 0.5)


def test_the_rounded_colours_of_faint_edges_are_one_brightness(tmp_path: Path) -> None:
    """As programs that multiply colours by their alpha write them."""
    alpha = np.where(HOLE, 1, np.linspace(0, 0.3, 60))
    layer = _layer((90, 90, 90), alpha)
    opacity = layer[:, :, 3:].astype(float)
    layer[:, :, :3] = np.clip(np.rint(np.rint(layer[:, :, :3] * opacity / 255) * 255 / np.maximum(opacity, 1)), 0, 255)
    assert np.ptp(layer[opacity[:, :, 0] > 0, :3].mean(1)) > 30
    Image.fromarray(layer).save(tmp_path / "mask.png")
    record = _record(tmp_path, tmp_path / "mask.png")
    assert record.status == "done", record.error
    np.testing.assert_array_equal(_used(tmp_path), HOLE)


def test_the_colour_of_transparent_pixels_does_not_count(tmp_path: Path) -> None:
    layer = _layer((0, 0, 0), HOLE)
    layer[~HOLE, :3] = np.random.default_rng(0).integers(0, 256, (int((~HOLE).sum()), 3))
    Image.fromarray(layer).save(tmp_path / "mask.png")
    assert _record(tmp_path, tmp_path / "mask.png").status == "done"
    np.testing.assert_array_equal(_used(tmp_path), HOLE)


def test_strokes_of_black_and_white_count_by_their_brightness_times_their_alpha(tmp_path: Path) -> None:
    layer = _layer((255, 255, 255), np.ones(HOLE.shape))
    layer[~HOLE, :3] = 0
    layer[30:35] = (255, 255, 255, 0)
    layer[12:14, :20, 3] = 64
    Image.fromarray(layer).save(tmp_path / "mask.png")
    assert _record(tmp_path, tmp_path / "mask.png").status == "done"
    expected = HOLE.copy()
    expected[12:14, :20] = False
    np.testing.assert_array_equal(_used(tmp_path), expected)


def test_a_constant_alpha_does_not_count(tmp_path: Path) -> None:
    layer = _layer((255, 255, 255), np.full(HOLE.shape, 0.3))
    layer[~HOLE, :3] = 0
    Image.fromarray(layer).save(tmp_path / "mask.png")
    assert _record(tmp_path, tmp_path / "mask.png").status == "done"
    np.testing.assert_array_equal(_used(tmp_path), HOLE)


def test_an_inverted_layer_is_filled_where_it_is_transparent(tmp_path: Path) -> None:
    Image.fromarray(_layer((255, 255, 255), ~HOLE)).save(tmp_path / "mask.png")
    assert _record(tmp_path, tmp_path / "mask.png", invert_masks=True).status == "done"
    np.testing.assert_array_equal(_used(tmp_path), HOLE)


def test_float_layers_are_opaque_at_one(tmp_path: Path) -> None:
    layer = np.dstack([np.zeros((*HOLE.shape, 3)), 0.8 * HOLE]).astype(np.float32)
    tifffile.imwrite(tmp_path / "mask.tif", layer, photometric="rgb", extrasamples=["unassalpha"])
    record = _record(tmp_path, tmp_path / "mask.tif")
    assert record.status == "done", record.error
    np.testing.assert_array_equal(_used(tmp_path), HOLE)


def test_faint_strokes_are_named(tmp_path: Path) -> None:
    Image.fromarray(_layer((255, 255, 255), 0.4 * HOLE)).save(tmp_path / "mask.png")
    record = _record(tmp_path, tmp_path / "mask.png")
    assert record.status == "failed" and "40 % opaque" in record.error and "invert" not in record.error


@pytest.mark.parametrize(
    ("invert", "counted"), [(False, "pixels above half count as missing"), (True, "pixels up to half count as missing")]
)
def test_a_photograph_as_a_mask_is_warned_of(tmp_path: Path, invert: bool, counted: str) -> None:
    ramp = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))
    Image.fromarray(ramp).save(tmp_path / "photo.png")
    (text,) = _record(tmp_path, tmp_path / "photo.png", invert_masks=invert).warnings
    assert "photo.png is no mask of black and white: 78 % of its pixels are gray" in text and counted in text


def test_soft_edges_are_no_photograph(tmp_path: Path) -> None:
    Image.fromarray(np.rint(255 * SOFT).astype(np.uint8)).save(tmp_path / "mask.png")
    record = _record(tmp_path, tmp_path / "mask.png")
    assert (record.status, record.warnings) == ("done", [])


@pytest.mark.parametrize(
    ("options", "advice"),
    [({}, "draw the holes in white, or draw them on the picture and use --mask-color '#ff0000'"),
     ({"invert_masks": True}, "draw what is kept in white")],
)  # fmt: skip
def test_strokes_in_a_dark_colour_are_named(tmp_path: Path, options: dict[str, object], advice: str) -> None:
    Image.fromarray(np.uint8([255, 0, 0]) * HOLE[:, :, None]).save(tmp_path / "mask.png")
    record = _record(tmp_path, tmp_path / "mask.png", **options)
    assert record.status == "failed" and "its brightest colour, #ff0000, counts as 33 % of white" in record.error
    assert advice in record.error and "inverted?" not in record.error
