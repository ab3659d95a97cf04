"""Writing DICOM: the source's dataset with new pixels, as a derived object that names its source.

Every element is kept, private ones included, but for: the pixels; SOPInstanceUID (new, derived from the source's and the
settings, so that a rerun gives the same file); ImageType (DERIVED, SECONDARY, then as before); DerivationDescription and
SourceImageSequence (added to); Smallest/LargestImagePixelValue where present; digital signatures (void now, dropped);
IconImageSequence and series are as before. Depth, representation and frames never change; rows, columns and the spacing of the pixels
only where the picture was enlarged, and overlay planes and the pixels' place in the body go with them.
Uncompressed sources keep their transfer syntax; compressed ones become Explicit VR Little Endian. Coloured frames that a
codec transformed are written in the colour model that decoding gives: YBR_RCT and YBR_ICT as RGB, YBR_FULL_422 as
YBR_FULL; uncompressed files can't hold the first two, and halving the third's chroma again would lose some.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    SecondaryCaptureImageStorage,
)
from pydicom.valuerep import DSfloat

from restore.images.dicom_shown import field_of
from restore.images.picture import Note

_LOSSY = (JPEG2000, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
_KEPT_SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
_VOID = ("DigitalSignaturesSequence", "MACParametersSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths")


def write(path: Path, ds: FileDataset, frames: Iterator[np.ndarray], note: Note, photometric: str) -> None:
    """Turn the source's dataset `ds` into the derived object and write it; `photometric` is that of the frames."""
    source = ds.file_meta.TransferSyntaxUID
    syntax = source if source in _KEPT_SYNTAXES else ExplicitVRLittleEndian
    raw = (ds.get_item(tag) for tag in ds.keys())  # noqa: SIM118 (iterating gives elements, and decodes them)
    if not syntax.is_implicit_VR and any(e is not None and e.is_raw and e.VR is None for e in raw):
        for _ in ds.iterall():  # a compressed file that leaves out the types it should give: look them up
            pass
    if ds.preamble is not None and ds.preamble[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        ds.preamble = b"\0" * 128  # a TIFF header whose offsets would now point astray
    if source in _LOSSY and not ds.get("LossyImageCompression"):
        ds.LossyImageCompression = "01"
    if note.scale != 1:
        _refine(ds, note.scale)
    _set_pixels(ds, frames, photometric, big=syntax == ExplicitVRBigEndian, implicit=syntax == ImplicitVRLittleEndian)
    _derive(ds, note)
    for keyword in _VOID:
        if keyword in ds:
            delattr(ds, keyword)
    meta = ds.file_meta
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = ds.get("SOPClassUID") or SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True, overwrite=True)


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


def _refine(ds: FileDataset, scale: float) -> None:
    """Bring in line with pixels `scale` times as fine what is said of their size (PS3.3, 10.7.1.3) and of places among them."""
    groups = [*(ds.get("SharedFunctionalGroupsSequence") or []), *(ds.get("PerFrameFunctionalGroupsSequence") or [])]
    measures = [item for group in groups for item in group.get("PixelMeasuresSequence") or []]
    for part in [ds, *measures]:
        for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
            if part.get(keyword):
                part[keyword].value = [DSfloat(float(value) / scale, auto_format=True) for value in part[keyword].value]
    if ds.get("ImagePositionPatient") and ds.get("ImageOrientationPatient") and ds.get("PixelSpacing"):
        # it is the centre of the first pixel that is told: that of a smaller pixel lies nearer to the picture's corner
        along, down = np.reshape([float(v) for v in ds.ImageOrientationPatient], (2, 3))
        rows, columns = (float(v) for v in ds.PixelSpacing)  # of the finer pixels, already
        moved = np.array([float(v) for v in ds.ImagePositionPatient]) - (scale - 1) / 2 * (along * columns + down * rows)
        ds.ImagePositionPatient = [DSfloat(float(value), auto_format=True) for value in moved]
    for group in {element.tag.group for element in ds if 0x6000 <= element.tag.group <= 0x601E}:
        _refine_overlay(ds, group, scale)


def _refine_overlay(ds: FileDataset, group: int, scale: float) -> None:
    """Enlarge one overlay plane (PS3.3, C.9.2) by the nearest bit; one whose bits lie elsewhere is left as it is."""
    rows, columns, data = (ds.get((group, number)) for number in (0x0010, 0x0011, 0x3000))
    if rows is None or columns is None or data is None:
        return
    height, width = int(rows.value), int(columns.value)
    bits = np.unpackbits(np.frombuffer(data.value, np.uint8), bitorder="little")
    frames = int(ds[group, 0x0015].value) if (group, 0x0015) in ds else 1
    if len(bits) < frames * height * width:
        return
    planes = bits[: frames * height * width].reshape(frames, height, width)
    size = round(height * scale), round(width * scale)
    at = [((np.arange(new) + 0.5) * old / new).astype(np.intp) for new, old in zip(size, (height, width), strict=True)]
    packed = np.packbits(planes[:, at[0][:, None], at[1]], bitorder="little").tobytes()
    rows.value, columns.value = size
    data.value = packed + b"\0" * (len(packed) % 2)
    if (group, 0x0050) in ds:  # the plane's first place, counted from 1
        ds[group, 0x0050].value = [round((value - 1) * scale) + 1 for value in ds[group, 0x0050].value]


def _packed(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) with chroma equal in pairs -> (H, W/2, 4): Y1 Y2 Cb Cr; the mean where a pair was changed apart."""
    pairs = frame.reshape(frame.shape[0], -1, 2, 3)
    chroma = (pairs[:, :, 0, 1:].astype(np.uint32) + pairs[:, :, 1, 1:] + 1) // 2
    return np.concatenate([pairs[..., 0], chroma.astype(frame.dtype)], -1)


def _derive(ds: FileDataset, note: Note) -> None:
    """New identity, and where it comes from."""
    old = str(ds.get("SOPInstanceUID") or "")
    name = "\0".join([old or hashlib.sha256(ds.PixelData).hexdigest(), note.settings, note.description])
    if old and ds.get("SOPClassUID"):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ds.SOPClassUID, old
        purpose = Dataset()
        purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
        purpose.CodeMeaning = "Source image for image processing operation"
        item.PurposeOfReferenceCodeSequence = Sequence([purpose])
        ds.SourceImageSequence = Sequence([item, *(ds.get("SourceImageSequence") or [])])
    ds.SOPInstanceUID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"
    kind = ds.get("ImageType") or []
    kind = [kind] if isinstance(kind, str) else list(kind)
    ds.ImageType = ["DERIVED", "SECONDARY", *kind[2:]]
    said = [str(ds.get("DerivationDescription") or ""), note.description or "restored", note.settings]
    ds.DerivationDescription = "; ".join(t for t in said if t).encode("ascii", "replace").decode()[-1024:]
