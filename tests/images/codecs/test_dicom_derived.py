"""What a written DICOM object says of its history: types, text in its character set, lossy compressions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_samples import dataset, decoded, item, items, save, unchanged, wrap
from pydicom.dataset import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from restore.images import read

_random = np.random.default_rng(88)
GRAY = (np.add.outer(np.arange(40), np.arange(56)) * 2 + _random.integers(0, 9, (40, 56))).astype(np.uint8)


def described(source: Path, out: Path, description: str, settings: str = "") -> Dataset:
    picture = read(source)
    frames = [picture.frame(index).stored for index in range(picture.frames)]
    picture.save(out, frames, description=description, settings=settings)
    return pydicom.dcmread(out)


@pytest.mark.parametrize(
    ("sop_class", "sequence", "kind"),
    [
        (EnhancedCTImageStorage, "CTImageFrameTypeSequence", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]),
        (EnhancedMRImageStorage, "MRImageFrameTypeSequence", ["MIXED", "PRIMARY", "T1", "NONE"]),
        ("1.2.840.10008.5.1.4.1.1.13.1.3", "XRay3DFrameTypeSequence", ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"]),
    ],
)
@pytest.mark.parametrize("shared", [True, False])
def test_frame_types_become_derived(sop_class: str, sequence: str, kind: list[str], shared: bool, tmp_path: Path) -> None:
    ds = dataset(np.stack([GRAY, GRAY // 2]), sop_class=sop_class, ImageType=kind)

    def group() -> Dataset:
        return item(**{sequence: items(item(FrameType=["ORIGINAL", *kind[1:]], VolumetricProperties="VOLUME"))})

    ds.SharedFunctionalGroupsSequence = items(group() if shared else Dataset())
    ds.PerFrameFunctionalGroupsSequence = items(*(Dataset() if shared else group() for _ in range(2)))
    _, new = unchanged(save(ds, tmp_path / "a.dcm"), tmp_path / "out")
    assert list(new.ImageType) == ["DERIVED", *kind[1:]], "the second value of enhanced objects is PRIMARY, always"
    groups = new.SharedFunctionalGroupsSequence if shared else new.PerFrameFunctionalGroupsSequence
    for found in groups:
        assert list(found[sequence].value[0].FrameType) == ["DERIVED", *kind[1:]]
        assert found[sequence].value[0].VolumetricProperties == "VOLUME"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, ["DERIVED", "SECONDARY"]),
        (["ORIGINAL"], ["DERIVED", "SECONDARY"]),
        (["ORIGINAL", "PRIMARY", "M", "SE"], ["DERIVED", "SECONDARY", "M", "SE"]),
    ],
)
def test_image_types(old: list[str] | None, new: list[str], tmp_path: Path) -> None:
    ds = dataset(GRAY, ImageType=old)
    if old is None:
        del ds.ImageType
    assert list(unchanged(save(ds, tmp_path / "a.dcm"), tmp_path / "out")[1].ImageType) == new


@pytest.mark.parametrize(
    ("charset", "old", "text", "expected"),
    [
        ("ISO_IR 100", "Gefäß geglättet", "entrauscht für Müller", "entrauscht für Müller"),
        ("ISO_IR 192", "сглажено, 平滑", "x2 größer → 平滑", "x2 größer → 平滑"),
        ("ISO_IR 144", "сглажено", "ещё раз", "ещё раз"),
        ("ISO_IR 144", "сглажено", "größer ×2 平", "großer x2 ?".replace("ß", "?")),
        (None, "plain", "für ×2", "fur x2"),
        ("ISO_IR 6", "plain", "déjà", "deja"),
        (["", "ISO 2022 IR 87"], "plain", "平滑", "平滑"),
    ],
)
def test_text_is_in_the_files_character_set(charset: Any, old: str, text: str, expected: str, tmp_path: Path) -> None:
    ds = dataset(GRAY, DerivationDescription=old)
    if charset:
        ds.SpecificCharacterSet = charset
    new = described(save(ds, tmp_path / "a.dcm"), tmp_path / "out", text, "strength=1")
    assert new.DerivationDescription == f"{old}; {expected}; strength=1"
    assert new.get("SpecificCharacterSet") == charset or list(new.SpecificCharacterSet) == charset


def test_text_of_a_file_that_names_no_character_set_keeps_its_bytes(tmp_path: Path) -> None:
    source = save(dataset(GRAY, DerivationDescription="Gef@ss"), tmp_path / "a.dcm")
    source.write_bytes(source.read_bytes().replace(b"Gef@ss", "Gefäss".encode("latin-1")))
    described(source, tmp_path / "out", "done")
    assert "Gefäss; done".encode("latin-1") in (tmp_path / "out").read_bytes()


@pytest.mark.parametrize(("old", "new"), [(1000, 20), (1024, 500), (10, 1020), (10, 1500), (0, 3000), (900, 122)])
def test_the_newest_text_is_kept(old: int, new: int, tmp_path: Path) -> None:
    was, text = ("ä" * old), "".join(chr(97 + at % 26) for at in range(new))
    ds = dataset(GRAY, SpecificCharacterSet="ISO_IR 192", DerivationDescription=was)
    found = described(save(ds, tmp_path / "a.dcm"), tmp_path / "out", text).DerivationDescription
    assert len(found) <= 1024 and text[:1024] in found
    if old and new < 1020:
        assert found.endswith(f"; {text}") and len(found) == min(1024, old + 2 + new) and set(found[: -new - 2]) == {"ä"}


def test_many_runs_keep_the_last(tmp_path: Path) -> None:
    source = save(dataset(GRAY), tmp_path / "0")
    for run in range(1, 40):
        new = described(tmp_path / str(run - 1), tmp_path / str(run), f"run {run:03d} " + "x" * 50)
    assert source.exists() and new.DerivationDescription.endswith("run 039 " + "x" * 50)
    assert "run 038" in new.DerivationDescription and len(new.DerivationDescription) == 1024


def test_enlarging_is_coded(tmp_path: Path) -> None:
    code = item(CodeValue="113040", CodingSchemeDesignator="DCM", CodeMeaning="Lossy Compression")
    source = save(dataset(GRAY, DerivationCodeSequence=items(code)), tmp_path / "a.dcm")
    picture = read(source)
    picture.save(tmp_path / "out", [picture.frame(0).resized(80, 112).stored], scale=2)
    codes = [(c.CodeValue, c.CodingSchemeDesignator, c.CodeMeaning) for c in pydicom.dcmread(tmp_path / "out").DerivationCodeSequence]
    assert codes == [("113040", "DCM", "Lossy Compression"), ("113085", "DCM", "Spatial resampling")]


def lossy(syntax: str) -> Dataset:
    data = {
        JPEGBaseline8Bit: lambda: imagecodecs.jpeg8_encode(GRAY, level=80),
        JPEGLSNearLossless: lambda: imagecodecs.jpegls_encode(GRAY, level=3),
        JPEG2000: lambda: imagecodecs.jpeg2k_encode(GRAY, codecformat="j2k", reversible=False, level=40),
    }[syntax]()
    return wrap(dataset(GRAY), [bytes(data)], syntax)


METHODS = {JPEGBaseline8Bit: "ISO_10918_1", JPEGLSNearLossless: "ISO_14495_1", JPEG2000: "ISO_15444_1"}


def said(ds: Dataset) -> tuple[Any, list[float], list[str]]:
    ratios, methods = (ds.get(f"LossyImageCompression{kind}") for kind in ("Ratio", "Method"))
    several = [[] if v is None else [v] if isinstance(v, str | float) else list(v) for v in (ratios, methods)]
    return ds.get("LossyImageCompression"), [float(v) for v in several[0]], [str(v) for v in several[1]]


@pytest.mark.parametrize("syntax", METHODS)
@pytest.mark.parametrize("before", ["missing", "empty", "00"])
def test_lossy_compression_is_told(syntax: str, before: str, tmp_path: Path) -> None:
    ds = lossy(syntax)
    if before != "missing":
        ds.LossyImageCompression = "" if before == "empty" else before
    size = len(ds.PixelData)
    _, new = unchanged(save(ds, tmp_path / "a.dcm"), tmp_path / "out")
    flag, ratios, methods = said(new)
    assert (flag, methods) == ("01", [METHODS[syntax]])
    assert len(ratios) == 1 and np.isclose(ratios[0], GRAY.size / size, rtol=2e-3)
    assert np.array_equal(decoded(tmp_path / "out"), decoded(tmp_path / "a.dcm"))


@pytest.mark.parametrize(
    ("ratios", "methods", "expected_ratios", "expected_methods"),
    [
        ([12.5], ["ISO_10918_1"], [12.5], ["ISO_10918_1"]),
        ([9, 12.5], ["ISO_15444_1", "ISO_10918_1"], [9, 12.5], ["ISO_15444_1", "ISO_10918_1"]),
        ([12.5], [], [12.5], ["ISO_10918_1"]),
        ([], [], [None], ["ISO_10918_1"]),
        ([], ["ISO_10918_1"], [None], ["ISO_10918_1"]),
        ([9], ["ISO_14495_1"], [9, None], ["ISO_14495_1", "ISO_10918_1"]),
        ([9, 12.5], ["ISO_14495_1"], [9, 12.5], ["ISO_14495_1", "ISO_10918_1"]),
        ([9, 12.5], [], [9, 12.5], []),
        ([7], ["OURS"], [7], ["OURS"]),
    ],
)
def test_earlier_compressions_stay_in_order(
    ratios: list[float],
    methods: list[str],
    expected_ratios: list[float | None],
    expected_methods: list[str],
    tmp_path: Path,
) -> None:
    ds = lossy(JPEGBaseline8Bit)
    ds.LossyImageCompression = "01"
    if ratios:
        ds.LossyImageCompressionRatio = ratios
    if methods:
        ds.LossyImageCompressionMethod = methods
    own = float(f"{GRAY.size / len(ds.PixelData):.4g}")
    _, new = unchanged(save(ds, tmp_path / "a.dcm"), tmp_path / "out")
    assert said(new) == ("01", [own if v is None else v for v in expected_ratios], expected_methods)
    _, again = unchanged(tmp_path / "out", tmp_path / "again")
    assert said(again) == said(new), "uncompressed now, but lossy once"


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless])
def test_what_lost_nothing_is_not_called_lossy(syntax: str | None, tmp_path: Path) -> None:
    ds = dataset(GRAY)
    if syntax:
        ds.compress(syntax, generate_instance_uid=False)
    assert said(unchanged(save(ds, tmp_path / "a.dcm"), tmp_path / "out")[1]) == (None, [], [])


@pytest.mark.parametrize("syntax", [JPEG2000, JPEGLSNearLossless])
def test_a_codestream_that_proves_the_header_right(syntax: str, tmp_path: Path) -> None:
    """These syntaxes may also lose nothing; a header that says so is believed if the codestream agrees."""
    if syntax == JPEG2000:
        data = imagecodecs.jpeg2k_encode(GRAY, codecformat="j2k", reversible=True, level=0)
    else:
        data = imagecodecs.jpegls_encode(GRAY, level=0)
    ds = wrap(dataset(GRAY), [bytes(data)], syntax)
    ds.LossyImageCompression = "00"
    _, new = unchanged(save(ds, tmp_path / "a.dcm"), tmp_path / "out")
    assert said(new) == ("00", [], []) and np.array_equal(decoded(tmp_path / "out"), GRAY)


def test_high_throughput_jpeg_2000(tmp_path: Path) -> None:
    encode = getattr(imagecodecs, "htj2k_encode", None)
    if encode is None or not imagecodecs.HTJ2K.available:
        pytest.skip("no encoder")
    ds = wrap(dataset(GRAY), [bytes(encode(GRAY, reversible=False))], HTJ2K)
    _, new = unchanged(save(ds, tmp_path / "a.dcm"), tmp_path / "out")
    assert said(new)[2] == ["ISO_15444_15"]


def test_the_source_is_named(tmp_path: Path) -> None:
    ds = dataset(GRAY, sop_class=CTImageStorage)
    _, new = unchanged(save(ds, tmp_path / "a.dcm"), tmp_path / "out")
    assert new.SourceImageSequence[0].ReferencedSOPInstanceUID == ds.SOPInstanceUID
    assert new.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
