r"""What a derived DICOM object says of itself: its identity, where it comes from, and what its pixels went through.

- SOPInstanceUID: new, derived from the source's and the settings, so that a rerun gives the same file.
- ImageType: DERIVED\SECONDARY, then as before. Objects with functional groups: DERIVED, then as before, and the same for
  FrameType in every group; their second value has to stay PRIMARY (C.8.16.1).
- SourceImageSequence: the source is put first. DerivationCodeSequence: spatial resampling where the picture was enlarged;
  the standard has no code for the removal of noise or scratches, and none is invented.
- DerivationDescription: added to, in the file's own character set (ASCII where it names none). Of more than the 1,024
  characters that the element holds the oldest are dropped.
- LossyImageCompression: 01, with ratio and method, where the source was in a lossy transfer syntax and did not say so
  itself. What it says of earlier compressions stays, in order.
"""

from __future__ import annotations

import hashlib
import unicodedata
import uuid
from collections.abc import Iterator

from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import get_frame
from pydicom.sequence import Sequence
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)
from pydicom.valuerep import DSfloat

from restore.images.metadata import Provenance

_LONGEST = 1024
_METHODS: dict[UID, str] = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
    JPEG2000: "ISO_15444_1",
    HTJ2K: "ISO_15444_15",
}
"""Lossy transfer syntaxes, and the names of their methods (C.7.6.1.1.5.1)."""


def derive(ds: FileDataset, provenance: Provenance) -> None:
    """Give the dataset a new identity, and say where it comes from."""
    old = str(ds.get("SOPInstanceUID") or "")
    name = "\0".join([old or hashlib.sha256(ds.PixelData).hexdigest(), provenance.settings, provenance.description])
    if old and ds.get("SOPClassUID"):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ds.SOPClassUID, old
        item.PurposeOfReferenceCodeSequence = _code("121322", "Source image for image processing operation")
        ds.SourceImageSequence = Sequence([item, *(ds.get("SourceImageSequence") or [])])
    ds.SOPInstanceUID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"
    if provenance.scale != 1:
        codes = _code("113085", "Spatial resampling")
        ds.DerivationCodeSequence = Sequence([*(ds.get("DerivationCodeSequence") or []), *codes])
    _types(ds)
    new = "; ".join(text for text in (provenance.description or "restored", provenance.settings) if text)
    ds.DerivationDescription = _description(str(ds.get("DerivationDescription") or ""), _encodable(new, ds))


def _code(value: str, meaning: str) -> Sequence:
    """A code of DICOM's own (PS3.16, annex D)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return Sequence([item])


def _types(ds: FileDataset) -> None:
    kind = _values(ds, "ImageType")
    frames = [item for item in _frame_types(ds) if "FrameType" in item]
    second = (kind[1:2] or ["PRIMARY"]) if frames else ["SECONDARY"]
    ds.ImageType = ["DERIVED", *second, *kind[2:]]
    for item in frames:
        item.FrameType = ["DERIVED", *(_values(item, "FrameType")[1:] or ["PRIMARY"])]


def _frame_types(ds: Dataset) -> Iterator[Dataset]:
    """The items of functional groups that may say of which type frames are."""
    for sequence in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in ds.get(sequence) or []:
            for element in group:
                if element.VR == "SQ" and element.keyword.endswith("FrameTypeSequence"):
                    yield from element.value


def _values(ds: Dataset, keyword: str) -> list[str]:
    """The values of an element that may have one, several or none."""
    value = ds.get(keyword)
    if value is None or value == "":
        return []
    return [str(value)] if isinstance(value, str | float) else [str(part) for part in value]


def _encodable(text: str, ds: Dataset) -> str:
    """The text in the file's character set: "u" for an umlaut that it lacks, else a question mark."""
    named = [part for part in _values(ds, "SpecificCharacterSet") if part not in ("", "ISO_IR 6", "ISO 2022 IR 6")]
    encodings = convert_encodings(_values(ds, "SpecificCharacterSet")) if named else ["ascii"]
    return "".join(char if any(_holds(encoding, char) for encoding in encodings) else _plain(char) for char in text)


def _plain(char: str) -> str:
    return unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode() or {"×": "x"}.get(char, "?")


def _holds(encoding: str, char: str) -> bool:
    try:
        char.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _description(old: str, new: str) -> str:
    """Both texts in one element. What is too long loses the start of the old text, then the end of the new one."""
    if not old or len(new) >= _LONGEST - 2:
        return new[:_LONGEST]
    return f"{old[-(_LONGEST - len(new) - 2) :]}; {new}"


def tell_lossy(ds: FileDataset) -> None:
    """Record that the pixels were compressed with loss; the dataset still has its encoded pixels and transfer syntax."""
    syntax = ds.file_meta.TransferSyntaxUID
    method = _METHODS.get(syntax)
    if method is None or (ds.get("LossyImageCompression") == "00" and _reversible(ds)):
        return
    methods = _values(ds, "LossyImageCompressionMethod")
    ratios = [float(value) for value in _values(ds, "LossyImageCompressionRatio")]
    marked_lossy = ds.get("LossyImageCompression") == "01"
    ds.LossyImageCompression = "01"
    if marked_lossy and methods and (methods[-1] == method or methods[-1] not in _METHODS.values()):
        steps = len(methods)  # the last one is that of this file
    elif marked_lossy and not methods and len(ratios) > 1:
        return  # which of them have the methods that are not named, nobody can tell
    else:
        methods.append(method)
        steps = len(methods)
    if len(ratios) == steps - 1:
        ratios.append(_ratio(ds))
    ds.LossyImageCompressionMethod = methods
    if ratios:
        ds.LossyImageCompressionRatio = [DSfloat(value, auto_format=True) for value in ratios]


def _ratio(ds: FileDataset) -> float:
    """The compression ratio, to about three digits."""
    frames = max(1, int(ds.get("NumberOfFrames") or 1))
    size = int(ds.Rows) * int(ds.Columns) * int(ds.SamplesPerPixel) * (int(ds.BitsAllocated) // 8) * frames
    return float(f"{size / max(1, len(ds.PixelData)):.4g}")


def _reversible(ds: FileDataset) -> bool:
    """Whether the first frame's codestream is lossless, where the transfer syntax allows both."""
    syntax = ds.file_meta.TransferSyntaxUID
    frame = get_frame(ds.PixelData, 0, number_of_frames=max(1, int(ds.get("NumberOfFrames") or 1)))
    if syntax in (JPEG2000, HTJ2K):
        at = frame.find(b"\xff\x52")  # the coding style; its last byte but for precincts names the wavelet
        return at >= 0 and frame[at + 13 : at + 14] == b"\x01"
    if syntax == JPEGLSNearLossless:
        at = frame.find(b"\xff\xda")
        parts = frame[at + 4] if 0 <= at < len(frame) - 4 else 0
        return at >= 0 and frame[at + 5 + 2 * parts : at + 6 + 2 * parts] == b"\0"
    return False
