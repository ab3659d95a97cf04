"""`restore enhance`: photographs and medical pictures told apart, nothing lost of a file, tables written, the caution recorded."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
import tifffile
import torch
from pydicom.data import get_testdata_file

import restore
from restore import images, weights
from restore.images import read
from restore.inference import display_contrast
from restore.inference.enhancer import Enhancer, GlobalMap
from restore.networks.lut import GAPS, LutNetwork
from restore.pipeline.batch import BatchOptions
from restore.pipeline.chain import Chain
from restore.pipeline.step import Image, ImageInfo
from restore.tasks.enhance import Enhance
from restore.tasks.enhance_training import EnhanceConfig, prepare
from restore.training import config

DATA = Path(__file__).parents[2] / "data"
Make = Callable[..., LutNetwork]
Smooth = Callable[..., np.ndarray]
AGAIN = BatchOptions(overwrite=True)
OFF = {"exposure": 0, "contrast": 0, "local_contrast": 0, "sharpness": 0}
SMALL = {
    "network.widths": "4,8", "network.side": "3", "network.tables": "2", "data.crop": "32", "loop.steps": "2", "loop.batch_size": "2",
    "precision": "fp32",
}  # fmt: skip


@pytest.fixture
def table(own_weights: Path, tiny: Make) -> str:
    """The name of weights that bring the brightest values near to white."""
    network = tiny("lut", 3)
    with torch.no_grad():
        network.head.bias[GAPS - 1 : 3 * GAPS : GAPS] = -3.0
    settings = {"channels": 3, "widths": [4, 8], "side": 3, "tables": 2}
    recipe = {"task": "enhance", "network": "lut", "settings": settings}
    weights.save(own_weights / "table.safetensors", network.state_dict(), recipe)
    return "table"


def bone(smooth: Smooth, bits: int = 12) -> np.ndarray:
    """(96, 120) stored values with weak fine structure, of a narrow part of the range."""
    x = np.arange(120)
    return np.rint((0.3 + 0.3 * smooth(96, 120)[:, :, 0] + 0.01 * np.sin(x / 2)) * (2**bits - 1)).astype(np.uint16)


def radiograph(path: Path, stored: np.ndarray, photometric: str) -> Path:
    """A DICOM file of 12 bits with a window over the whole range, and 4095 for padding."""
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    ds.Rows, ds.Columns = stored.shape
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation, ds.Modality = 12, 11, 0, "DX"
    ds.PhotometricInterpretation, ds.WindowCenter, ds.WindowWidth = photometric, 2048, 4096
    ds.RescaleSlope, ds.RescaleIntercept, ds.PixelData = 1, 0, stored.tobytes()
    del ds.PixelPaddingValue
    ds.add_new("PixelPaddingValue", "US", 4095)
    ds.save_as(path)
    return path


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_all_parts_off_keep_every_bit(table: str, tmp_path: Path, smooth: Smooth, channels: int, bits: int) -> None:
    stored = np.rint(smooth(40, 50, channels) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/a.png"), stored)
    report = restore.run("enhance", tmp_path / "in", tmp_path / "out", weights=table, options=OFF)
    assert report.done == 1
    np.testing.assert_array_equal(images.read(tmp_path / "out/a.png").frame(0).stored, images.read(tmp_path / "in/a.png").frame(0).stored)


def test_tiles_and_precision_change_nothing(table: str, smooth: Smooth) -> None:
    from restore.inference.loading import InferenceOptions
    from restore.runtime import choose

    picture = Image(0.4 * smooth(150, 170, 3))
    results = [
        restore.step("enhance", weights=table, inference=InferenceOptions(choose("cpu", precision), tile))(picture).pixels
        for precision, tile in (("fp32", 0), ("bf16", 64))
    ]
    np.testing.assert_array_equal(*results)


def test_the_bits_of_the_file_are_asked(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(Enhancer, "enhance", lambda self, pixels, *_, eight_bit: asked.append(eight_bit) or (pixels, GlobalMap(), 1.0))
    step = restore.step("enhance", weights=table)
    for levels in (255, 65535, None):
        step(Image(np.random.default_rng(0).random((40, 50, 3), np.float32), info=ImageInfo(levels=levels)))
    assert asked == [True, False, False]


def test_a_medical_picture_is_known_by_its_file_or_its_content(table: str, smooth: Smooth) -> None:
    step = restore.step("enhance", weights=table)
    gray, colour = smooth(96, 120), smooth(96, 120, 3)

    def kind(pixels: np.ndarray, radiograph: bool | None) -> object:
        return step(Image(pixels, info=ImageInfo(radiograph=radiograph))).stats["kind"]

    assert kind(gray, True) == kind(gray, False) == kind(np.repeat(gray, 3, 2), True) == "medical"
    assert kind(colour, None) == kind(colour, False) == "photograph"
    noise = np.random.default_rng(0).random((96, 120, 1), np.float32)
    assert kind(noise, None) == "photograph"

    step = restore.step("enhance", weights=table, options={"content": "radiograph"})
    assert kind(noise, None) == "medical"
    assert kind(colour, None) == "photograph"
    step = restore.step("enhance", weights=table, options={"content": "photograph"})
    assert kind(gray, False) == "medical"
    assert kind(gray, None) == "photograph"


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_dicom_keeps_bits_window_and_padding_and_says_what_it_is_for(
    table: str, tmp_path: Path, smooth: Smooth, photometric: str
) -> None:
    stored = bone(smooth)
    stored[:12, :] = 4095
    source = radiograph(tmp_path / "a.dcm", stored, photometric)
    report = restore.run("enhance", source, tmp_path / "out", weights=table)
    assert report.done == 1, report.records[0].error
    new = pydicom.dcmread(tmp_path / "out/a.dcm")
    assert (new.BitsStored, new.WindowCenter, new.WindowWidth, new.PhotometricInterpretation) == (12, 2048, 4096, photometric)
    assert "restore enhance (for display, not for measurement)" in new.DerivationDescription
    after = new.pixel_array
    assert (after[:12] == 4095).all() and (after[12:] != 4095).all() and after.max() <= 4095
    inside, before = after[13:].astype(float), stored[13:].astype(float)
    assert np.ptp(inside) > 1.5 * np.ptp(before)
    assert np.corrcoef(inside.ravel(), before.ravel())[0, 1] > 0.9  # MONOCHROME1 is not turned over
    assert len(np.unique(inside)) > 0.9 * len(np.unique(before))


def test_a_chain_records_the_caution_once(table: str) -> None:
    steps = [restore.step("enhance", weights=table), restore.step("enhance", weights=table, options=OFF)]
    assert Chain(steps).caution == "for display, not for measurement"
    assert Chain([restore.step("simulate", options={"recipe": "jpeg"})]).caution == ""


def test_tables_are_written_beside(table: str, photos: Callable[..., Path], tmp_path: Path) -> None:
    source = photos(tmp_path / "in", 2, channels=3)
    options = {"save_lut": tmp_path / "luts"}
    report = restore.run("enhance", source, tmp_path / "out", weights=table, options=options)
    assert report.done == 2
    assert sorted(path.name for path in (tmp_path / "luts").iterdir()) == ["0.png.cube", "1.png.cube"]
    assert "LUT_3D_SIZE 33" in (tmp_path / "luts/0.png.cube").read_text()
    again = restore.run("enhance", source, tmp_path / "out", weights=table)
    assert again.skipped == 2, "where a table goes does not change a result"


def test_a_table_that_cannot_be_written_is_reported(table: str, photos: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    options = {"save_lut": tmp_path / "file"}
    report = restore.run("enhance", photos(tmp_path / "in", 1, channels=3), tmp_path / "out", weights=table, options=options)
    assert report.done == 1
    assert "cannot write the lookup table" in report.unwritten[0]


def test_a_step_can_be_pickled(table: str, smooth: Smooth) -> None:
    step, image = restore.step("enhance", weights=table), Image(0.4 * smooth(40, 50, 3))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(step))(image).pixels, step(image).pixels)


def test_weights_of_another_task_are_refused(own_weights: Path, weights_file: Callable[..., Path]) -> None:
    weights_file(own_weights / "noise.safetensors")
    with pytest.raises(ValueError, match="a denoise model; enhance needs an enhance model"):
        restore.step("enhance", weights="noise")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_is_trained_on_faults_and_used_by_its_name(photos: Callable[..., Path], tmp_path: Path, precision: str) -> None:
    source = photos(tmp_path / "in", channels=3)
    dataset_ = prepare(source, config.resolve(EnhanceConfig, None, SMALL)).dataset
    items = [dataset_[index] for index in range(12)]
    same = [torch.equal(item["input"], item["target"]) for item in items]
    assert any(same) and not all(same)
    run = restore.train("enhance", source, overrides=SMALL | {"precision": precision}, out=tmp_path / "run")
    assert run.weights is not None and weights.entry(run.weights).recipe["task"] == "enhance"
    report = restore.run("enhance", source, tmp_path / "out", weights=run.weights)
    assert report.done == 3
    assert images.read(tmp_path / "out/0.png").size == (40, 48)


def test_resumed_equals_straight_bit_for_bit(photos: Callable[..., Path], tmp_path: Path) -> None:
    source = photos(tmp_path / "in", channels=3)
    straight = restore.train("enhance", source, overrides={**SMALL, "loop.steps": "4"}, out=tmp_path / "a")
    restore.train("enhance", source, overrides=SMALL, out=tmp_path / "b")
    resumed = restore.train("enhance", source, overrides={"loop.steps": "4"}, out=tmp_path / "b", resume=True)
    assert straight.weights is not None and resumed.weights is not None
    first, second = (weights.load(run.weights)[0] for run in (straight, resumed))
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture
def film(photograph: Smooth) -> Callable[..., np.ndarray]:
    """Makes 6 frames of one scene in which a bright disc moves along the lowest 24 rows, (6, 96, 120, C) uint16."""

    def make(channels: int = 3, gains: tuple[float, ...] = (1.0,) * 6) -> np.ndarray:
        scene = 0.4 * photograph(96, 120, channels) + np.random.default_rng(0).normal(0, 0.03, (96, 120, channels))
        frames = [gain * scene for gain in gains]
        for index, frame in enumerate(frames):
            cv2.circle(frame, (10 + 18 * index, 84), 5, (0.6,) * channels, -1)
        return np.rint(65535 * np.clip(frames, 0, 1)).astype(np.uint16)

    return make


def enhanced(folder: Path, frames: np.ndarray, weights: str, **options: float) -> tuple[np.ndarray, dict[str, object]]:
    """The restored frames of a TIFF, and the stats."""
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", frames.squeeze(), photometric="rgb" if frames.shape[-1] == 3 else "minisblack")
    report = restore.run("enhance", folder / "a.tif", folder / "out", weights=weights, options=options)
    assert report.done == 1, report.records[0].error
    picture = images.read(folder / "out/a.tif")
    return np.stack([picture.frame(index).stored for index in range(picture.frames)]).reshape(frames.shape), dict(report.records[0].stats)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_still_parts_of_a_film_stay_still(table: str, film: Callable[..., np.ndarray], tmp_path: Path, channels: int) -> None:
    frames = film(channels)
    results, stats = enhanced(tmp_path / "film", frames, table, local_contrast=0, sharpness=0)
    assert np.abs(results[0].astype(float) - frames[0]).mean() > 1000
    assert np.ptp(results[:, :72].astype(int), axis=0).max() == 0
    assert not [name for name, value in stats.items() if isinstance(value, list) and name != "range"]


def test_frames_of_other_exposure_and_other_pages_keep_their_own(table: str, film: Callable[..., np.ndarray], tmp_path: Path) -> None:
    bracket = film(gains=(0.5, 0.5, 1.0, 1.0, 2.0, 2.0))
    other = film()
    other[3] = np.ascontiguousarray(other[3, ::-1, ::-1])  # the samples are 0, 1, 2, 4, 5
    for name, frames, indices in (("bracket", bracket, range(6)), ("other", other, [3])):
        results, _ = enhanced(tmp_path / name, frames, table)
        for index in indices:
            alone, _ = enhanced(tmp_path / f"{name}{index}", frames[index : index + 1], table)
            np.testing.assert_array_equal(results[index], alone[0])


@pytest.mark.parametrize(("drift", "most"), [(0.0, 0), (0.004, 8)])
def test_the_bones_of_a_cine_keep_their_gray_values(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drift: float, most: int
) -> None:
    """Only the curve is looked at: the gains of the bands follow each frame's contrast."""
    monkeypatch.setattr(display_contrast, "_detailed", lambda plane, *_: plane)
    chest = cv2.imread(str(sorted((DATA / "xray/chest").iterdir())[0]), cv2.IMREAD_GRAYSCALE)
    still = 0.2 + 0.5 * cv2.resize(chest, (160, 128), interpolation=cv2.INTER_AREA).astype(np.float32)[None] / 255
    moving, rows, columns = np.mgrid[:6, :128, :160].astype(np.float32)
    moving = 0.15 * np.clip(1 - np.hypot(rows - 116, columns - 26 * moving - 15) / 14, 0, 1)
    frames = np.rint(65535 * (still + moving + drift * np.arange(6)[:, None, None])).astype(np.uint16)
    results, stats = enhanced(tmp_path / "cine", frames[..., None], table)
    assert stats["kind"] == "medical"
    assert np.ptp(results[:, :100].astype(int), axis=0).max() <= most
    assert isinstance(stats["brightness"], float)


