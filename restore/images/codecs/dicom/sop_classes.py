"""Which DICOM objects are pictures: by SOP class, and by modality where the class is missing.

Three kinds are told apart. Most storage classes hold pictures. Others hold no pixels at all (reports, plans, structure sets,
presentation states, documents, waveforms); a study's export is full of them. The rest hold pixels whose values are not
brightness: labels, doses and measurements. What lies between two labels is no label, and a dose that was smoothed is a
wrong dose, so `not_a_picture` refuses these.
"""

from __future__ import annotations

import struct
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset
from pydicom.tag import BaseTag

from restore.images.codecs.dicom.deflated import opened
from restore.images.codecs.dicom.header import as_dicom_error
from restore.images.errors import ImageError

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_WITHOUT_PIXELS = {
    "1.2.840.10008.1.3.10": "DICOMDIR",
    _STORAGE + "4.2": "spectroscopy",
    _STORAGE + "8.": "overlay",
    _STORAGE + "9.": "waveform",
    _STORAGE + "10.": "LUT",
    _STORAGE + "11.": "PR",
    _STORAGE + "66": "raw data",
    _STORAGE + "66.1": "registration",
    _STORAGE + "66.2": "registration",
    _STORAGE + "66.3": "registration",
    _STORAGE + "66.5": "surface",
    _STORAGE + "66.6": "tractography",
    _STORAGE + "67": "value mapping",
    _STORAGE + "68.": "surface",
    _STORAGE + "77.1.5.3": "stereometric relationship",
    _STORAGE + "78.": "measurement",
    _STORAGE + "79.": "measurement",
    _STORAGE + "80.": "measurement",
    _STORAGE + "88.": "SR",
    _STORAGE + "88.59": "KO",
    _STORAGE + "90.": "assessment",
    _STORAGE + "91.": "annotation",
    _STORAGE + "104.": "model",
    _STORAGE + "104.1": "PDF",
    _STORAGE + "104.2": "CDA",
    _STORAGE + "129.": "curve",
    _STORAGE + "131.": "structured display",
    _STORAGE + "200.": "protocol",
    _STORAGE + "201.": "inventory",
    _STORAGE + "481.3": "RTSTRUCT",
    _STORAGE + "481.4": "RTRECORD",
    _STORAGE + "481.5": "RTPLAN",
    _STORAGE + "481.6": "RTRECORD",
    _STORAGE + "481.7": "RTRECORD",
    _STORAGE + "481.8": "RTPLAN",
    _STORAGE + "481.9": "RTRECORD",
    **{_STORAGE + f"481.{number}": "RT" for number in (10, 11, 12, 13, 14, 15, 21, 22, 25)},
    **{_STORAGE + f"481.{number}": "RTRECORD" for number in (16, 17, 18, 19, 20)},
    "1.2.840.10008.5.1.4.34.": "RT",
    "1.2.840.10008.5.1.4.38.": "protocol",
    "1.2.840.10008.5.1.4.39.": "palette",
    "1.2.840.10008.5.1.4.43.": "implant",
    "1.2.840.10008.5.1.4.44.": "implant",
    "1.2.840.10008.5.1.4.45.": "implant",
}
"""What SOP classes hold (PS3.4, B.5 and I.4). A UID that ends in a dot stands for itself and all classes below it."""

_MODALITIES = {
    "SR": "SR",
    "PR": "PR",
    "KO": "KO",
    "DOC": "document",
    "RTSTRUCT": "RTSTRUCT",
    "RTPLAN": "RTPLAN",
    "RTRECORD": "RTRECORD",
    "REG": "registration",
    "FID": "registration",
    "ECG": "waveform",
    "HD": "waveform",
    "EPS": "waveform",
    "RESP": "waveform",
    "EEG": "waveform",
    "AU": "waveform",
    "PLAN": "RTPLAN",
}
"""Modalities of objects without pixels, for files that name no SOP class."""

