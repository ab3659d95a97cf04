"""The mapping of colours stored multiplied by their alpha ("associated" alpha, TIFF's ExtraSamples 1).

A network sees straight colours. Changed colours are multiplied again and stay within their alpha.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restore.images.pixel_mapping import PixelMapping

_LOW, _HIGH = -1.0, 2.0
"""Normalized pixels are clipped to this range."""


@dataclass(frozen=True)
class Premultiplied(PixelMapping):
    """normalized = (colour / alpha x full - low) / (high - low), and 0 where alpha is 0, which stays as stored."""

    full: float
    """The alpha that is opaque."""
    alpha_channel: int
    channels: int = 1
    low: float = 0.0
    high: float = 1.0
    bounded: bool = True
    """Whether no colour may exceed its alpha; False for floats that hold light brighter than white."""
    inverted: bool = False

    @property
    def opaque(self) -> float:
        """The alpha of an opaque pixel."""
        return self.full

    @property
    def levels(self) -> float:
        """Stored values from black to white."""
        return abs(self._span)

    @property
    def _span(self) -> float:
        return (self.high - self.low) or 1.0

    def _parts(self, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(h, W, channels) colour and (h, W, 1) alpha, both as floats that hold them exactly."""
        wide = np.float32 if stored.dtype.itemsize <= 2 else np.float64
        at = self.alpha_channel
        return stored[..., : self.channels].astype(wide), stored[..., at : at + 1].astype(wide)

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """(h, W, C) stored -> (h, W, channels) float32: straight colours, nominal [0, 1], finite."""
        colour, alpha = self._parts(stored)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            straight = np.where(alpha > 0, colour / alpha * self.full, self.low)
            values = (straight - self.low) / self._span
            values = 1 - values if self.inverted else values
        values = np.nan_to_num(values, nan=0.0, posinf=_HIGH, neginf=_LOW)
        return np.clip(values, _LOW, _HIGH).astype(np.float32)

    def displayed(self, stored: np.ndarray) -> np.ndarray:
        """(h, W, C) stored -> (h, W, channels) float32 in [0, 1]: straight colours as a viewer shows them."""
        return np.asarray(np.clip(self.decode(stored), 0, 1))

    def valid(self, stored: np.ndarray) -> np.ndarray | None:
        """(h, W) where there is a colour: alpha is above 0 and the samples are numbers; None where that is everywhere."""
        colour, alpha = self._parts(stored)
        there = (alpha[..., 0] > 0) & np.isfinite(colour).all(-1) & np.isfinite(alpha[..., 0])
        return None if there.all() else there

    def encode(self, stored: np.ndarray, normalized: np.ndarray, restored: np.ndarray) -> np.ndarray:
        """A changed copy of `stored`, as `PixelMapping.encode` says; a changed colour ends between 0 and its alpha."""
        colour, alpha = self._parts(stored)
        change = restored.astype(colour.dtype) - normalized
        changed = (change != 0) & (alpha > 0) & np.isfinite(alpha) & np.isfinite(colour)
        step = -self._span if self.inverted else self._span
        with np.errstate(invalid="ignore", over="ignore"):
            new = np.where(changed, colour + change * (alpha * (step / self.full)), 0)
        new = np.clip(new, np.where(changed, np.minimum(colour, 0), 0), self._ceiling(stored, alpha, changed))
        if stored.dtype.kind != "f":
            new = np.rint(new)
        out = stored.copy()
        out[..., : self.channels] = np.where(changed, new.astype(stored.dtype), stored[..., : self.channels])
        return out

    def _ceiling(self, stored: np.ndarray, alpha: np.ndarray, changed: np.ndarray) -> np.ndarray:
        if self.bounded:
            return np.where(changed, alpha, 0)
        limit = np.finfo(stored.dtype) if stored.dtype.kind == "f" else np.iinfo(stored.dtype)
        return np.asarray(limit.max, alpha.dtype)

    def alpha(self, stored: np.ndarray) -> np.ndarray:
        """(h, W) opacity in the stored dtype."""
        return stored[..., self.alpha_channel]

    def set_alpha(self, stored: np.ndarray, alpha: np.ndarray) -> None:
        """Give (H, W, C) `stored` another (H, W) alpha with the same straight colours, in place; 0 where alpha was 0."""
        colour, old = self._parts(stored)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            scaled = np.where(old > 0, colour * (alpha[..., None].astype(colour.dtype) / old), 0)
        if self.bounded:
            scaled = np.minimum(scaled, alpha[..., None])
        scaled = np.rint(scaled) if stored.dtype.kind != "f" else scaled
        stored[..., : self.channels] = np.where(old == alpha[..., None], stored[..., : self.channels], scaled.astype(stored.dtype))
        stored[..., self.alpha_channel] = alpha


def premultiplied(stored: np.ndarray, channels: int, alpha_channel: int, maximum: int | None, *, inverted: bool) -> Premultiplied:
    """The mapping for (H, W, C) samples with associated alpha; `maximum` is the largest sample of integers, None for floats.

    Floats: opaque is 1, or the largest alpha if that is above; colours beyond their alpha (bright light) widen the normalized range.
    """
    if maximum is not None:
        return Premultiplied(float(maximum), alpha_channel, channels, 0.0, float(maximum), inverted=inverted)
    alpha = stored[..., alpha_channel].astype(np.float64)
    finite = alpha[np.isfinite(alpha)]
    full = max(1.0, float(finite.max())) if finite.size else 1.0
    colour = stored[..., :channels].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        straight = (colour / alpha[..., None] * full)[alpha > 0]
    straight = straight[np.isfinite(straight)]
    if not straight.size or (straight.min() >= 0 and straight.max() <= full * (1 + 1e-5)):
        return Premultiplied(full, alpha_channel, channels, 0.0, full, inverted=inverted)
    low, high = (float(v) for v in np.percentile(straight, (0.1, 99.9)))
    if high <= low:
        low, high = float(straight.min()), float(straight.max())
    return Premultiplied(full, alpha_channel, channels, min(low, 0.0), high, bounded=False, inverted=inverted)