def chest() -> np.ndarray:
    """(96, 120, 1) float32, a small radiograph."""
    path = min((Path(__file__).resolve().parents[2] / "data" / "xray" / "chest").iterdir())
    return np.asarray(cv2.resize(read(path).frame(0).normalized(), (120, 96), interpolation=cv2.INTER_AREA)).reshape(96, 120, 1)


def test_alike_frames_are_of_one_kind(table: str, smooth: Smooth) -> None:
    step = restore.step("enhance", weights=table)
    assert isinstance(step, Enhance) and step.unifies
    slices, photographs = (
        [step.analyse(Image(gain * scene, info=ImageInfo(frames=4))) for gain in np.float32((1.0, 0.99, 0.98))]
        for scene in (chest(), np.random.default_rng(0).random((96, 120, 1), np.float32) - 0.5 + chest().mean())
    )
    assert [one.noise is None for one in (*slices, *photographs)] == [False] * 3 + [True] * 3
    image = Image(chest(), info=ImageInfo(frames=4))
    medical = step.unified(photographs[0], [*slices, photographs[1]], image)
    assert medical.noise is slices[1].noise and medical.tones is not None
    shift = np.median(photographs[0].thumbnails[0] - slices[1].thumbnails[0])
    np.testing.assert_allclose(medical.tones.sample, slices[1].tones.sample + shift, atol=1e-6)
    assert step.unified(slices[0], [*photographs, slices[1]], image) is photographs[1]
    coloured = step.analyse(Image(smooth(96, 120, 3), info=ImageInfo(frames=4)))
    assert step.unified(coloured, slices, image) is coloured