_LABELS = "its pixels are the numbers of segments, not brightness: restore would invent labels; leave it as it is"
_MEASURED = "its pixels are measured or computed quantities, not brightness; restore the pictures that it was made from"
_DOSE = "its pixels are doses, not brightness; restore the pictures of the same study and leave the dose as it is"
_NO_PICTURES = {
    _STORAGE + "30": ("a parametric map", _MEASURED),
    _STORAGE + "66.4": ("a segmentation", _LABELS),
    _STORAGE + "66.7": ("a label map", _LABELS),
    _STORAGE + "66.8": ("a height map segmentation", _LABELS),
    _STORAGE + "81.1": ("an eye's thickness map", _MEASURED),
    _STORAGE + "82.1": ("a map of the cornea", _MEASURED),
    _STORAGE + "481.2": ("a dose grid", _DOSE),
}

_LAST_LOOKED_AT = 0x00080060


def sniff(start: bytes) -> bool:
    """The mark after the preamble, or a first element of the group 0002 or 0008."""
    if start[128:132] == b"DICM":
        return True
    if len(start) < 16:
        return False
    for order in "<>":
        group, element, length = struct.unpack_from(order + "HHI", start)
        explicit = start[4:6].isalpha() and start[4:6].isupper()
        if group in (2, 8) and element <= 0x0060 and (explicit or (order == "<" and length <= 1024)):
            return True
    return False


def is_without_pixels(path: Path) -> str | None:
    """What a DICOM file holds instead of a picture, in a word or two ("SR", "RTPLAN", "DICOMDIR", "waveform", "raw data").

    Only the start of the header is read, up to Modality. None for a picture (even without its pixels), for labels and doses (which `read`
    refuses by name), for files that are not DICOM, and for files that cannot be read.
    """
    try:
        with path.open("rb") as file:
            if not sniff(file.read(512)):
                return None
        with as_dicom_error(path), opened(path, _beyond) as (ds, _):
            return _empty_kind(ds)
    except (ImageError, OSError):
        return None


def _beyond(tag: BaseTag, vr: str | None, length: int) -> bool:
    return bool(tag > _LAST_LOOKED_AT)


def _empty_kind(ds: FileDataset) -> str | None:
    """The kind of an object without pixels; None for other objects."""
    sop_class = _sop_class(ds)
    if not sop_class:
        return _MODALITIES.get(_text(ds, "Modality").upper())
    if sop_class in _WITHOUT_PIXELS:
        return _WITHOUT_PIXELS[sop_class]
    families = (kind for uid, kind in _WITHOUT_PIXELS.items() if uid.endswith(".") and f"{sop_class}.".startswith(uid))
    return next(families, None)


def _sop_class(ds: FileDataset) -> str:
    """The UID of the SOP class, from the dataset or else from the file's meta information; "" where neither names one."""
    meta = ds.file_meta if hasattr(ds, "file_meta") else Dataset()
    return _text(ds, "SOPClassUID") or _text(meta, "MediaStorageSOPClassUID")


def _text(ds: Dataset, keyword: str) -> str:
    value = ds.get(keyword)
    return value.strip("\0 ") if isinstance(value, str) else ""


def not_a_picture(ds: FileDataset) -> str | None:
    """Why the pixels of a dataset are no picture, and what to do; None for a picture."""
    kind = _NO_PICTURES.get(_sop_class(ds))
    modality = _text(ds, "Modality").upper()
    if kind is None and ("SegmentationType" in ds or "SegmentSequence" in ds or modality == "SEG"):
        kind = ("a segmentation", _LABELS)
    if kind is None and ("DoseGridScaling" in ds or modality == "RTDOSE"):
        kind = ("a dose grid", _DOSE)
    return f"{kind[0]}: {kind[1]}" if kind else None


def without_pixels(ds: FileDataset) -> str:
    """The message for a dataset without pixels."""
    kind = _empty_kind(ds)
    if kind:
        return f"a DICOM object without pixels ({kind}); there is nothing to restore in it"
    modality = _text(ds, "Modality") or "no modality"
    return f"a DICOM object without pixels ({modality}), or cut off before them; export or copy it again"
