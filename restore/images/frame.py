"""One decoded frame, and its normalized pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from PIL import Image

from restore.images.pixel_mapping import PixelMapping

BAND = 1 << 21
"""Pixels handled at a time, which bounds the memory that `normalized` and `encode` take in addition to their result."""


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Row slices of at most BAND pixels that cover an (H, W, ...) array."""
    rows = max(1, BAND // max(1, shape[1]))
    for top in range(0, shape[0], rows):
        yield slice(top, min(shape[0], top + rows))


def filled(picture: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Continue a picture smoothly where it is not valid, so that no false edge appears.

    Gortler et al. 1996, "The lumigraph", section 3.4: means are pulled up a pyramid, and pushed down to the unknown pixels.

    Args:
        picture: (H, W, C) float32.
        valid: (H, W) bool; if no pixel is valid, the result is 0.
    """
    weight = valid.astype(np.float32)
    levels = [(picture * weight[:, :, None], weight)]
    while levels[-1][1].min() == 0 and max(levels[-1][1].shape) > 1:
        total, weight = levels[-1]
        size = tuple(-(-length // 2) for length in weight.shape[::-1])
        total, weight = (cv2.resize(x, size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], *x.shape[2:]) for x in (total, weight))
        levels.append((total, weight))
    total, weight = levels.pop()
    estimate = total / np.maximum(weight, 1e-12)[:, :, None]
    while levels:
        total, weight = levels.pop()
        size = weight.shape[::-1]
        coarse = cv2.resize(estimate, size, interpolation=cv2.INTER_LINEAR).reshape(total.shape)
        estimate = total + (1 - weight)[:, :, None] * coarse  # weighted by the valid part of a cell, so that no pixel's noise spreads
    return np.where(valid[:, :, None], picture, estimate).astype(np.float32)


def _resampled(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W) of any real type -> (height, width) of the same type and within the same range."""
    low, high = plane.min(), plane.max()
    resampled = np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC))
    resampled = np.clip(resampled, low, high)
    return np.asarray(np.rint(resampled) if plane.dtype.kind in "ui" else resampled).astype(plane.dtype)


