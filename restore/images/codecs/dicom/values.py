"""DICOM's stored values as normalized pixels, and as a viewer displays them.

Normalized pixels are an affine map of the stored values. With a linear window, 0 is its lower end and 1 its upper end. With a lookup table,
the map is the line through the table's rise. Windows and tables decide what is displayed, not what is restored: values outside a narrow
window, or where a VOI LUT is flat, are restored like the rest. For display, the whole chain (modality LUT, VOI, MONOCHROME1's inversion)
is evaluated once for every value that a sample can take (at most 65,536).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset

from restore.images.pixel_mapping import PixelMapping

_RISE = (0.1, 0.9)
"""Between these fractions of its rise a lookup table is taken for a line."""


@dataclass(frozen=True)
class Field:
    """The bits of a sample within its stored word. Bits outside (overlays of old files) are never interpreted."""

    bits: int
    shift: int
    signed: bool

    @property
    def low(self) -> int:
        """The least value of a sample."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The greatest value of a sample."""
        return self.low + (1 << self.bits) - 1

    def values(self, stored: np.ndarray) -> np.ndarray:
        """(…) words -> the same shape of integer sample values."""
        if not self.shift and not self.signed and stored.dtype.kind == "u":
            return np.asarray(stored & stored.dtype.type((1 << self.bits) - 1))
        if not self.shift and self.signed and stored.dtype.kind == "i" and self.bits == 8 * stored.dtype.itemsize:
            return stored
        raw = (stored.astype(np.int64) >> self.shift) & ((1 << self.bits) - 1)
        if self.signed:
            raw = np.where(raw >> (self.bits - 1), raw - (1 << self.bits), raw)
        return raw.astype(np.int32)

    def share_outside(self, stored: np.ndarray) -> float:
        """The share of words that have bits outside the sample, but for a sign that is extended over the word."""
        if self.bits == 8 * stored.dtype.itemsize:
            return 0.0
        word, whole = stored.dtype.itemsize * 8, stored.view(f"u{stored.dtype.itemsize}")
        mask = ((1 << self.bits) - 1) << self.shift
        outside = (whole & whole.dtype.type(((1 << word) - 1) ^ mask)) != 0
        if self.signed and not self.shift and outside.any():
            outside &= whole != (self.values(stored).astype(np.int64) & ((1 << word) - 1)).astype(whole.dtype)
        return float(outside.mean())

    def words(self, stored: np.ndarray, values: np.ndarray) -> np.ndarray:
        """`stored` with its samples replaced; bits outside stay, but for a sign that is extended over the word."""
        mask = ((1 << self.bits) - 1) << self.shift
        word = stored.astype(np.int64)
        placed = (word & ~mask) | ((values.astype(np.int64) << self.shift) & mask)
        if self.shift == 0 and self.signed:
            placed = np.where(word == self.values(stored), values.astype(np.int64), placed)
        return placed.astype(stored.dtype)


def field_of(ds: FileDataset) -> Field:
    """The bits of a dataset's samples; `pixels.lower` has corrected HighBit of encoded ones."""
    bits = int(ds.BitsStored)
    high = int(ds.get("HighBit", bits - 1))
    return Field(bits, max(0, high - bits + 1), int(ds.get("PixelRepresentation", 0)) == 1)


