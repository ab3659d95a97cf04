"""Reading a DICOM header whose values are missing, malformed or contradict each other.

What follows from the rest of the header is completed, in the dataset and so in the file that is written, with a warning.
What can only be guessed is refused, and the message names the element and the value to set. `dcmodify` in the messages is
DCMTK's program; any editor of DICOM headers will do.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.errors import BytesLengthException
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from restore.images.codecs.dicom import deflated
from restore.images.errors import as_image_error, image_error, quiet

PHOTOMETRICS = ("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
VALUES = (
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "WindowCenter",
    "WindowWidth",
)
"""Elements that say what samples mean and how they are displayed."""
_EXTENDED_TABLE = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
_UNREADABLE = (
    *(ValueError, TypeError, AttributeError, KeyError, OverflowError, NotImplementedError, struct.error),
    BytesLengthException,
)
"""What pydicom raises for the value of an element."""


@contextlib.contextmanager
def as_dicom_error(path: Path) -> Iterator[None]:
    """Turn what pydicom and its decoders raise for a broken file into an ImageError, and silence their warnings."""
    with as_image_error(path, "DICOM"), quiet:
        try:
            yield
        except BytesLengthException as error:  # of no kind that `as_image_error` knows
            raise image_error(path, "damaged DICOM header (an element's length does not fit its type); copy it again") from error


def load(path: Path) -> FileDataset:
    """Read a file; a missing transfer syntax becomes the one with which pydicom read it.

    Raises:
        pydicom's errors for what it cannot parse.
    """
    ds = deflated.load(path)
    complete_meta(ds)
    return ds


def complete_meta(ds: FileDataset) -> None:
    """Give a file without meta information the transfer syntax with which pydicom read it."""
    if not hasattr(ds, "file_meta"):
        ds.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in ds.file_meta:
        implicit, little = ds.original_encoding
        plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain


def whole_number(path: Path, ds: Dataset, keyword: str) -> int | None:
    """The value of an element that holds one whole number, None where it is missing or empty.

    Raises:
        ImageError: it holds something else ("1A", "2.5", several numbers).
    """
    if keyword not in ds:
        return None
    try:
        value = ds[keyword].value
        if value is None or (isinstance(value, str) and not value.strip("\0 ")):
            return None
        number = int(value)
    except _UNREADABLE as error:
        raise image_error(path, _malformed(ds, keyword, "a whole number")) from error
    if not isinstance(value, str) and number != value:
        raise image_error(path, _malformed(ds, keyword, "a whole number"))
    return number


def _malformed(ds: Dataset, keyword: str, expected: str) -> str:
    """What is wrong with an element, and how to correct it."""
    return f"damaged DICOM header: {_what(ds, keyword)}, not {expected}; correct it, for example with dcmodify"


def _what(ds: Dataset, keyword: str) -> str:
    """An element, its tag and its value, in words."""
    element = ds.get_item(keyword)
    raw = element.value if element is not None else ""
    if isinstance(raw, bytes):
        text = isinstance(element, RawDataElement) and element.VR in ("DS", "IS", "LO", "SH", "CS", "LT", None)
        raw = raw.decode("latin-1").strip("\0 ") if text or raw.isascii() else raw.hex(" ")
    elif _is_several(raw):
        raw = "\\".join(str(part) for part in raw)
    tag = element.tag if element is not None else ""
    return f"{keyword} {tag} is '{str(raw)[:40]}'"


def check_numbers(path: Path, ds: Dataset, keywords: tuple[str, ...]) -> None:
    """Check that these elements hold numbers; missing and empty ones pass.

    Raises:
        ImageError: one does not; the message names the element, its value and what helps.
    """
    for keyword in keywords:
        if not _holds_numbers(ds, keyword):
            raise image_error(path, _malformed(ds, keyword, "a number"))


def unreadable_values(ds: Dataset) -> list[str]:
    """A sentence for each of VALUES that is no number: the stored samples can be restored without it."""
    return [f"{_what(ds, keyword)}, not a number; it is ignored." for keyword in VALUES if not _holds_numbers(ds, keyword)]


def _holds_numbers(ds: Dataset, keyword: str) -> bool:
    """Whether an element is missing, empty or holds numbers only."""
    if keyword not in ds:
        return True
    try:
        value = ds[keyword].value
        for part in value if _is_several(value) else [value]:
            if not (part is None or part == "" or isinstance(part, bytes)):
                float(part)
    except _UNREADABLE:
        return False
    return True


def _is_several(value: object) -> bool:
    return not isinstance(value, str | bytes) and hasattr(value, "__iter__")


def complete(path: Path, ds: FileDataset) -> list[str]:
    """Check the elements that describe the pixels' layout, and fill in those that follow from others. Changes `ds`.

    Returns:
        A sentence for each element that was filled in or corrected.

    Raises:
        ImageError: an element is missing, no number or impossible; the message says what to set.
    """
    allocated, stored = _bits(path, ds)
    warnings: list[str] = []
    model = str(ds.get("PhotometricInterpretation", ""))
    gray = model.startswith(("MONOCHROME", "PALETTE"))
    if whole_number(path, ds, "SamplesPerPixel") is None:
        ds.SamplesPerPixel = 1 if gray else 3
        warnings.append(f"SamplesPerPixel is missing; it is taken as {ds.SamplesPerPixel}, which {model} needs.")
    if whole_number(path, ds, "PixelRepresentation") is None:
        ds.PixelRepresentation = 0
        warnings.append("PixelRepresentation is missing; the samples are taken as unsigned.")
    if ds.SamplesPerPixel > 1 and whole_number(path, ds, "PlanarConfiguration") is None:
        ds.PlanarConfiguration = 0
        warnings.append("PlanarConfiguration is missing; the colours are taken as stored pixel by pixel.")
    high = whole_number(path, ds, "HighBit")
    if high is None or not stored - 1 <= high < allocated:
        ds.HighBit = stored - 1
        was = "missing" if high is None else f"{high}, which can't be"
        warnings.append(f"HighBit is {was}; it is taken as {stored - 1}, one less than BitsStored.")
    _check_choices(path, ds, (1,) if gray else (1, 3))
    return warnings + _without_half_a_table(ds)


def _without_half_a_table(ds: FileDataset) -> list[str]:
    """Remove an extended offset table without its lengths, or the lengths without it: pydicom takes both for there if one is."""
    table = [keyword for keyword in _EXTENDED_TABLE if keyword in ds]
    if len(table) != 1:
        return []
    delattr(ds, table[0])
    lacks = _EXTENDED_TABLE[1 - _EXTENDED_TABLE.index(table[0])]
    return [f"{lacks} is missing; {table[0]} is of no use without it, and is ignored."]


def _check_choices(path: Path, ds: FileDataset, samples: tuple[int, ...]) -> None:
    """Raise ImageError for impossible values; `samples` are those that the colour model can have."""
    choices = {"SamplesPerPixel": samples, "PixelRepresentation": (0, 1)}
    if int(ds.SamplesPerPixel) > 1:
        choices["PlanarConfiguration"] = (0, 1)
    for keyword, allowed in choices.items():
        if int(ds[keyword].value) not in allowed:
            expected = " or ".join(str(value) for value in allowed)
            raise image_error(path, _malformed(ds, keyword, f"{expected}, as {ds.PhotometricInterpretation} needs"))


def _bits(path: Path, ds: FileDataset) -> tuple[int, int]:
    """(BitsAllocated, BitsStored), checked."""
    allocated, stored = whole_number(path, ds, "BitsAllocated"), whole_number(path, ds, "BitsStored")
    if allocated is None:
        raise image_error(path, "DICOM without BitsAllocated (0028,0100); set it to 8, 16 or 32, for example with dcmodify")
    if allocated == 1:
        raise image_error(path, "DICOM of one bit a pixel, a mask or segmentation: there is nothing to restore")
    if allocated == 12:
        why = "its 12-bit samples are packed without gaps (BitsAllocated 12), which no decoder here reads"
        raise image_error(path, f"{why}; unpack them into 16 bits each, for example with `gdcmconv --raw`")
    if allocated not in (8, 16, 32, 64):
        raise image_error(path, f"DICOM with BitsAllocated {allocated}, which can't be read; convert it to 8, 16 or 32 bits")
    if stored is None:
        high = whole_number(path, ds, "HighBit")
        likely = f"likely to {high + 1}, as HighBit is {high}" if high is not None else f"to {allocated} or less"
        raise image_error(path, f"DICOM without BitsStored (0028,0101); set it, {likely}, for example with dcmodify")
    if not 1 <= stored <= allocated:
        why = f"BitsStored is {stored}, though BitsAllocated is {allocated}; correct it, for example with dcmodify"
        raise image_error(path, f"damaged DICOM header: {why}")
    return allocated, stored