@dataclass(frozen=True)
class Frame:
    """One page of a TIFF, one frame of a DICOM, or the whole of any other picture."""

    stored: np.ndarray
    """(H, W) or (H, W, C) as the file holds it (its own dtype, alpha included), upright."""
    mapping: PixelMapping
    warnings: tuple[str, ...] = field(default=(), kw_only=True)
    """Warnings of decoding, one sentence each."""

    @property
    def alpha(self) -> np.ndarray | None:
        """(H, W) opacity in the stored dtype, or None where the picture has none."""
        return self.mapping.alpha(self.stored)

    def normalized(self) -> np.ndarray:
        """What a network sees: float32 (H, W, 1|3), RGB order, finite, without alpha.

        Black is 0 and white is 1; values beyond are not clipped (see `PixelMapping.decode`). Pixels that are not visible are filled
        smoothly from their surroundings.
        """
        return self._continued(self.visible())

    def with_hidden(self) -> np.ndarray:
        """`normalized` with the colours that alpha 0 hides, for files that are data, such as masks, and for comparisons."""
        return self._continued(self.valid())

    def _continued(self, known: np.ndarray | None) -> np.ndarray:
        """The decoded pixels, filled smoothly where they are not `known`, (H, W) bool or None for everywhere."""
        picture = self._banded(lambda rows: self.mapping.decode(self.stored[rows]))
        return picture if known is None else filled(picture, known)

    def displayed(self) -> np.ndarray:
        """What a viewer displays: float32 (H, W, 1|3) in [0, 1], through windows and lookup tables, without alpha."""
        return self._banded(lambda rows: self.mapping.displayed(self.stored[rows]))

    def on_scale_of(self, other: Frame) -> Frame:
        """This frame with the mapping of `other`, so that equal samples become equal pixels; itself where the samples are of unlike kinds.

        Floats, and DICOM without a window, are mapped by the range of their own values, which differs between a picture and its result.
        """
        same = self.stored.dtype == other.stored.dtype and other.mapping.has_samples_of(self.mapping)
        return replace(self, mapping=other.mapping) if same else self

    def valid(self) -> np.ndarray | None:
        """(H, W) bool, true where the samples are a picture (no padding, finite); None where all of them are."""
        found = [self.mapping.valid(self.stored[rows]) for rows in bands(self.stored.shape)]
        if all(one is None or one.all() for one in found):
            return None
        shapes = [(rows.stop - rows.start, self.stored.shape[1]) for rows in bands(self.stored.shape)]
        return np.concatenate([np.ones(shape, bool) if one is None else one for one, shape in zip(found, shapes, strict=True)])

    def visible(self) -> np.ndarray | None:
        """(H, W) bool, true where the samples are a picture and alpha doesn't hide them; None where all of them are."""
        valid, hidden = self.valid(), self._hidden()
        if hidden is None:
            return valid
        return ~hidden if valid is None else valid & ~hidden

    def _hidden(self) -> np.ndarray | None:
        """(H, W) bool, true where alpha is 0, so that an editor has left any colours there; None for nowhere.

        Alpha that is 0 everywhere hides nothing: a viewer that ignores it is then the only one that shows the picture.
        """
        if self.mapping.alpha(self.stored[:1]) is None:
            return None
        hidden = np.concatenate([np.asarray(self.mapping.alpha(self.stored[rows]) == 0) for rows in bands(self.stored.shape)])
        return hidden if hidden.any() and not hidden.all() else None

    def _banded(self, convert: Callable[[slice], np.ndarray]) -> np.ndarray:
        """(H, W, channels) float32 from its bands of rows."""
        if self.stored.shape[0] * self.stored.shape[1] <= BAND:
            return np.ascontiguousarray(convert(slice(0, self.stored.shape[0])), np.float32)
        out = np.empty((*self.stored.shape[:2], self.mapping.channels), np.float32)
        for rows in bands(self.stored.shape):
            out[rows] = convert(rows)
        return out

    def _normalized(self, rows: slice) -> np.ndarray:
        """The decoded pixels of a band of rows."""
        return self.mapping.decode(self.stored[rows])

    def resized(self, height: int, width: int) -> Frame:
        """The frame with (height, width) samples, for `encode` of a restored picture of that size.

        Alpha is resampled by the antialiased cubic kernel. Other samples are nearest neighbours, which `encode` replaces but for those
        that no network sees (a transparent colour, padding).
        """
        if self.stored.shape[:2] == (height, width):
            return self
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(np.intp) for old, new in zip(self.stored.shape[:2], (height, width), strict=True)
        )
        stored = self.stored[rows[:, None], columns]
        if self.mapping.alpha_channel is not None:
            alpha = _resampled(self.stored[..., self.mapping.alpha_channel], height, width)
            self.mapping.set_alpha(stored, alpha)
        return Frame(stored, self.mapping)

    def with_picture(self, where: np.ndarray) -> Frame:
        """The frame with any valid sample in the pixels `where`, (H, W) bool, that are not valid: `encode` then writes what was restored.

        The same frame where all of them are valid, or none of the picture is.
        """
        valid = self.valid()
        if valid is None or not (made := where & ~valid).any() or not valid.any():
            return self
        stored = self.stored.copy()
        row, column = np.unravel_index(int(valid.argmax()), valid.shape)
        alpha = None if self.alpha is None else self.alpha.copy()
        stored[made] = self.stored[row, column]
        if alpha is not None:
            self.mapping.set_alpha(stored, alpha)
        return replace(self, stored=stored)

    def encode(self, restored: np.ndarray) -> np.ndarray:
        """Float32 (H, W, 1|3) -> the stored shape and dtype, rounded and clipped to what the file can hold.

        Alpha stays as stored, bit for bit. So do samples that it hides, and those where `restored` equals `normalized()` or is not finite.

        Args:
            restored: the shape of `normalized()`. For a picture with alpha a further channel may follow: where it is above 0, alpha becomes
                the picture's largest alpha.

        Raises:
            ValueError: `restored` has another shape.
        """
        expected = (*self.stored.shape[:2], self.mapping.channels)
        if restored.ndim == 2:
            restored = restored[..., None]
        opaque = None
        if restored.shape[2] == expected[2] + 1 and self.alpha is not None:
            restored, opaque = restored[..., :-1], restored[..., -1] > 0
        if restored.shape != expected:
            raise ValueError(f"the restored frame is {restored.shape}, expected {expected} like normalized()")
        if opaque is not None and self.alpha is not None:  # colours may depend on the alpha: it changes first
            stored = self.stored.copy()
            self.mapping.set_alpha(stored, np.where(opaque, self.alpha.max(), self.alpha))
            return Frame(stored, self.mapping).encode(restored)
        out, hidden = np.empty_like(self.stored, order="C"), self._hidden()
        for rows in bands(self.stored.shape):
            stored = self.stored[rows]
            normalized = self._normalized(rows)
            new = np.asarray(restored[rows], np.float32)
            finite = np.isfinite(new)
            if hidden is not None:
                finite &= ~hidden[rows][:, :, None]
            if not finite.all():
                new = np.where(finite, new, normalized)
            out[rows] = self.mapping.encode(stored, normalized, new)
        return out
