"""The colours of PALETTE COLOR pixels: the lookup tables of a dataset (PS3.3, C.7.6.3.1.5, C.7.6.3.1.6 and C.7.9.2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileDataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.tag import Tag

from restore.images.codecs.dicom.values import Field
from restore.images.errors import image_error

_COLOURS = ("Red", "Green", "Blue")


def colours_of(path: Path, ds: FileDataset, field: Field) -> np.ndarray:
    """float32 (2**field.bits, 3) in [0, 1]: the colour of each value of a sample, from `field.low` on.

    Values before the first that the tables map have the first colour, values behind the last have the last.

    Raises:
        ImageError: a table or its descriptor is missing, or cannot be read; the message names it.
    """
    count, first, bits = _descriptor(path, ds, field)
    if any(f"Segmented{colour}PaletteColorLookupTableData" in ds for colour in _COLOURS):
        entries = _segmented(path, ds, count)
    else:
        entries = np.stack([_entries(path, ds, colour, count) for colour in _COLOURS], -1)
    # entries of 8 bits may stand in words of 16; some writers say 8 bits of entries that use all 16
    white = 255 if bits <= 8 and entries.max() <= 255 else 65535
    indices = np.clip(np.arange(field.low, field.high + 1) - first, 0, len(entries) - 1)
    return (entries[indices] / white).astype(np.float32)


def _descriptor(path: Path, ds: FileDataset, field: Field) -> tuple[int, int, int]:
    """(entries, first value mapped, bits of an entry); the three tables have the same."""
    values = []
    for colour in _COLOURS:
        keyword = f"{colour}PaletteColorLookupTableDescriptor"
        _require(path, ds, keyword)
        value = ds[keyword].value
        if isinstance(value, str | bytes | int) or len(value) != 3:
            raise image_error(path, f"damaged DICOM header: {_name(keyword)} is {str(value)[:40]!r}, not three numbers; export it again")
        values.append([int(part) for part in value])
    count, first, bits = values[0]
    # the type of all three is that of the samples, or should be: only the first mapped value has a sign
    first = (first + 32768) % 65536 - 32768 if field.signed else first % 65536
    return count % 65536 or 65536, first, bits


def _entries(path: Path, ds: FileDataset, colour: str, count: int) -> np.ndarray:
    """int64 (count,) entries of the table of one colour."""
    keyword = f"{colour}PaletteColorLookupTableData"
    _require(path, ds, keyword)
    data = ds[keyword].value
    if isinstance(data, bytes):
        order = ">u2" if ds.original_encoding[1] is False else "<u2"
        if len(data) >= 2 * count:
            entries = np.frombuffer(data[: 2 * count], order).astype(np.int64)
        else:  # of the type OW: two entries of 8 bits are a word in the file's byte order
            words = np.frombuffer(data[: len(data) // 2 * 2], order).astype("<u2").tobytes()
            entries = np.frombuffer(words + data[len(words) :], np.uint8).astype(np.int64)
    else:  # written as numbers (US)
        entries = np.atleast_1d(np.asarray(data, np.int64)) & 0xFFFF
    if len(entries) < count:
        raise image_error(path, f"damaged DICOM: {_name(keyword)} has {len(entries)} of its {count} entries; copy or export it again")
    return np.asarray(entries[:count])


def _segmented(path: Path, ds: FileDataset, count: int) -> np.ndarray:
    """int64 (count, 3) entries of tables in segments."""
    for colour in _COLOURS:
        _require(path, ds, f"Segmented{colour}PaletteColorLookupTableData")
    start = int(ds.RedPaletteColorLookupTableDescriptor[1])
    return np.asarray(apply_color_lut(np.arange(start, start + count), ds)[:, :3].astype(np.int64))


def _require(path: Path, ds: FileDataset, keyword: str) -> None:
    if keyword not in ds or ds[keyword].is_empty:
        raise image_error(path, f"PALETTE COLOR without {_name(keyword)}, which gives its colours; export it again, for example as RGB")


def _name(keyword: str) -> str:
    """A keyword and its tag, as in a message."""
    return f"{keyword} {Tag(tag_for_keyword(keyword) or 0)}".replace(", ", ",")
