"""Maps of a picture's error: derived DICOM objects of their own, and PNG or TIFF for other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import tifffile
from dicom_samples import dataset, item, items, save
from PIL import Image
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRBigEndian

from restore.images import error_maps, read
from restore.images.error_maps import MapFormat

MEANING = "expected absolute error"
ERROR = np.linspace(0, 12.3, 40 * 56, dtype=np.float32).reshape(40, 56)
LUT = np.array([0, 10, 20, 65535], np.uint16).tobytes()
STORED = np.arange(40 * 56, dtype=np.uint16).reshape(40, 56)


def _dicom(tmp_path: Path, pixels: np.ndarray = STORED, planes: list[np.ndarray] | None = None, **tags: Any) -> tuple[Path, float]:
    source = save(dataset(pixels, **tags), tmp_path / "a.dcm")
    picture = read(source)
    out = tmp_path / "a.error.dcm"
    steps = error_maps.save(out, planes or [ERROR], MapFormat("dicom", picture.bits, False, picture.frames), MEANING, source, "denoise")
    return out, steps


def test_a_dicom_map_is_an_object_of_its_own(tmp_path: Path) -> None:
    out, _ = _dicom(tmp_path)
    source, ds = pydicom.dcmread(tmp_path / "a.dcm", force=True), pydicom.dcmread(out)
    assert ds.SOPInstanceUID != source.SOPInstanceUID
    assert ds.SeriesInstanceUID != source.SeriesInstanceUID
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert (ds.SOPClassUID, ds.StudyInstanceUID) == (source.SOPClassUID, source.StudyInstanceUID)
    assert ds.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert MEANING in ds.DerivationDescription and "RescaleSlope" in ds.DerivationDescription
    assert ds.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert ds.SeriesDescription == MEANING


@pytest.mark.parametrize("pixels", [STORED, STORED.astype(np.uint8)], ids=["16", "8"])
def test_a_map_of_a_big_endian_object(tmp_path: Path, pixels: np.ndarray) -> None:
    ds = dataset(pixels, RescaleSlope=2, RescaleIntercept=0)
    ds.PixelData = pixels.byteswap().tobytes() if pixels.itemsize == 2 else ds.PixelData
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    source, out = save(ds, tmp_path / "a.dcm"), tmp_path / "a.error.dcm"
    picture = read(source)
    error_maps.save(out, [ERROR], MapFormat("dicom", picture.bits, False, 1), MEANING, source, "denoise")
    made = pydicom.dcmread(out)
    assert np.allclose(made.pixel_array * float(made.RescaleSlope), 2 * ERROR, atol=2 * float(ERROR.max()) / 255)
    assert made.Rows == 40 and MEANING in made.DerivationDescription


def test_another_meaning_has_another_identity_and_the_same_run_the_same(tmp_path: Path) -> None:
    source = save(dataset(STORED), tmp_path / "a.dcm")
    for name, meaning in (("one", MEANING), ("two", "90 % bound"), ("again", MEANING)):
        error_maps.save(tmp_path / name, [ERROR], MapFormat("dicom", 16, False, 1), meaning, source, "denoise")
    one, two = (pydicom.dcmread(tmp_path / name) for name in ("one", "two"))
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert one.SeriesInstanceUID != two.SeriesInstanceUID
    assert (tmp_path / "one").read_bytes() == (tmp_path / "again").read_bytes()


@pytest.mark.parametrize("tags", [{}, {"RescaleSlope": 2, "RescaleIntercept": -1024}])
def test_the_slope_gives_modality_values(tmp_path: Path, tags: dict[str, float]) -> None:
    out, _ = _dicom(tmp_path, **tags)
    ds = pydicom.dcmread(out)
    values = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    np.testing.assert_allclose(values, ERROR * tags.get("RescaleSlope", 1), atol=0.01 * tags.get("RescaleSlope", 1))


@pytest.mark.parametrize(
    "tags",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"WindowCenter": 40, "WindowWidth": 10, "PixelPaddingValue": 0},
        {"VOILUTSequence": items(item(LUTDescriptor=[4, 0, 16], LUTData=LUT))},
        {"ModalityLUTSequence": items(item(LUTDescriptor=[4, 0, 16], LUTData=LUT, ModalityLUTType="US"))},
    ],
)
def test_what_describes_the_source_s_samples_is_gone(tmp_path: Path, tags: dict[str, Any]) -> None:
    out, steps = _dicom(tmp_path, **tags)
    picture, ds = read(out), pydicom.dcmread(out)
    assert ds.PhotometricInterpretation == "MONOCHROME2"
    assert not {"PixelPaddingValue", "VOILUTSequence", "ModalityLUTSequence"} & set(ds.dir())
    shown = picture.frame(0).displayed()[:, :, 0]
    assert shown.argmin() == 0 and shown[-1, -1] == pytest.approx(1, abs=0.02)
    np.testing.assert_array_equal(ds.pixel_array, np.rint(ERROR * steps))


def test_overlays_and_colours_are_gone(tmp_path: Path) -> None:
    colours = np.stack([STORED % 200] * 3, axis=2).astype(np.uint8)
    source = dataset(colours)
    source.add_new(0x60000010, "US", 40)
    path = save(source, tmp_path / "a.dcm")
    error_maps.save(tmp_path / "b", [ERROR], MapFormat("dicom", 8, False, 1), MEANING, path, "denoise")
    ds = pydicom.dcmread(tmp_path / "b")
    assert ds.SamplesPerPixel == 1 and ds.BitsAllocated == 8 and "PlanarConfiguration" not in ds and 0x60000010 not in ds
    assert ds.pixel_array.shape == ERROR.shape


def test_frames_and_functional_groups(tmp_path: Path) -> None:
    shared = items(item(
        PixelValueTransformationSequence=items(item(RescaleSlope=3, RescaleIntercept=0, RescaleType="US")),
        FrameVOILUTSequence=items(item(WindowCenter=50, WindowWidth=20)),
    ))  # fmt: skip
    frames = np.stack([STORED, STORED])
    out, _ = _dicom(
        tmp_path, frames, [ERROR, ERROR / 2], sop_class=EnhancedCTImageStorage, SharedFunctionalGroupsSequence=shared,
        PerFrameFunctionalGroupsSequence=items(item(), item()),
    )  # fmt: skip
    ds = pydicom.dcmread(out)
    (unit,) = ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    assert "RescaleSlope" not in ds
    np.testing.assert_allclose(ds.pixel_array * float(unit.RescaleSlope), np.stack([ERROR, ERROR / 2]) * 3, atol=0.02)
    assert read(out).frames == 2


@pytest.mark.parametrize(("bits", "white"), [(1, 255), (8, 255), (12, 65535), (16, 65535)])
def test_other_formats_get_a_png_of_their_depth(tmp_path: Path, bits: int, white: int) -> None:
    format = MapFormat("png", bits, False, 1)
    assert format.suffix == ".png"
    steps = error_maps.save(tmp_path / "a", [ERROR], format, MEANING, tmp_path / "source", "denoise")
    assert steps == 2.0 ** min(8, int(np.log2(white / 12.3)))
    with Image.open(tmp_path / "a") as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.rint(ERROR * steps))
        assert MEANING in picture.text["Description"] and f"1/{steps:g} of a stored value" in picture.text["Description"]


def test_several_frames_and_floats_get_a_tiff(tmp_path: Path) -> None:
    error_maps.save(tmp_path / "a", [ERROR, ERROR], MapFormat("tiff", 16, False, 2), MEANING, tmp_path / "s", "denoise")
    with tifffile.TiffFile(tmp_path / "a") as file:
        assert len(file.pages) == 2 and MEANING in file.pages[0].description  # type: ignore[union-attr]  # a page
    format = MapFormat("tiff", 32, True, 1)
    assert format.suffix == ".tif"
    assert error_maps.save(tmp_path / "b", [ERROR], format, MEANING, tmp_path / "s", "denoise") == 1
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b"), ERROR)


def test_an_error_larger_than_the_range_is_clipped_and_none_is_zero(tmp_path: Path) -> None:
    steps = error_maps.save(tmp_path / "a", [ERROR * 100], MapFormat("png", 8, False, 1), MEANING, tmp_path / "s", "denoise")
    assert steps == 0.125
    error_maps.save(tmp_path / "b", [ERROR * 0], MapFormat("png", 8, False, 1), MEANING, tmp_path / "s", "denoise")
    with Image.open(tmp_path / "b") as picture:
        assert np.asarray(picture).max() == 0
