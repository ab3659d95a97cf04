"""Small DICOM objects of any kind, made here, and reading them back with pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian

from restore.images import Picture, read
from restore.images.errors import quiet


def dataset(pixels: np.ndarray, *, bits: int | None = None, sop_class: str = CTImageStorage, **tags: Any) -> Dataset:
    """An object of (H, W), (F, H, W), (H, W, 3) or (F, H, W, 3) pixels of 8, 16 or 32 bits, uncompressed."""
    colour = pixels.shape[-1] == 3
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, "1.2.826.0.1.3680043.8.498.4711"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality, ds.ImageType = (
        "1.2.3",
        "1.2.3.4",
        "OT",
        ["ORIGINAL", "PRIMARY"],
    )
    ds.Rows, ds.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        ds.PlanarConfiguration = 0
    if pixels.ndim == (4 if colour else 3):
        ds.NumberOfFrames = len(pixels)
    ds.BitsAllocated = 8 * pixels.dtype.itemsize
    ds.BitsStored = bits or ds.BitsAllocated
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(pixels.dtype.kind == "i")
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OW" if ds.BitsAllocated > 8 else "OB"
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def wrap(ds: Dataset, frames: list[bytes], syntax: str, *, table: bool = True) -> Dataset:
    """Put codestreams in place of the pixels."""
    ds.PixelData = encapsulate(frames, has_bot=table)
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.file_meta.TransferSyntaxUID = syntax
    return ds


def save(ds: Dataset, path: Path) -> Path:
    little = ds.file_meta.TransferSyntaxUID != ExplicitVRBigEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    with quiet:
        ds.save_as(path, implicit_vr=bool(ds.file_meta.TransferSyntaxUID.is_implicit_VR), little_endian=little)
    return path


def item(**tags: Any) -> Dataset:
    ds = Dataset()
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return ds


def items(*datasets: Dataset) -> Sequence:
    return Sequence(datasets)


def unchanged(source: Path, out: Path) -> tuple[Picture, Dataset]:
    """Take a picture through a restorer that changes nothing; the picture, and what pydicom reads of the output."""
    picture = read(source)
    frames = [picture.frame(index) for index in range(picture.frames)]
    picture.save(out, [frame.encode(frame.normalized()) for frame in frames], description="made in a test")
    return picture, pydicom.dcmread(out)


def enlarged(source: Path, out: Path, height: int, width: int, scale: float) -> Dataset:
    """Write every frame with (height, width) pixels; what pydicom reads of the output, whose pixels are checked."""
    picture = read(source)
    frames = [picture.frame(index).resized(height, width).stored for index in range(picture.frames)]
    picture.save(out, frames, description="enlarged in a test", scale=scale)
    ds = pydicom.dcmread(out)
    assert decoded(out).reshape(np.stack(frames).shape).shape == np.stack(frames).shape
    assert (ds.Rows, ds.Columns) == (height, width)
    return ds


def decoded(path: Path, *, raw: bool = False) -> np.ndarray:
    """All pixels of a file as pydicom shows them, colours as RGB unless raw."""
    with quiet:
        return pixel_array(pydicom.dcmread(path, force=True), raw=raw)