@dataclass(frozen=True)
class GrayLut(PixelMapping):
    """The mapping of gray samples of at most 16 bits, by one monotone lookup table for the network and one for display."""

    field: Field
    normalized: np.ndarray
    """float32 (2**bits,): the normalized pixel of each value from `field.low` up; a line, so monotone."""
    step: float
    """The step of the affine map from one value to the next; negative where brighter values are smaller."""
    display: np.ndarray
    """float32 (2**bits,): how each value is displayed, within [0, 1]."""
    padding: np.ndarray
    """bool (2**bits,): values that are padding. They stay, and no other sample gets one of them."""
    channels: int = 1
    alpha_channel: int | None = None

    def has_samples_of(self, other: PixelMapping) -> bool:
        """Whether `other` maps the same bits of a word."""
        return isinstance(other, GrayLut) and self.field == other.field

    @property
    def levels(self) -> float:
        """Stored values from black to white."""
        return abs(1 / self.step)

    def _index(self, stored: np.ndarray) -> np.ndarray:
        values = self.field.values(stored)
        return values.astype(np.int32) - self.field.low if self.field.low else values

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32, nominal [0, 1]."""
        return np.asarray(self.normalized[self._index(stored)][..., None])

    def displayed(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32 in [0, 1], as a viewer displays it."""
        return np.asarray(self.display[self._index(stored)][..., None])

    def valid(self, stored: np.ndarray) -> np.ndarray | None:
        """(h, W) bool, true where the samples are a picture; None where all of them are."""
        return ~self.padding[self._index(stored)] if self.padding.any() else None

    def encode(self, stored: np.ndarray, normalized: np.ndarray, restored: np.ndarray) -> np.ndarray:
        """A copy of `stored` with what differs between `normalized` and `restored`; see `PixelMapping.encode`."""
        index = self._index(stored).astype(np.int32, copy=False)
        change = restored[..., 0].astype(np.float64) - normalized[..., 0]
        changed = (change != 0) & ~self.padding[index]
        moved = np.rint(np.clip(index + change / self.step, 0, len(self.normalized) - 1)).astype(np.int32)
        new = np.where(changed, self._aside(moved), index)
        return np.where(changed, self.field.words(stored, new + self.field.low), stored).astype(stored.dtype)

    def _aside(self, new: np.ndarray) -> np.ndarray:
        """Move samples that became padding to the nearest value that isn't."""
        if not self.padding.any() or self.padding.all():
            return new
        free = np.flatnonzero(~self.padding)
        above = np.minimum(np.searchsorted(free, new), len(free) - 1)
        below = np.maximum(above - 1, 0)
        near = np.where(np.abs(free[above] - new) <= np.abs(new - free[below]), free[above], free[below])
        return np.where(self.padding[new], near, new)


def build(field: Field, ds: Dataset, index: int, extent: tuple[float, float]) -> GrayLut:
    """The lookup tables of one frame; `extent` (lowest and highest value, without hot pixels) is displayed where no window is given."""
    values = np.arange(field.low, field.high + 1, dtype=np.float64)
    display = chain(values, ds, index, extent)
    start, step = _line(values, display, extent)
    padding = _padding(field, ds)
    normalized = start + step * np.arange(len(values))
    return GrayLut(field, normalized.astype(np.float32), step, np.clip(display, 0, 1).astype(np.float32), padding)


def _line(values: np.ndarray, display: np.ndarray, extent: tuple[float, float]) -> tuple[float, float]:
    """The affine map to normalized pixels: its result for the first value, and its step from one value to the next.

    It is the display itself where that is linear, else the line through two points of its rise over the values that occur.
    """
    steps = np.diff(display)
    mean = (display[-1] - display[0]) / max(1, len(steps))
    if mean and np.ptp(steps) < 1e-6 * abs(mean):
        return float(display[0]), float(mean)
    inside = np.flatnonzero((values >= extent[0]) & (values <= extent[1]))
    first, last = (int(inside[0]), int(inside[-1])) if len(inside) > 1 else (0, len(values) - 1)
    rise = display[last] - display[first]
    if rise:
        reached = (display[first : last + 1] - display[first]) / rise
        at = [first + int(np.argmax(reached >= share)) for share in _RISE]
        if at[1] > at[0]:
            step = (display[at[1]] - display[at[0]]) / (at[1] - at[0])
            if step and np.sign(step) == np.sign(rise):
                return float(display[at[0]] - step * at[0]), float(step)
    step = (np.sign(rise) or 1.0) / max(1, last - first)
    return float((0.0 if step > 0 else 1.0) - step * first), float(step)


def chain(values: np.ndarray, ds: Dataset, index: int, extent: tuple[float, float]) -> np.ndarray:
    """float64 stored values -> displayed ones, unclipped: modality, VOI, inversion."""
    ends = np.array(extent, np.float64)
    shown = _voi(_modality(values, ds, index), ds, index, _modality(ends, ds, index))
    return 1 - shown if str(ds.get("PhotometricInterpretation", "")) == "MONOCHROME1" else shown


def _padding(field: Field, ds: Dataset) -> np.ndarray:
    """Which values are PixelPaddingValue, or lie between it and PixelPaddingRangeLimit."""
    out = np.zeros(1 << field.bits, bool)
    bounds = padding_range(ds, field)
    if bounds is not None:
        out[max(0, bounds[0] - field.low) : max(0, bounds[1] - field.low + 1)] = True
    return out