def test_a_table_of_the_users_own_stays(table: str, photos: Callable[..., Path], tmp_path: Path) -> None:
    source = photos(tmp_path / "in", 2, channels=3)
    options = {"save_lut": tmp_path / "luts"}
    (tmp_path / "luts").mkdir()
    own = tmp_path / "luts/0.png.cube"
    own.write_text('TITLE "mine"\nLUT_3D_SIZE 2\n')
    for skipped in (0, 2):
        report = restore.run("enhance", source, tmp_path / "out", weights=table, options=options)
        assert report.skipped == skipped
        assert [str(own) in text and "no run of restore made" in text for text in report.unwritten] == [True]
        assert own.read_text().startswith('TITLE "mine"') and (tmp_path / "luts/1.png.cube").is_file()
    own.unlink()
    assert not restore.run("enhance", source, tmp_path / "out", weights=table, options=options, batch=AGAIN).unwritten
    assert own.is_file()


def test_tables_of_an_earlier_version_are_replaced(table: str, photos: Callable[..., Path], tmp_path: Path) -> None:
    source = photos(tmp_path / "in", 1, channels=3)
    options = {"save_lut": tmp_path / "luts"}
    assert restore.run("enhance", source, tmp_path / "out", weights=table, options=options).done == 1
    written = (tmp_path / "luts/0.png.cube").read_text()
    unmarked = "".join(line for line in written.splitlines(keepends=True) if not line.startswith("#"))
    (tmp_path / "luts/0.png.cube").write_text(unmarked)
    report = restore.run("enhance", source, tmp_path / "out", weights=table, options=options)
    assert report.skipped == 1 and not report.unwritten and not report.remarks
    assert not restore.run("enhance", source, tmp_path / "out", weights=table, options=options, batch=AGAIN).unwritten
    assert (tmp_path / "luts/0.png.cube").read_text() == written


