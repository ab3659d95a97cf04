"""Which files of a folder are pictures, by their first bytes."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from restore.images import ImageError, Look, look, read
from restore.images.codecs.dicom.headerless import is_headerless
from restore.images.codecs.dicom.sop_classes import is_without_pixels


def _ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", len(body) + 4) + body + bytes(300)


def _saved(format: str, mode: str = "RGB", **settings: Any) -> bytes:
    file = io.BytesIO()
    shape = (9, 14, 3) if mode == "RGB" else (9, 14)
    Image.fromarray(np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)).save(file, format, **settings)
    return file.getvalue()


def _nifti(magic: bytes) -> bytes:
    return struct.pack("<I", 348) + bytes(340) + magic + bytes(200)


FOREIGN: dict[str, tuple[bytes, str]] = {
    "work.psd": (b"8BPS\0\1" + bytes(300), "PSD"),
    "large.psb": (b"8BPS\0\2" + bytes(300), "PSD"),
    "stars.fits": (b"SIMPLE  =                    T / standard" + b" " * 400, "FITS"),
    "stars": (b"SIMPLE  =                    T" + b" " * 400, "FITS"),
    "sky.hdr": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n" + bytes(300), "Radiance"),
    "sky2.pic": (b"#?RGBE\n" + bytes(300), "Radiance"),
    "brain.img": (_nifti(b"ni1\0"), "NIfTI"),
    "pair.hdr": (struct.pack("<I", 348) + bytes(340) + b"ni1\0", "NIfTI pair"),
    "brain.hdr": (struct.pack("<I", 348) + bytes(400), "Analyze"),
    "q.qoi": (b"qoif" + bytes(100), "QOI"),
    "f.dpx": (b"SDPX" + bytes(300), "DPX"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_pictures_of_other_formats_are_seen_and_told_what_would_help(name: str, tmp_path: Path) -> None:
    content, what = FOREIGN[name]
    path = tmp_path / name
    path.write_bytes(content)
    seen = look(path)
    assert seen.kind == "foreign" and seen.is_picture
    assert what in seen.what
    with pytest.raises(ImageError, match=r"convert|develop|save|export") as caught:
        read(path)
    assert what in str(caught.value) and name in str(caught.value)


RAW: dict[str, bytes] = {
    "DSC_1.NEF": b"MM\0*" + bytes(300),
    "L1.DNG": b"II*\0" + bytes(300),
    "A7.arw": b"II*\0" + bytes(300),
    "K.pef": b"MM\0*" + bytes(300),
    "5D.cr2": b"II*\0\x10\0\0\0CR\2\0" + bytes(300),
    "cr2_renamed.tif": b"II*\0\x10\0\0\0CR\2\0" + bytes(300),
    "R6.CR3": _ftyp(b"crx ", b"isom"),
    "E1.orf": b"IIRO\x08\0\0\0" + bytes(300),
    "G9.rw2": b"IIU\0" + bytes(300),
    "X.raf": b"FUJIFILMCCD-RAW 0201" + bytes(300),
    "text.nef": b"a text of some other program\n",
}


@pytest.mark.parametrize("name", RAW)
def test_camera_raw_is_a_picture(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(RAW[name])
    assert look(tmp_path / name) == Look("picture")
    with pytest.raises(ImageError, match=r"camera raw|it is text"):
        read(tmp_path / name)


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "words")
    return file.getvalue()


OTHER = {
    "notes.txt": b"P1 is the first picture of the series, BM the second.\n",
    "P5 of the list": b"P5 3 apples\n",
    "BM": b"BMW and other cars\n",
    "a.json": json.dumps({"a": [1, 2]}).encode(),
    "a.csv": b"P2,1,2\n3,4,5\n",
    "a.pdf": b"%PDF-1.7\n",
    "a.zip": _zip(),
    "clip.mp4": _ftyp(b"isom", b"mp42"),
    "clip.mov": _ftyp(b"qt  "),
    "clip.avi": b"RIFF\0\0\0\0AVI LIST" + bytes(200),
    "clip.mkv": b"\x1aE\xdf\xa3" + bytes(200),
    "clip.mjpg": b"\xff\xd8\xff\xe0" + bytes(200),
    "Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
    "favicon.ico": b"\0\0\1\0\1\0\x10\x10" + bytes(100),
    ".hidden.png": _saved("PNG"),
    "drawing.svg": b"<svg xmlns='x'></svg>",
    "empty": b"",
    "zeros": bytes(1000),
    "a.bin": b"this is no texture but a letter",
    "a.gz": b"\x1f\x8b\x08" + bytes(300),
    "run.fit": b"\x0e\x10\x43\x08\0\0\0\0.FIT" + bytes(200),
    "table.bin": struct.pack("<8I", 8, 16, 2, 5, 9, 1, 0, 3) * 16,
    "words.bin": struct.pack("<4H", 8, 8, 20, 30) * 50,
}


@pytest.mark.parametrize("name", OTHER)
def test_what_is_no_picture_stays_none(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(OTHER[name])
    assert look(tmp_path / name) == Look("other")


def test_random_bytes_are_hardly_ever_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    assert not any(is_headerless(rng.bytes(512)) for _ in range(20000))
    prefixed = (struct.pack("<HHI", 8, int(rng.integers(0, 0x60)), int(rng.integers(0, 1024))) + rng.bytes(504) for _ in range(20000))
    assert sum(is_headerless(start) for start in prefixed) <= 2


OURS = {
    "photo": ("JPEG", {}),
    "photo.jpg_large": ("JPEG", {}),
    "scan.orig": ("PNG", {}),
    "2024.01.05": ("TIFF", {}),
    "x.img": ("BMP", {}),
    "pic.dat": ("WEBP", {}),
    "p.part": ("PPM", {}),
    "wrong.gif": ("PNG", {}),
    "wrong.heic": ("JPEG", {}),
    "stereo.MPO": ("MPO", {"save_all": True}),
    "rle.TGA": ("TGA", {"compression": "tga_rle"}),
}


@pytest.mark.parametrize("name", OURS)
def test_pictures_with_odd_names_are_pictures(name: str, tmp_path: Path) -> None:
    format, settings = OURS[name]
    (tmp_path / name).write_bytes(_saved(format, **settings))
    assert look(tmp_path / name) == Look("picture")
    assert read(tmp_path / name).size == (9, 14)


@pytest.mark.parametrize("header", [b"P2\n# made by\n3 1\n9\n1 2 3\n", b"P1 2 1 1 0", b"P4\n9 1\n\x0a\x00", b"P6 1 1 255 \x8a\x01\x02"])
def test_portable_maps_are_pictures_by_their_whole_header(header: bytes, tmp_path: Path) -> None:
    (tmp_path / "map").write_bytes(header)
    assert look(tmp_path / "map") == Look("picture")


def _object(uid: str, *, pixels: bool = False) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet, ds.ImageType, ds.SOPClassUID, ds.SOPInstanceUID = "ISO_IR 100", ["ORIGINAL", "PRIMARY"], uid, "1.2.3.4"
    ds.Modality = "OT"
    if pixels:
        ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = 3, 4, 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.PixelRepresentation, ds.PixelData = 7, 0, bytes(12)
        ds["PixelData"].VR = "OB"
    return ds


def _store(path: Path, ds: Dataset, syntax: Any = ExplicitVRLittleEndian, *, header: bool = True) -> Path:
    if header:
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID, ds.file_meta.MediaStorageSOPClassUID = syntax, ds.SOPClassUID
        ds.save_as(path, enforce_file_format=True)
    else:
        little, implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
        pydicom.dcmwrite(path, ds, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    return path


ROOT = "1.2.840.10008."
OBJECTS = {
    "1.3.10": "DICOMDIR", "5.1.4.1.1.88.11": "SR", "5.1.4.1.1.88.33": "SR", "5.1.4.1.1.88.67": "SR", "5.1.4.1.1.88.59": "KO",
    "5.1.4.1.1.11.1": "PR", "5.1.4.1.1.11.4": "PR", "5.1.4.1.1.481.3": "RTSTRUCT", "5.1.4.1.1.481.5": "RTPLAN",
    "5.1.4.1.1.104.1": "PDF", "5.1.4.1.1.9.1.1": "waveform", "5.1.4.1.1.66.1": "registration",
}  # fmt: skip


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("uid", OBJECTS)
def test_dicom_objects_without_pictures_are_told_by_kind(uid: str, syntax: Any, tmp_path: Path) -> None:
    for name in ("a.dcm", "IM1"):
        path = _store(tmp_path / name, _object(ROOT + uid), syntax)
        assert look(path) == Look("object", OBJECTS[uid])
    assert is_without_pixels(_store(tmp_path / "bare", _object(ROOT + uid), syntax, header=False)) == OBJECTS[uid]


@pytest.mark.parametrize("uid", ["2", "1.1", "481.1", "481.2", "66.4", "7", "77.1.6"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("header", [True, False])
def test_dicom_with_pixels_is_a_picture_whatever_it_is_called(uid: str, syntax: Any, *, header: bool, tmp_path: Path) -> None:
    for name in ("IMG.dc3", "i0007.acr", "x.img", "2024.01.05_PA view", "CR.1.2.3.abc", "IM000010", "1.2.840"):
        path = _store(tmp_path / name, _object(f"{ROOT}5.1.4.1.1.{uid}", pixels=True), syntax, header=header)
        assert look(path) == Look("picture"), name
        assert is_without_pixels(path) is None


def test_acr_nema_files_are_seen(tmp_path: Path) -> None:
    """A file of 1985's standard: group 0008 begins with its length, everything implicit."""
    elements = ((0x0000, struct.pack("<I", 60)), (0x0001, struct.pack("<I", 9000)), (0x0010, b"ACR-NEMA 2.0"), (0x0060, b"CT"))
    body = b"".join(struct.pack("<HHI", 8, tag, len(value)) + value for tag, value in elements)
    (tmp_path / "i0007").write_bytes(body + bytes(300))
    assert look(tmp_path / "i0007") == Look("picture")


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_RLE.dcm", "rtdose.dcm", "ExplVR_BigEnd.dcm", "DICOMDIR", "reportsi.dcm", "rtplan.dcm"]
)
def test_pydicoms_own_files(name: str, tmp_path: Path) -> None:
    source = Path(str(get_testdata_file(name)))
    path = tmp_path / "anything"
    path.write_bytes(source.read_bytes())
    kinds = {"DICOMDIR": "DICOMDIR", "reportsi.dcm": "SR", "rtplan.dcm": "RTPLAN"}
    assert look(path) == (Look("object", kinds[name]) if name in kinds else Look("picture"))