def padding_range(ds: Dataset, field: Field) -> tuple[int, int] | None:
    """(lowest, highest) padding value in the samples' own signedness, or None."""
    first = number(ds, "PixelPaddingValue")
    if first is None:
        return None
    last = number(ds, "PixelPaddingRangeLimit")
    ends = sorted(int(v) for v in (first, first if last is None else last))
    if field.signed:  # some writers give signed padding as US
        ends = sorted(v - 65536 if v > field.high and v >= 32768 else v for v in ends)
    return ends[0], ends[1]


def number(ds: Dataset, keyword: str) -> float | None:
    """The first value of a numeric element; None if it is missing, empty or no number."""
    value: Any = ds.get(keyword)
    if isinstance(value, bytes) and len(value) >= 2:
        value = int.from_bytes(value[:2], "little")
    elif not isinstance(value, str | int | float) and hasattr(value, "__getitem__"):
        value = value[0] if len(value) else None
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _item(ds: Dataset, index: int, group: str, keyword: str) -> Dataset:
    """The item that holds an attribute of a frame: the dataset, or a functional group of enhanced multi-frame objects."""
    if keyword in ds:
        return ds
    per_frame = ds.get("PerFrameFunctionalGroupsSequence") or []
    shared = ds.get("SharedFunctionalGroupsSequence") or []
    for groups in ([per_frame[index]] if index < len(per_frame) else []) + list(shared[:1]):
        items = groups.get(group) or []
        if items and keyword in items[0]:
            item: Dataset = items[0]
            return item
    return ds


def _modality(values: np.ndarray, ds: Dataset, index: int) -> np.ndarray:
    sequence = ds.get("ModalityLUTSequence")
    if sequence:
        return _looked_up(values, sequence[0])
    item = _item(ds, index, "PixelValueTransformationSequence", "RescaleSlope")
    slope, intercept = number(item, "RescaleSlope"), number(item, "RescaleIntercept")
    return values * (slope or 1.0) + (intercept or 0.0)


def rescale_slope(ds: Dataset) -> float:
    """The slope from stored to modality values of the first frame."""
    return number(_item(ds, 0, "PixelValueTransformationSequence", "RescaleSlope"), "RescaleSlope") or 1.0


def _voi(values: np.ndarray, ds: Dataset, index: int, ends: np.ndarray) -> np.ndarray:
    """Modality values -> [0, 1] within the window or LUT; linear windows go on beyond."""
    sequence = _item(ds, index, "FrameVOILUTSequence", "VOILUTSequence").get("VOILUTSequence")
    if sequence:
        low, high = _lut_range(sequence[0])
        return (_looked_up(values, sequence[0]) - low) / (high - low)
    item = _item(ds, index, "FrameVOILUTSequence", "WindowWidth")
    centre, width = number(item, "WindowCenter"), number(item, "WindowWidth")
    function = str(item.get("VOILUTFunction", "LINEAR") or "LINEAR").upper()
    if centre is None or width is None or width <= 0 or (function == "LINEAR" and width <= 1):
        low, high = float(ends.min()), float(ends.max())
        return (values - low) / ((high - low) or 1.0)
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -500, 500)))
    if function == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    return (values - (centre - 0.5)) / (width - 1) + 0.5


def _lut_entries(item: Dataset) -> tuple[np.ndarray, int, int]:
    """(entries, first value mapped, bits of an entry) of a Modality or VOI LUT item."""
    for keyword, tag in (("LUTDescriptor", "0028,3002"), ("LUTData", "0028,3006")):
        if keyword not in item or item[keyword].is_empty:
            raise ValueError(f"a lookup table without {keyword} ({tag})")
    count, first, bits = (int(v) for v in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        words = ">u2" if item.original_encoding[1] is False else "<u2"  # of the type OW, in the file's byte order
        entries = np.frombuffer(data, np.uint8 if len(data) < 2 * (count or 65536) else words)
    else:
        entries = np.atleast_1d(np.asarray(data, np.int64)) & 0xFFFF
    entries = entries[: count or 65536].astype(np.float64)
    if not len(entries):
        raise ValueError("a lookup table without entries")
    return entries, first, bits


def _lut_range(item: Dataset) -> tuple[float, float]:
    entries, _, bits = _lut_entries(item)
    return 0.0, float(max(2 ** min(16, max(1, bits)) - 1, 1 if not len(entries) else entries.max(), 1))


def _looked_up(values: np.ndarray, item: Dataset) -> np.ndarray:
    entries, first, _ = _lut_entries(item)
    if first > 32767 and values.min() < 0:
        first -= 65536
    index = np.clip(np.rint(values) - first, 0, len(entries) - 1).astype(np.int64)
    return np.asarray(entries[index])
