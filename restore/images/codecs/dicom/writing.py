"""Writing DICOM: the source's dataset with new pixels, as a derived object that names its source.

Every element is kept, private ones included, but for: the pixels; the identity and the history (derived.py);
Smallest/LargestImagePixelValue where present; NumberOfFrames where the pixels hold more frames; elements that header.py
completed; digital signatures (no longer valid, dropped). IconImageSequence and series are as before. Depth, representation and
frames never change; rows and columns only where the picture was enlarged, and all geometry goes with them (geometry.py).
Uncompressed sources keep their transfer syntax; compressed ones become Explicit VR Little Endian, HighBit being where the
decoder puts the samples. Coloured frames that a codec transformed are written in the colour model that decoding gives
(pixels.py): YBR_RCT and YBR_ICT as RGB, YBR_FULL_422 as YBR_FULL; uncompressed files can't hold the first two, and
halving the third's chroma again would lose some. So JPEG of luminance and chroma under a header that says RGB comes out as
YBR_FULL, and a viewer shows the colours that were encoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from restore.images.codecs.dicom.derived import derive, tell_lossy
from restore.images.codecs.dicom.geometry import refine
from restore.images.codecs.dicom.values import field_of
from restore.images.metadata import Provenance

_KEPT_SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
_VOID = ("DigitalSignaturesSequence", "MACParametersSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths")


def write(path: Path, ds: FileDataset, frames: Iterator[np.ndarray], provenance: Provenance, *, photometric: str, source: Path) -> None:
    """Turn the dataset `ds` of the file `source` into the derived object and write it at `path`.

    `photometric` is the colour model of the frames. ImageError as `refine` says.
    """
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax not in _KEPT_SYNTAXES:
        syntax = ExplicitVRLittleEndian
    raw = (ds.get_item(tag) for tag in ds.keys())  # noqa: SIM118 (iterating gives elements, and decodes them)
    if not syntax.is_implicit_VR and any(e is not None and e.is_raw and e.VR is None for e in raw):
        for _ in ds.iterall():  # a compressed file that leaves out the types it should give: look them up
            pass
    if ds.preamble is not None and ds.preamble[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        ds.preamble = b"\0" * 128  # a TIFF header whose offsets would now point astray
    tell_lossy(ds)
    if has_coded_icon(ds):  # it may not be in a file whose own pixels are not coded (PS3.5, A.4)
        del ds.IconImageSequence
    old_size = int(ds.Rows), int(ds.Columns)
    _set_pixels(ds, frames, photometric, big=syntax == ExplicitVRBigEndian, implicit=syntax == ImplicitVRLittleEndian)
    refine(source, ds, old_size)
    derive(ds, provenance)
    for keyword in _VOID:
        if keyword in ds:
            delattr(ds, keyword)
    meta = ds.file_meta
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = ds.get("SOPClassUID") or SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True, overwrite=True)


def has_coded_icon(ds: Dataset) -> bool:
    """Whether the file has a small picture of itself that is compressed."""
    icons = ds.get("IconImageSequence") or []
    return any(bytes(icon.get("PixelData") or b"")[:4] == b"\xfe\xff\x00\xe0" for icon in icons)


def _set_pixels(ds: FileDataset, frames: Iterator[np.ndarray], photometric: str, *, big: bool, implicit: bool) -> None:
    parts: list[bytes] = []
    ends: list[int] = []
    colour = int(ds.get("SamplesPerPixel", 1)) == 3
    native = not ds.file_meta.TransferSyntaxUID.is_encapsulated
    planar = colour and native and int(ds.get("PlanarConfiguration", 0)) == 1
    packed = native and str(ds.PhotometricInterpretation) == "YBR_FULL_422"
    field = field_of(ds)
    for frame in frames:
        values = field.values(frame) if field.bits <= 16 else frame
        ends += [int(values.min()), int(values.max())]
        ds.Rows, ds.Columns = frame.shape[:2]
        packed = packed and not frame.shape[1] % 2  # pairs of pixels share their chroma
        samples = _packed(frame) if packed else np.moveaxis(frame, -1, 0) if planar else frame
        parts.append(samples.astype(samples.dtype.newbyteorder(">" if big else "<"), copy=False).tobytes())
    if colour:
        model = {"YBR_FULL_422": "YBR_FULL", "YBR_RCT": "RGB", "YBR_ICT": "RGB"}.get(photometric, photometric)
        ds.PhotometricInterpretation = "YBR_FULL_422" if packed else model
        ds.PlanarConfiguration = int(planar)
    data = b"".join(parts)
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OW" if implicit or int(ds.BitsAllocated) > 8 else "OB"
    ds["PixelData"].is_undefined_length = False
    for keyword, value in (("SmallestImagePixelValue", min(ends)), ("LargestImagePixelValue", max(ends))):
        if keyword in ds and ds[keyword].VR in ("US", "SS"):
            ds[keyword].value = value


def _packed(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) with chroma equal in pairs -> (H, W/2, 4): Y1 Y2 Cb Cr; the mean where the chroma of a pair differs."""
    pairs = frame.reshape(frame.shape[0], -1, 2, 3)
    chroma = (pairs[:, :, 0, 1:].astype(np.uint32) + pairs[:, :, 1, 1:] + 1) // 2
    return np.concatenate([pairs[..., 0], chroma.astype(frame.dtype)], -1)
