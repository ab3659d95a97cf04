"""Inpainting end to end: mask sources, unchanged pixels, refused inputs, training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import tifffile
import torch
from PIL import Image
from pydicom.data import get_testdata_file

import restore
from restore import images, weights
from restore.api import step
from restore.inference.defect_detector import DefectDetector
from restore.inference.inpainter import Inpainter
from restore.inference.loading import InferenceOptions
from restore.runtime import Runtime
from restore.tasks.inpaint import Inpaint, _color

Make = Callable[..., torch.nn.Module]
Smooth = Callable[..., np.ndarray]


@pytest.fixture
def filler(tiny: Make, tmp_path: Path, tiny_variants: dict[str, dict[str, Any]]) -> Path:
    """Untrained weights that fill holes of gray or colour pictures."""
    path = tmp_path / "filler.safetensors"
    settings = {"channels": 3, **tiny_variants["inpainter"]}
    weights.save(path, tiny("inpainter", 3).state_dict(), {"task": "inpaint", "network": "inpainter", "settings": settings})
    return path


def _eight(picture: np.ndarray) -> np.ndarray:
    return (picture * 255).round().astype(np.uint8)


def _save(path: Path, pixels: np.ndarray, **settings: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels).save(path, **settings)
    return path


def _hole(height: int = 40, width: int = 60) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[10:20, 15:40] = 255
    return mask


def _run(source: Path, out: Path, file: Path, **options: Any) -> restore.pipeline.batch.Report:
    return restore.run("inpaint", source, out, weights=file, options=options, precision="fp32")


def _changed(before: Path, after: Path) -> np.ndarray:
    first, second = (images.read(path).frame(0).stored for path in (before, after))
    apart = first != second
    return np.asarray(apart.any(2) if apart.ndim == 3 else apart)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "bmp", "pgm", "dcm", "16.png", "16.tif"])
def test_outside_the_mask_every_format_keeps_its_bits(filler: Path, tmp_path: Path, smooth: Smooth, suffix: str) -> None:
    source = tmp_path / "in" / f"a.{suffix}"
    source.parent.mkdir()
    size = (40, 60)
    if suffix == "dcm":
        ds = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
        ds.save_as(source)
        size = (ds.Rows, ds.Columns)
    elif suffix.startswith("16"):
        wide = (smooth(*size, 1)[:, :, 0] * 65535).astype(np.uint16)
        if suffix.endswith("tif"):
            tifffile.imwrite(source, wide)
        else:
            Image.fromarray(wide).save(source)
    else:
        _save(source, _eight(smooth(*size, 1 if suffix == "pgm" else 3)), **({"lossless": True} if suffix == "webp" else {}))
    mask = _save(tmp_path / "mask.png", _hole(*size))
    report = _run(source, tmp_path / "out", filler, masks=mask)
    assert not report.failed, report.records[0].error
    changed = _changed(source, tmp_path / "out" / f"a.{suffix}")
    assert changed.any()
    assert not changed[_hole(*size) == 0].any()


def test_masks_are_matched_by_relative_path_and_stem(filler: Path, tmp_path: Path, smooth: Smooth) -> None:
    for name in ("x/a.png", "y/a.png", "b[1].png", "lost.png", "two.png"):
        _save(tmp_path / "in" / name, _eight(smooth(40, 60, 3)))
    for name in ("x/a.bmp", "y/a.png", "b[1].png", "two.png.bmp", "stray.png", "two.bmp", "two.pgm"):
        _save(tmp_path / "masks" / name, _hole() if name != "y/a.png" else _hole()[:, ::-1])
    (tmp_path / "masks" / "two.png.bmp").unlink()
    report = _run(tmp_path / "in", tmp_path / "out", filler, masks=tmp_path / "masks")
    status = {record.input.relative_to(tmp_path / "in").as_posix(): (record.status, record.error) for record in report.records}
    assert [status[name][0] for name in ("x/a.png", "y/a.png", "b[1].png")] == ["done"] * 3
    assert "no mask" in status["lost.png"][1]
    assert "more than one mask" in status["two.png"][1]
    assert any("stray.png" in note for note in report.remarks)
    assert not _changed(tmp_path / "in/y/a.png", tmp_path / "out/y/a.png")[_hole()[:, ::-1] == 0].any()


def test_another_mask_is_another_result_and_the_same_is_done_already(filler: Path, tmp_path: Path, smooth: Smooth) -> None:
    source, mask = _save(tmp_path / "in/a.png", _eight(smooth(40, 60, 3))), tmp_path / "mask.png"
    _save(mask, _hole())
    statuses = []
    for content in (_hole(), _hole(), _hole()[::-1]):
        _save(mask, content)
        statuses.append(_run(source, tmp_path / "out", filler, masks=mask).records[0].status)
    assert statuses == ["done", "skipped", "done"]
    assert not _changed(source, tmp_path / "out/a.png")[_hole()[::-1] == 0].any()


@pytest.mark.parametrize(
    ("mask", "options", "word"),
    [(_hole(40, 61), {}, "61 x 40"), (0 * _hole(), {}, "is empty"), (0 * _hole() + 255, {}, "whole picture"),
     (0 * _hole() + 255, {"invert_masks": True}, "is empty"), (_hole() // 255, {}, "its brightest pixel has 0.39 % of white"),
     (_hole() // 255, {"invert_masks": True}, "its brightest pixel has 0.39 % of white")],
    ids=["size", "empty", "all", "inverted", "ones", "inverted ones"],
)  # fmt: skip
def test_an_invalid_mask_fails_one_picture_only(
    filler: Path, tmp_path: Path, smooth: Smooth, *, mask: np.ndarray, options: dict[str, Any], word: str
) -> None:
    for name in ("a.png", "b.png"):
        _save(tmp_path / "in" / name, _eight(smooth(40, 60, 3)))
    _save(tmp_path / "masks/a.png", mask)
    _save(tmp_path / "masks/b.png", _hole() if not options else 255 - _hole())
    report = _run(tmp_path / "in", tmp_path / "out", filler, masks=tmp_path / "masks", **options)
    bad, good = report.records
    assert (bad.status, good.status) == ("failed", "done")
    assert word in bad.error and "a.png" in bad.error
    assert not (tmp_path / "out/a.png").exists()


def test_a_colour_that_no_pixel_has_is_reported(filler: Path, tmp_path: Path, smooth: Smooth) -> None:
    source = _save(tmp_path / "in/a.png", _eight(0.5 * smooth(40, 60, 3)))
    (record,) = _run(source, tmp_path / "out", filler, mask_color="#ff00ff").records
    assert record.warnings == ["no pixel has the colour #ff00ff: nothing was filled (a larger --mask-tolerance?)"]
    assert not _changed(source, tmp_path / "out/a.png").any()


def test_a_color_is_filled_and_dilated(filler: Path, tmp_path: Path, smooth: Smooth) -> None:
    pixels = _eight(0.5 * smooth(40, 60, 3))
    pixels[10:20, 15:40] = (255, 4, 250)
    source = _save(tmp_path / "in/a.png", pixels)
    assert not _run(source, tmp_path / "out", filler, mask_color="#ff00ff", grow=2).failed
    changed = _changed(source, tmp_path / "out/a.png")
    assert changed[10:20, 15:40].all()
    around = np.zeros_like(changed)
    around[8:22, 13:42] = True
    assert not changed[~around].any()


def test_transparent_pixels_are_filled_and_become_opaque(filler: Path, tmp_path: Path, smooth: Smooth) -> None:
    pixels = np.dstack([_eight(smooth(40, 60, 3)), 255 - _hole()])
    source = _save(tmp_path / "in/a.png", pixels)
    assert not _run(source, tmp_path / "out", filler, alpha=True, grow=0).failed
    output = np.asarray(Image.open(tmp_path / "out/a.png"))
    assert (output[:, :, 3] == 255).all()
    np.testing.assert_array_equal(output[_hole() == 0], pixels[_hole() == 0])
    opaque = _save(tmp_path / "in/b.png", pixels[:, :, :3].copy())
    assert "no alpha" in _run(opaque, tmp_path / "out", filler, alpha=True).records[0].error


def test_detected_masks_can_be_saved_and_reused(filler: Path, tmp_path: Path) -> None:
    pixels = np.full((200, 200, 3), 110, np.uint8)
    pixels[20:180, 90:92] = 240  # a scratch
    source = _save(tmp_path / "in/sub/a.png", pixels)
    first = restore.run(
        "inpaint", tmp_path / "in", tmp_path / "out", weights=filler, options={"scratches": True, "save_masks": tmp_path / "found"},
        precision="fp32",
    )  # fmt: skip
    assert first.records[0].stats["holes"] == 1
    found = np.asarray(Image.open(tmp_path / "found/sub/a.png")) > 0
    assert found[30:170, 90:92].all() and found.mean() < 0.05
    _run(tmp_path / "in", tmp_path / "again", filler, masks=tmp_path / "found")
    assert (tmp_path / "again/sub/a.png").read_bytes() == (tmp_path / "out/sub/a.png").read_bytes()
    assert _changed(source, tmp_path / "out/sub/a.png")[found].any()


def test_a_clean_picture_has_no_scratches_and_stays(filler: Path, tmp_path: Path, smooth: Smooth) -> None:
    source = _save(tmp_path / "in/a.png", _eight(smooth(100, 120, 3)))
    report = _run(source, tmp_path / "out", filler, scratches=True)
    assert report.records[0].status == "done"
    assert (tmp_path / "out/a.png").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("options", "word"),
    [({}, "exactly one"), ({"alpha": True, "scratches": True}, "alpha and scratches"), ({"masks": "nowhere"}, "no such mask"),
     ({"mask_color": "pink"}, "ff00ff"), ({"alpha": True, "method": "magic"}, "telea"), ({"alpha": True, "grow": -1}, "from 0 to 1000"),
     ({"alpha": True, "sensitivity": 2}, "sensitivity"), ({"alpha": True, "sensitivity": 0.5}, "add scratches"),
     ({"alpha": True, "mask_tolerance": 20}, "add mask_color"), ({"alpha": True, "invert_masks": True}, "add masks"),
     ({"alpha": True, "colour": 1}, "no option colour")],
)  # fmt: skip
def test_invalid_combinations_are_refused_at_once(filler: Path, fp32: Runtime, options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        step("inpaint", weights=filler, options=options, inference=InferenceOptions(fp32))


def test_a_method_of_opencvs_needs_no_weights(tmp_path: Path, smooth: Smooth) -> None:
    source, mask = _save(tmp_path / "in/a.png", _eight(smooth(40, 60, 3))), _save(tmp_path / "mask.png", _hole())
    report = restore.run("inpaint", source, tmp_path / "out", options={"masks": mask, "method": "telea"})
    assert not report.failed
    assert report.records[0].stats["method"] == "telea"


def test_opencvs_methods_need_no_weights(fp32: Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights, "shipped_folder", lambda: tmp_path)
    step("inpaint", weights=None, options={"alpha": True, "method": "telea"}, inference=InferenceOptions(fp32))
    with pytest.raises(ValueError, match="inpaint"):
        step("inpaint", weights=None, options={"alpha": True}, inference=InferenceOptions(fp32))
    with pytest.raises(ValueError, match="scratches"):
        step("inpaint", weights=None, options={"scratches": True, "method": "telea"}, inference=InferenceOptions(fp32))


def test_weights_that_find_scratches_are_the_detector(filler: Path, fp32: Runtime, tmp_path: Path) -> None:
    own = tmp_path / "mine.safetensors"
    own.write_bytes((weights.shipped_folder() / "scratches.safetensors").read_bytes())
    chosen = step("inpaint", weights=own, options={"scratches": True}, inference=InferenceOptions(fp32))
    assert isinstance(chosen, Inpaint) and chosen.detector is not None and chosen.entry is not None
    assert (chosen.detector.path, chosen.entry.name) == (own, "inpaint")
    with pytest.raises(ValueError, match="is a scratches model"):
        step("inpaint", weights=own, options={"alpha": True}, inference=InferenceOptions(fp32))


def test_other_weights_called_scratches_are_not_used_as_the_detector(
    filler: Path, fp32: Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "scratches.safetensors").write_bytes(filler.read_bytes())
    monkeypatch.setenv("RESTORE_WEIGHTS", str(own))
    detector_step = step("inpaint", weights=filler, options={"scratches": True}, inference=InferenceOptions(fp32))
    assert isinstance(detector_step, Inpaint) and detector_step.detector is not None
    assert detector_step.detector.path.parent == weights.shipped_folder()
    monkeypatch.setattr(weights, "shipped_folder", lambda: own)  # even there
    with pytest.raises(ValueError, match="rename or remove"):
        step("inpaint", weights=filler, options={"scratches": True}, inference=InferenceOptions(fp32))


def test_colors_are_read_as_on_the_web() -> None:
    np.testing.assert_allclose(_color("#ff8000"), [1, 128 / 255, 0], atol=1e-6)


def test_a_trained_network_is_used_by_name(tmp_path: Path, photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = {
        "network.widths": "8,8,12", "network.dilations": "1,2", "data.crop": "32", "loop.steps": "3", "loop.batch_size": "2",
        "discriminator.width": "4", "losses.perceptual_weight": "0", "loop.workers": "0", "precision": "fp32",
        "discriminator.network": "patchgan", "losses.feature_matching_weight": "1",
    }  # fmt: skip
    run = restore.train("inpaint", photos(tmp_path / "photos"), overrides=small, out=tmp_path / "runs/mine")
    assert run.weights is not None
    assert weights.entry(run.weights).recipe["task"] == "inpaint"
    _save(tmp_path / "mask.png", _hole(*images.read(next((tmp_path / "photos").iterdir())).size))
    report = restore.run("inpaint", tmp_path / "photos", tmp_path / "out", weights="mine", options={"masks": tmp_path / "mask.png"})
    assert {record.status for record in report.records} == {"done"}, [record.error for record in report.records]


def _rgb(seed: int, *holes: tuple[slice, slice]) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 200, (48, 64, 3), dtype=np.uint8)
    for hole in holes:
        pixels[hole] = (255, 0, 255)
    return pixels


def _pages(path: Path, *pages: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as file:
        for page in pages:
            file.write(page, photometric="rgb", metadata=None)
    return path


ONE, TWO = np.s_[10:20, 10:20], np.s_[30:36, 40:52]


@pytest.mark.parametrize(
    "names",
    [("a.png", "a.bmp", "pages.tif"), ("a.bmp", "a.webp", "a.tif"), ("x/b.PNG", "x/B.png", "y/b.tif"), ("1.2.3", "1.2.4", "1.2.tif")],
)
def test_every_saved_mask_has_its_own_file_and_can_be_reused(tmp_path: Path, names: tuple[str, str, str]) -> None:
    """Two pictures of one stem, and one of several pages, the second of which has no hole."""
    first, second, third = (tmp_path / "in" / name for name in names)
    for path, hole in ((first, ONE), (second, TWO)):
        made = _save(path.with_name(f"{path.name}.png"), _rgb(1, hole)) if path.suffix[1:].isdigit() else _save(path, _rgb(1, hole))
        made.rename(path)
    _pages(third, _rgb(2, TWO), _rgb(3), _rgb(4, ONE, TWO))
    telea = {"method": "telea", "grow": 0}
    report = restore.run(
        "inpaint", tmp_path / "in", tmp_path / "out",
        options={"mask_color": "#ff00ff", "mask_tolerance": 0, "save_masks": tmp_path / "masks", **telea},
    )  # fmt: skip
    assert [record.error for record in report.records] == ["", "", ""]
    files = [path for path in (tmp_path / "masks").rglob("*") if path.is_file()]
    assert len(files) == 3
    assert sorted(images.read(path).frames for path in files) == [1, 1, 3]
    again = restore.run("inpaint", tmp_path / "in", tmp_path / "again", options={"masks": tmp_path / "masks", **telea})
    assert [(record.error, record.status) for record in again.records] == [("", "done")] * 3
    assert not again.remarks
    for record, other in zip(report.records, again.records, strict=True):
        assert record.output is not None and other.output is not None
        assert record.output.read_bytes() == other.output.read_bytes()
        assert record.output.read_bytes() != record.input.read_bytes()


def test_masks_of_one_page_serve_all_and_of_other_numbers_none(tmp_path: Path) -> None:
    source = _pages(tmp_path / "in/p.tif", _rgb(2, ONE), _rgb(3, ONE))
    mask = np.zeros((48, 64), np.uint8)
    mask[ONE] = 255
    one = _save(tmp_path / "one.png", mask)
    three = tmp_path / "three.tif"
    tifffile.imwrite(three, np.stack([mask] * 3), photometric="minisblack", metadata=None)
    empty = tmp_path / "empty.tif"
    tifffile.imwrite(empty, np.stack([0 * mask] * 2), photometric="minisblack", metadata=None)
    reports = [
        restore.run("inpaint", source, tmp_path / path.stem, options={"masks": path, "method": "telea"}) for path in (one, three, empty)
    ]
    errors = [report.records[0].error for report in reports]
    assert errors[0] == ""
    assert "3 pages, the picture 2" in errors[1]
    assert "is empty" in errors[2]


@pytest.mark.parametrize(
    ("save", "word"), [("in", "holds inputs"), ("out", "the place of the result"), ("drawn", "holds the masks that are used")]
)
def test_saved_masks_replace_no_input_result_or_mask(photos: Callable[..., Path], tmp_path: Path, save: str, word: str) -> None:
    photos(tmp_path / "in", 2)
    (tmp_path / "drawn").mkdir()
    for path in (tmp_path / "in").iterdir():
        hole = np.zeros(np.asarray(Image.open(path)).shape[:2], np.uint8)
        hole[4:8, 4:8] = 255
        Image.fromarray(hole).save(tmp_path / "drawn" / path.name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    options = {"masks": tmp_path / "drawn", "method": "telea", "grow": 3, "save_masks": tmp_path / save}
    with pytest.raises(ValueError, match=rf"{word}.*--save-masks"):
        restore.run("inpaint", tmp_path / "in", tmp_path / "out", options=options)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.png")} == before


def test_an_edited_mask_is_not_replaced(photos: Callable[..., Path], tmp_path: Path) -> None:
    photos(tmp_path / "in", 2)
    options = {"mask_color": "#000000", "mask_tolerance": 40, "method": "telea", "save_masks": tmp_path / "masks"}
    assert not restore.run("inpaint", tmp_path / "in", tmp_path / "out", options=options).unwritten
    first, second = sorted((tmp_path / "masks").iterdir())
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(first)
    second.unlink()
    report = restore.run("inpaint", tmp_path / "in", tmp_path / "out2", options=options)
    assert [str(first) in text and "no run of restore made" in text for text in report.unwritten] == [True]
    assert np.asarray(Image.open(first)).shape == (4, 4) and second.is_file()
    assert not restore.run("inpaint", tmp_path / "in" / second.name, tmp_path / "out3", options=options).unwritten  # its own: replaced


def test_masks_that_are_missing_are_saved_by_a_rerun(photos: Callable[..., Path], tmp_path: Path) -> None:
    photos(tmp_path / "in", 2)
    (tmp_path / "in/loop.png").symlink_to("loop.png")
    options = {"mask_color": "#000000", "mask_tolerance": 40, "method": "telea"}
    assert restore.run("inpaint", tmp_path / "in", tmp_path / "out", options=options).done == 2
    options |= {"save_masks": tmp_path / "masks"}
    for count in (2, 0):
        report = restore.run("inpaint", tmp_path / "in", tmp_path / "out", options=options)
        assert (report.done, report.skipped, report.failed) == (count, 2 - count, 1)
        assert len(list((tmp_path / "masks").iterdir())) == 2


@pytest.mark.parametrize("kind", ["nan.tif", "nodata.tif", "nan.npy"])
def test_missing_samples_within_the_mask_are_filled(kind: str, smooth: Smooth, tmp_path: Path) -> None:
    heights = 500 + 300 * smooth(80, 96)[:, :, 0]
    mask = np.zeros((80, 96), bool)
    mask[20:30, 20:40] = True
    holed = heights.copy()
    missing = -9999 if kind == "nodata.tif" else np.nan
    holed[mask] = missing
    holed[60:64, 70:80] = missing  # no mask covers it
    (tmp_path / "in").mkdir()
    if kind.endswith("npy"):
        np.save(tmp_path / "in/a.npy", holed)
    else:
        tags = [(42113, "s", 0, "-9999", True)] if kind == "nodata.tif" else []
        tifffile.imwrite(tmp_path / "in/a.tif", holed, extratags=tags)
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    options = {"masks": tmp_path / "mask.png", "method": "telea"}
    (record,) = restore.run("inpaint", tmp_path / "in", tmp_path / "out", options=options).records
    assert record.status == "done" and record.output is not None
    result = np.load(record.output) if kind.endswith("npy") else tifffile.imread(record.output)
    assert np.abs(result[mask] - heights[mask]).max() < 30
    outside = ~mask
    np.testing.assert_array_equal(result[outside], holed[outside])
    if kind != "nodata.tif":
        result = Inpainter(method="telea")(holed / 1000, mask)
        assert np.abs(result[mask] - heights[mask] / 1000).max() < 0.03
        np.testing.assert_array_equal(result[outside], holed[outside] / 1000)


def test_masks_of_pages_of_different_sizes_are_used_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with tifffile.TiffWriter(tmp_path / "in/a.tif") as file:
        for number, (height, width) in enumerate(((80, 96), (60, 64), (70, 50))):
            page = np.full((height, width), 90 + number, np.uint8)
            page[20:24, 10:30] = 255
            file.write(page)
    options = {"mask_color": "#ffffff", "method": "telea", "save_masks": tmp_path / "masks"}
    assert restore.run("inpaint", tmp_path / "in", tmp_path / "one", options=options).done == 1
    report = restore.run("inpaint", tmp_path / "in", tmp_path / "two", options={"masks": tmp_path / "masks", "method": "telea"})
    assert report.done == 1, report.records[0].error
    for number in range(3):
        first, second = (tifffile.imread(tmp_path / out / "a.tif", key=number) for out in ("one", "two"))
        assert np.array_equal(first, second) and second.max() < 100


def test_a_mask_of_other_settings_is_not_taken_for_the_one_that_was_used(tmp_path: Path) -> None:
    _save(tmp_path / "in/a.png", _rgb(1, ONE))
    _pages(tmp_path / "in/b.tif", _rgb(2, TWO), _rgb(3, ONE))
    narrow = {"mask_color": "#ff00ff", "method": "telea"}
    wide = {**narrow, "grow": 6}
    save = {"save_masks": tmp_path / "masks"}
    restore.run("inpaint", tmp_path / "in", tmp_path / "narrow", options={**narrow, **save})
    shutil.copytree(tmp_path / "masks", tmp_path / "before")
    assert restore.run("inpaint", tmp_path / "in", tmp_path / "wide", options=wide).done == 2
    for done in (2, 0):
        report = restore.run("inpaint", tmp_path / "in", tmp_path / "wide", options={**wide, **save})
        assert (report.done, report.skipped) == (done, 2 - done) and not report.unwritten
    for name in ("a.png", "b.tif"):
        before, after = (images.read(tmp_path / folder / name).frame(0).stored for folder in ("before", "masks"))
        assert (after >= before).all() and (after > before).any()


def test_the_mask_of_an_earlier_content_is_written_again(tmp_path: Path) -> None:
    options = {"mask_color": "#ffffff", "method": "telea"}
    for column in (10, 30):
        picture = np.full((40, 50), 90, np.uint8)
        picture[10:14, column : column + 4] = 255
        _save(tmp_path / "in/a.png", picture)
        assert restore.run("inpaint", tmp_path / "in", tmp_path / "out", options=options).done == 1
        restore.run("inpaint", tmp_path / "in", tmp_path / "out", options={**options, "save_masks": tmp_path / "masks"})
        assert np.asarray(Image.open(tmp_path / "masks/a.png"))[12, column + 1] == 255


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_foreign_file_in_the_place_of_a_mask_is_reported_by_every_rerun(tmp_path: Path, suffix: str) -> None:
    page = np.full((48, 64), 90, np.uint8)
    page[10:14, 10:14] = 255
    if suffix == "png":
        _save(tmp_path / "in/a.png", page)
    else:
        tifffile.imwrite(tmp_path / "a.tif", np.stack([page, page]), photometric="minisblack", metadata=None)
        (tmp_path / "in").mkdir()
        (tmp_path / "a.tif").rename(tmp_path / "in/a.tif")
    (tmp_path / "masks").mkdir()
    foreign = tmp_path / f"masks/a.{suffix}"
    foreign.write_text("the user's own file")
    options = {"mask_color": "#ffffff", "method": "telea", "save_masks": tmp_path / "masks"}
    for _ in range(2):
        report = restore.run("inpaint", tmp_path / "in", tmp_path / "out", options=options)
        assert [str(foreign) in text and "no run of restore made" in text for text in report.unwritten] == [True]
        assert not report.failed and foreign.read_text() == "the user's own file"


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"mask_color": "#ffffff"}, "--mask-tolerance"), ({"alpha": True}, "transparent"),
        ({"masks": "hole.png", "grow": 60}, "--grow"), ({"scratches": True}, "--sensitivity"),
    ],
)  # fmt: skip
def test_a_mask_of_everything_is_explained_by_its_source(
    filler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], advice: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DefectDetector, "detect", lambda self, pixels, sensitivity: np.ones(pixels.shape[:2], bool))
    hole = np.zeros((40, 50), np.uint8)
    hole[20, 20] = 255
    _save(tmp_path / "hole.png", hole)
    _save(tmp_path / "in/a.png", np.full((40, 50, 4), 255, np.uint8) * np.uint8([1, 1, 1, 0 if "alpha" in options else 1]))
    (record,) = restore.run("inpaint", "in", "out", weights=filler, options=options).records
    assert "covers the whole picture" in record.error and advice in record.error and "invert" not in record.error


def test_the_message_for_arrays_names_no_flag() -> None:
    with pytest.raises(ValueError, match=r"covers the whole picture") as caught:
        Inpainter(method="telea")(np.zeros((8, 8), np.uint8), np.ones((8, 8), bool))
    assert "--" not in str(caught.value)


def test_the_advice_for_an_inverted_mask_follows_the_option(tmp_path: Path) -> None:
    _save(tmp_path / "in/a.png", np.full((20, 30), 90, np.uint8))
    for value, invert, advice in ((255, False, "--invert-masks"), (0, True, "leave --invert-masks out")):
        _save(tmp_path / "mask.png", np.full((20, 30), value, np.uint8))
        options = {"masks": tmp_path / "mask.png", "invert_masks": invert, "method": "telea"}
        (record,) = restore.run("inpaint", tmp_path / "in", tmp_path / "out", options=options).records
        assert f"is it inverted? {advice}" in record.error
