"""The mappings of everyday samples: linear ranges, and CMYK. (DICOM's are in codecs/dicom/values.py.)"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from restore.images.extents import inner_range, is_measured
from restore.images.pixel_mapping import PixelMapping

BEYOND = 1e6
"""Normalized pixels beyond this are not valid: broken pixels, and markers such as -1e30."""


def _split(stored: np.ndarray, channels: int) -> np.ndarray:
    """The colour samples of a band as (h, W, channels), a view."""
    return stored[..., None] if stored.ndim == 2 else stored[..., :channels]


def _joined(stored: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """A copy of `stored` with its colour samples replaced by (h, W, channels) `colour`."""
    if stored.ndim == 2:
        return np.ascontiguousarray(colour[..., 0])
    out = stored.copy()
    out[..., : colour.shape[-1]] = colour
    return out


@dataclass(frozen=True)
class Linear(PixelMapping):
    """normalized = (stored - low) / (high - low), inverted for MINISWHITE. Alpha and other channels stay.

    Exact for integers of 8 and 16 bits. Wider samples keep their precision because only the change is added.
    """

    low: float
    high: float
    channels: int = 1
    inverted: bool = False
    alpha_channel: int | None = None
    key: tuple[int, ...] | None = None
    """The colour that means 'transparent' (PNG tRNS). Those pixels stay, and no other pixel gets this colour."""
    limit: tuple[int, int] | None = None
    """The integers a sample may take; None for those of its type."""
    floor: float | None = None
    """The lowest restored sample: 0 for light that is measured without an offset (linear HDR, counts)."""
    padding: tuple[float, float] | None = None
    """Samples in this closed range are padding (DICOM's PixelPaddingValue). They stay, and no other sample gets into it."""
    measured: bool = False
    """Whether the range is that of the picture's own samples, and says nothing of what they mean."""

    @property
    def opaque(self) -> float:
        """The alpha of an opaque pixel."""
        return self.high

    def has_samples_of(self, other: PixelMapping) -> bool:
        """Whether `other` maps the same channels, inverted alike, of the same integers or of floats."""
        if not isinstance(other, Linear):
            return False
        return (self.channels, self.inverted, self.alpha_channel, self.limit) == (
            other.channels, other.inverted, other.alpha_channel, other.limit,
        )  # fmt: skip

    def is_plain(self, dtype: np.dtype) -> bool:
        """Whether samples of `dtype` mean what every format takes them for."""
        if self.inverted or self.key is not None:
            return False
        if dtype in (np.uint8, np.uint16):
            return self.measured or (self.low == 0 and self.high == np.iinfo(dtype).max)
        return dtype.kind == "f"

    def in_colour(self, dtype: np.dtype) -> Linear | None:
        """The mapping of red, green and blue; None for samples whose black and white other formats don't know."""
        unlike = self.inverted or self.key is not None or self.padding is not None
        if unlike or (dtype.kind == "u" and dtype.itemsize <= 2 and not self.is_plain(dtype)):
            return None
        return replace(self, channels=3, alpha_channel=None if self.alpha_channel is None else 3)

    @property
    def levels(self) -> float:
        """Stored values from black to white."""
        return abs(self.span)

    @property
    def span(self) -> float:
        """White minus black; 1 where they are equal."""
        return (self.high - self.low) or 1.0

    def _raw(self, colour: np.ndarray) -> np.ndarray:
        """Normalized values; NaN and infinity stay."""
        wide: type[np.float32 | np.float64] = np.float32 if colour.dtype in (np.uint8, np.uint16, np.bool_) else np.float64
        with np.errstate(invalid="ignore", over="ignore"):
            values: np.ndarray = (colour.astype(wide) - np.asarray(self.low, wide)) / np.asarray(self.span, wide)
        return 1 - values if self.inverted else values

    def _table(self, dtype: np.dtype) -> np.ndarray | None:
        """The normalized value of every sample of 8 or 16 unsigned bits: looking up is several times as fast as computing.

        None for other types, and where there is padding.
        """
        if dtype.kind != "u" or dtype.itemsize > 2 or self.padding is not None:
            return None
        return self._raw(np.arange(2 ** (8 * dtype.itemsize), dtype=dtype))

    def _usable(self, colour: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """Which samples (h, W, channels) are valid: finite, within `BEYOND`, no padding."""
        with np.errstate(invalid="ignore"):
            usable: np.ndarray = np.abs(raw) <= BEYOND  # false for NaN
            if self.padding is not None:
                usable &= (colour < self.padding[0]) | (colour > self.padding[1])
        return usable

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32, nominal [0, 1]."""
        colour = _split(stored, self.channels)
        table = self._table(colour.dtype)
        if table is not None:
            return table.take(colour)
        raw = self._raw(colour)
        return np.where(self._usable(colour, raw), raw, 0).astype(np.float32)

    def displayed(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32 in [0, 1], as a viewer displays it."""
        colour = _split(stored, self.channels)
        table = self._table(colour.dtype)
        raw = self._raw(colour) if table is None else table.take(colour)
        return np.asarray(np.clip(np.nan_to_num(raw, nan=0.0, posinf=1.0, neginf=0.0), 0, 1), np.float32)

    def valid(self, stored: np.ndarray) -> np.ndarray | None:
        """(h, W) bool, true where the samples are a picture; None where all of them are."""
        colour = _split(stored, self.channels)
        if self._table(colour.dtype) is not None:
            return None
        return np.asarray(self._usable(colour, self._raw(colour)).all(-1))

    def encode(self, stored: np.ndarray, normalized: np.ndarray, restored: np.ndarray) -> np.ndarray:
        """A copy of `stored` with what differs between `normalized` and `restored`; see `PixelMapping.encode`."""
        colour = _split(stored, self.channels)
        if self._table(colour.dtype) is not None:
            new = self._whole_numbers(colour, restored - normalized)
            return _joined(stored, self._keyed(colour, new) if self.key else new)
        raw = self._raw(colour)
        change = restored.astype(raw.dtype) - normalized
        changed = (change != 0) & self._usable(colour, raw)
        step = -self.span if self.inverted else self.span
        with np.errstate(invalid="ignore", over="ignore"):
            values = colour.astype(raw.dtype) + change * raw.dtype.type(step)
        if self.floor is not None:
            values = np.maximum(values, self.floor)
        if colour.dtype.kind == "f":
            limit = np.finfo(colour.dtype)
            new = np.clip(np.where(changed, values, 0), limit.min, limit.max).astype(colour.dtype)
        else:
            low, high = self._limits(colour.dtype)
            new = np.clip(np.rint(np.where(changed, values, 0)), low, high).astype(colour.dtype)
        new = np.where(changed, self._avoid_padding(new), colour)
        return _joined(stored, self._keyed(colour, new) if self.key else new)

    def _whole_numbers(self, colour: np.ndarray, change: np.ndarray) -> np.ndarray:
        """Samples of 8 or 16 bits moved by `change` (normalized units, overwritten), rounded; no change keeps a sample exactly."""
        low, high = self._limits(colour.dtype)
        change *= np.float32(-self.span if self.inverted else self.span)
        still = change == 0
        change += colour
        np.clip(np.rint(change, out=change), low, high, out=change)
        return np.where(still, colour, change.astype(colour.dtype))

    def _limits(self, dtype: np.dtype) -> tuple[float, float]:
        if self.limit is not None:
            return self.limit
        bounds = np.iinfo(dtype)
        return float(bounds.min), float(np.nextafter(bounds.max, 0)) if bounds.bits == 64 else float(bounds.max)

    def _avoid_padding(self, new: np.ndarray) -> np.ndarray:
        """`new` with samples that became padding moved to the nearest other value."""
        if self.padding is None:
            return new
        low, high = self.padding
        inside = (new >= low) & (new <= high)
        if new.dtype.kind == "f":
            return np.where(inside, np.nextafter(new.dtype.type(high), new.dtype.type(np.inf)), new)
        lowest, highest = self._limits(new.dtype)
        upward = (low - 1 < lowest) | ((high + 1 <= highest) & (new - low >= high - new))
        return np.where(inside, np.where(upward, high + 1, low - 1), new).astype(new.dtype)

    def _keyed(self, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """`new`, but transparent pixels stay as they were and no other pixel becomes transparent."""
        key = np.asarray(self.key, old.dtype)
        was, became = (old == key).all(-1), (new == key).all(-1)
        new = np.where((became & ~was)[..., None], self._avoid_transparent_colour(old.dtype), new)
        return np.where(was[..., None], old, new)

    def _avoid_transparent_colour(self, dtype: np.dtype) -> np.ndarray:
        """The colour nearest to the transparent one."""
        assert self.key is not None
        colour = np.array(self.key, dtype)
        colour[0] = colour[0] - 1 if colour[0] else 1
        return colour

    def alpha(self, stored: np.ndarray) -> np.ndarray | None:
        """(h, W) opacity in the stored dtype, or None."""
        if self.alpha_channel is not None:
            return stored[..., self.alpha_channel]
        if self.key is None:
            return None
        opaque = (_split(stored, self.channels) != np.asarray(self.key, stored.dtype)).any(-1)
        return np.asarray(opaque.astype(stored.dtype) * stored.dtype.type(self.high))

    def set_alpha(self, stored: np.ndarray, alpha: np.ndarray) -> None:
        """Give `stored` another (h, W) alpha, in place."""
        if self.alpha_channel is not None or self.key is None:
            super().set_alpha(stored, alpha)
            return
        becomes_opaque = (self.alpha(stored) == 0) & (alpha > 0)
        _split(stored, self.channels)[becomes_opaque] = self._avoid_transparent_colour(stored.dtype)


@dataclass(frozen=True)
class Cmyk(PixelMapping):
    """CMYK without colour management: R = (1 - C)(1 - K) and so on. The sample `full` is full ink.

    A changed pixel keeps its black, unless the new colour is brighter than that black allows.
    """

    full: float
    channels: int = 3
    alpha_channel: int | None = None

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32, nominal [0, 1]."""
        inks = stored[..., :4].astype(np.float32) / np.float32(self.full)
        return (1 - inks[..., :3]) * (1 - inks[..., 3:])

    def displayed(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32 in [0, 1], as a viewer displays it."""
        return self.decode(stored)

    def encode(self, stored: np.ndarray, normalized: np.ndarray, restored: np.ndarray) -> np.ndarray:
        """A copy of `stored` with what differs between `normalized` and `restored`; see `PixelMapping.encode`."""
        changed = (restored != normalized).any(-1, keepdims=True)
        clipped = np.clip(restored, 0, 1)
        white = 1 - stored[..., 3:4].astype(np.float32) / np.float32(self.full)
        paper = np.maximum(white, clipped.max(-1, keepdims=True))
        inks = np.concatenate([1 - clipped / np.maximum(paper, 1e-6), 1 - paper], -1)
        new = np.clip(np.rint(inks * np.float32(self.full)), 0, self.full).astype(stored.dtype)
        # full black hides the other inks: they stay as stored
        hidden = changed & (paper <= 0)
        return _joined(stored, np.where(changed & ~hidden, new, stored[..., :4]))

    @property
    def opaque(self) -> float:
        """The alpha of an opaque pixel."""
        return self.full

    @property
    def colour_samples(self) -> int:
        """Stored samples of a pixel that hold its colour."""
        return 4


def plain(stored: np.ndarray, *, alpha: bool | None = None) -> Linear:
    """The mapping of ordinary 8- and 16-bit samples: (H, W), or (H, W, 1..4) with the alpha last if the count is even."""
    count = 1 if stored.ndim == 2 else stored.shape[-1]
    has_alpha = count in (2, 4) if alpha is None else alpha
    colours = 3 if count - has_alpha >= 3 else 1
    return Linear(0, float(np.iinfo(stored.dtype).max), colours, alpha_channel=count - 1 if has_alpha else None)


def with_maximum(maximum: int, channels: int = 1, *, inverted: bool = False, alpha_channel: int | None = None) -> Linear:
    """The mapping of unsigned samples whose white is `maximum` (1-bit, 12-bit, a PGM's maxval)."""
    return Linear(0, float(maximum), channels, inverted, alpha_channel, limit=(0, maximum))


def ranged(stored: np.ndarray, channels: int, *, inverted: bool, alpha_channel: int | None, missing: float | None = None) -> Linear:
    """The mapping of samples whose type has no white (float, signed, 32-bit): scaled by their own range.

    Floats within [0, 1] are taken as they are. Otherwise the range lies between the 0.1th and the 99.9th percentile of a regular
    sample of the finite values, so that a few hot pixels do not darken the picture. A picture without negative samples gets none. Samples
    equal to `missing` are padding.
    """
    colour = _split(stored, channels)
    step = max(1, int(np.sqrt(colour.size / 500_000)))
    with np.errstate(invalid="ignore"):  # a signalling NaN
        sample = colour[::step, ::step].astype(np.float64)
    sample = sample[is_measured(sample, missing)]
    low, high, floor = 0.0, 1.0, None
    if sample.size and stored.dtype.kind in "fi" and sample.min() >= 0 and bool((colour[is_measured(colour, missing)] >= 0).all()):
        floor = 0.0
    if sample.size and (stored.dtype.kind != "f" or sample.min() < 0 or sample.max() > 1):
        with np.errstate(over="ignore", invalid="ignore"):
            low, high = inner_range(sample)
        if high <= low:
            low, high = float(sample.min()), float(sample.max())
    return Linear(low, high, channels, inverted, alpha_channel, floor=floor, padding=None if missing is None else (missing, missing))
