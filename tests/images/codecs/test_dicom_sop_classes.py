"""Which DICOM objects are pictures: labels, doses and maps are refused, objects without pixels are told apart cheaply."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_samples import dataset, item, items, save
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    RTDoseStorage,
    RTPlanStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    SpatialRegistrationStorage,
)

from restore.images import ImageError, read
from restore.images.codecs.dicom.codec import is_without_pixels

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
GRID = (np.arange(24 * 24, dtype=np.uint16) // 96).reshape(24, 24)


@pytest.mark.parametrize(
    ("sop_class", "tags", "said"),
    [
        (LABEL_MAP, {"Modality": "SEG", "SegmentationType": "LABELMAP"}, "label map.*segments"),
        (LABEL_MAP, {"Modality": "OT"}, "label map.*segments"),
        (SegmentationStorage, {"Modality": "SEG", "SegmentationType": "FRACTIONAL"}, "segmentation.*segments"),
        (SecondaryCaptureImageStorage, {"SegmentSequence": items(item(SegmentNumber=1))}, "segmentation.*segments"),
        (RTDoseStorage, {"Modality": "RTDOSE", "DoseGridScaling": "1e-3"}, "dose grid.*doses"),
        (RTDoseStorage, {}, "dose grid.*doses"),
        ("", {"Modality": "RTDOSE"}, "dose grid.*doses"),
        (ParametricMapStorage, {"Modality": "MR"}, "parametric map.*quantities"),
        ("1.2.840.10008.5.1.4.1.1.81.1", {"Modality": "OPM"}, "thickness map.*quantities"),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_labels_doses_and_maps_are_refused(sop_class: str, tags: dict[str, object], said: str, dtype: type, tmp_path: Path) -> None:
    ds = dataset(GRID.astype(dtype), sop_class=sop_class or CTImageStorage, **tags)
    path = tmp_path / "a.dcm"
    if sop_class:
        save(ds, path)
    else:
        del ds.SOPClassUID
        ds.save_as(path, implicit_vr=False, little_endian=True)
    with pytest.raises(ImageError, match=rf"a\.dcm: an? .*{said}"):
        read(path)
    assert is_without_pixels(path) is None, "it has pixels, and a line in the report that says why they stay"


@pytest.mark.parametrize("tags", [{"Modality": "CT"}, {"Modality": "PT"}, {"ImageType": ["DERIVED", "PRIMARY", "ADC"]}])
def test_pictures_of_measurements_stay_pictures(tags: dict[str, object], tmp_path: Path) -> None:
    path = save(dataset(GRID, **tags), tmp_path / "a.dcm")
    assert read(path).frames == 1 and is_without_pixels(path) is None


EMPTY = {
    BasicTextSRStorage: ("SR", "SR"),
    "1.2.840.10008.5.1.4.1.1.88.67": ("SR", "SR"),
    KeyObjectSelectionDocumentStorage: ("KO", "KO"),
    GrayscaleSoftcopyPresentationStateStorage: ("PR", "PR"),
    RTStructureSetStorage: ("RTSTRUCT", "RTSTRUCT"),
    RTPlanStorage: ("RTPLAN", "RTPLAN"),
    EncapsulatedPDFStorage: ("DOC", "PDF"),
    SpatialRegistrationStorage: ("REG", "registration"),
    "1.2.840.10008.5.1.4.1.1.9.1.1": ("ECG", "waveform"),
    "1.2.840.10008.5.1.4.1.1.66": ("OT", "raw data"),
    "1.2.840.10008.5.1.4.1.1.481.18": ("RTRECORD", "RTRECORD"),
}


def _object(sop_class: str, modality: str) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality, ds.PatientName = sop_class, "1.2.3", modality, "A^B"
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


@pytest.mark.parametrize("sop_class", EMPTY)
def test_objects_without_pixels(sop_class: str, tmp_path: Path) -> None:
    modality, kind = EMPTY[sop_class]
    path = save(_object(sop_class, modality), tmp_path / "a")
    assert is_without_pixels(path) == kind
    with pytest.raises(ImageError, match=rf"^a: a DICOM object without pixels \({kind}\)"):
        read(path)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("named", [True, False])
def test_objects_without_preamble_or_class(named: bool, syntax: str, tmp_path: Path) -> None:
    ds = _object(RTPlanStorage, "RTPLAN")
    if not named:
        del ds.SOPClassUID
    path = tmp_path / "a"
    del ds.file_meta
    pydicom.dcmwrite(
        path,
        ds,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=False,
    )
    assert path.read_bytes()[128:132] != b"DICM"
    assert is_without_pixels(path) == "RTPLAN"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"DICM",
        bytes(200),
        bytes(128) + b"DICM",
        bytes(128) + b"DICM" + b"\xff" * 60,
        b"\x08\0\x05\0CS\xff\xff",
        b"GIF89a" * 99,
    ],
)
def test_what_is_damaged_or_not_dicom_is_not_told_apart(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    assert is_without_pixels(path) is None


@pytest.mark.parametrize("cut", [140, 200, 300, 330])
def test_cut_files(cut: int, tmp_path: Path) -> None:
    path = save(_object(BasicTextSRStorage, "SR"), tmp_path / "a")
    path.write_bytes(path.read_bytes()[:cut])
    assert is_without_pixels(path) in (None, "SR")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    assert is_without_pixels(tmp_path / "none") is None and is_without_pixels(tmp_path) is None


def test_only_the_start_of_a_file_is_read(tmp_path: Path) -> None:
    """A report of many megabytes, cut behind its modality, is told like a whole one."""
    ds = _object(BasicTextSRStorage, "SR")
    ds.TextValue = "x" * 5_000_000
    path = save(ds, tmp_path / "a")
    path.write_bytes(path.read_bytes()[:1000])
    assert is_without_pixels(path) == "SR"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("reportsi.dcm", "SR"), ("test-SR.dcm", "SR"), ("rtplan.dcm", "RTPLAN"),
        ("rtplan_truncated.dcm", "RTPLAN"), ("rtstruct.dcm", "RTSTRUCT"), ("waveform_ecg.dcm", "waveform"),
        ("ExplVR_BigEndNoMeta.dcm", "RTPLAN"), ("ExplVR_LitEndNoMeta.dcm", "RTPLAN"), ("DICOMDIR", "DICOMDIR"),
        ("DICOMDIR-bigEnd", "DICOMDIR"), ("DICOMDIR-implicit", "DICOMDIR"),
        ("CT_small.dcm", None), ("MR_truncated.dcm", None), ("rtdose.dcm", None), ("liver_1frame.dcm", None), ("README.txt", None),
    ],
)  # fmt: skip
def test_bundled_files(name: str, kind: str | None) -> None:
    found = get_testdata_file(name, download=False)
    if found is None:
        pytest.skip("this pydicom doesn't bring the file along")
    assert is_without_pixels(Path(str(found))) == kind