def test_pictures_of_one_name_have_tables_of_their_own(table: str, photos: Callable[..., Path], tmp_path: Path) -> None:
    sources = [photos(tmp_path / name, 1, channels=3) for name in ("one", "two")]
    options = {"save_lut": tmp_path / "luts"}
    report = restore.run("enhance", sources, tmp_path / "out", weights=table, options=options)
    names = {record.output.name for record in report.records if record.output}
    assert names == {"0.png", "0-2.png"}
    assert {path.name for path in (tmp_path / "luts").iterdir()} == {f"{name}.cube" for name in names}
    assert restore.run("enhance", sources, tmp_path / "out", weights=table, options=options).skipped == 2


def test_pictures_that_were_done_without_a_table_are_reported(
    table: str, photos: Callable[..., Path], tmp_path: Path, smooth: Smooth
) -> None:
    source = photos(tmp_path / "in", 1, channels=3)
    pages = np.stack([np.rint(90 + (40 + 50 * page) * smooth(40, 50, 3)) for page in range(3)]).astype(np.uint8)
    tifffile.imwrite(source / "film.tif", pages, photometric="rgb", metadata=None)
    radiograph(source / "x.dcm", bone(smooth), "MONOCHROME2")
    assert restore.run("enhance", source, tmp_path / "out", weights=table).done == 3
    options = {"save_lut": tmp_path / "luts"}
    report = restore.run("enhance", source, tmp_path / "out", weights=table, options=options)
    assert report.skipped == 3 and not report.unwritten
    assert "3 done before have no lookup table" in report.remarks[0]
    assert restore.run("enhance", source, tmp_path / "out", weights=table, options=options, batch=AGAIN).done == 3
    names = {"0.png.cube", "film.tif.0.cube", "film.tif.1.cube", "film.tif.2.cube"}
    assert {path.name for path in (tmp_path / "luts").iterdir()} == names
    report = restore.run("enhance", source, tmp_path / "out", weights=table, options=options)
    assert "1 done before" in report.remarks[0]  # the radiograph


def test_runs_that_change_nothing_lack_no_tables(table: str, photos: Callable[..., Path], tmp_path: Path) -> None:
    source = photos(tmp_path / "in", 1, channels=3)
    for done in (1, 0):
        report = restore.run("enhance", source, tmp_path / "out", weights=table, options={**OFF, "save_lut": tmp_path / "luts"})
        assert (report.done, report.skipped) == (done, 1 - done)
