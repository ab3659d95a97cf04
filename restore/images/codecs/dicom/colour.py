"""The mappings of coloured DICOM samples: luminance and chroma, and palettes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from restore.images.codecs.dicom.values import Field
from restore.images.pixel_mapping import PixelMapping

_TO_RGB = np.array([[1, 0, 1.402], [1, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587], [1, 1.772, 0]], np.float64)
"""ITU-R BT.601, full range: (Y, Cb - half, Cr - half) -> (R, G, B)."""
_FROM_RGB = np.linalg.inv(_TO_RGB)


@dataclass(frozen=True)
class YbrFull(PixelMapping):
    """YBR_FULL samples of any depth; only what the network changed is converted back, so nothing else is rounded."""

    maximum: int
    channels: int = 3
    alpha_channel: int | None = None

    @property
    def levels(self) -> float:
        """Stored values from black to white."""
        return float(self.maximum)

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32, nominal [0, 1]."""
        samples = stored.astype(np.float32)
        samples[..., 1:] -= (self.maximum + 1) // 2
        return samples @ (_TO_RGB.T / self.maximum).astype(np.float32)

    def displayed(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32 in [0, 1], as a viewer displays it."""
        return np.asarray(np.clip(self.decode(stored), 0, 1))

    def encode(self, stored: np.ndarray, normalized: np.ndarray, restored: np.ndarray) -> np.ndarray:
        """A copy of `stored` with what differs between `normalized` and `restored`; see `PixelMapping.encode`."""
        change = (restored - normalized) @ (_FROM_RGB.T * self.maximum).astype(np.float32)
        new = np.clip(np.rint(stored + change), 0, self.maximum).astype(stored.dtype)
        return np.where((restored != normalized).any(-1, keepdims=True), new, stored)


@dataclass(frozen=True)
class PaletteIndices(PixelMapping):
    """PALETTE COLOR: indices stay indices, so a restored colour becomes the nearest one that the palette has."""

    table: np.ndarray
    """float32 (2**bits, 3) in [0, 1], the colour of the index `field.low` and of those after it."""
    field: Field
    """The bits of an index in its word; bits outside say nothing of colour."""
    channels: int = 3
    alpha_channel: int | None = None

    @property
    def levels(self) -> float:
        """Values from black to white of the palette's colours, as 8 bits hold them."""
        return 255.0

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32, nominal [0, 1]."""
        return np.asarray(self.table[self._rows(stored)])

    def displayed(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32 in [0, 1], as a viewer displays it."""
        return self.decode(stored)

    def encode(self, stored: np.ndarray, normalized: np.ndarray, restored: np.ndarray) -> np.ndarray:
        """A copy of `stored` with what differs between `normalized` and `restored`; see `PixelMapping.encode`.

        An index stays where no colour of the palette is nearer than its own, also where several have that colour.
        """
        changed = (restored != normalized).any(-1)
        out = stored.copy()
        if changed.any():
            words = stored[changed]
            out[changed] = self.field.words(words, self._nearest(restored[changed], self._rows(words)) + self.field.low)
        return out

    def _rows(self, stored: np.ndarray) -> np.ndarray:
        """The rows of the table for stored words, in the same shape."""
        return self.field.values(stored).astype(np.int32) - self.field.low

    def _nearest(self, colours: np.ndarray, own: np.ndarray) -> np.ndarray:
        """(N,) rows of the table for (N, 3) `colours`; `own` are the (N,) rows that they had.

        The nearest row is exact. Of rows at the same distance, it is `own`, else the one that the search comes to first; of rows
        with the same colour, the first.
        """
        colours = np.clip(colours, 0, 1).astype(np.float64)
        first, tree = self._search
        # a search for a point beside a line of points would visit all of them, but the mean gives the nearest gray
        points = colours if tree.m == 3 else colours.mean(-1, keepdims=True)
        near = first[tree.query(points)[1]]
        ahead = _squares(colours, self.table[near]) < _squares(colours, self.table[own])
        return np.where(ahead, near, own)

    @cached_property
    def _search(self) -> tuple[np.ndarray, cKDTree]:
        """The first row of each colour of the table, and the tree of these colours: of their one channel where all are gray."""
        colours, first = np.unique(self.table, axis=0, return_index=True)
        gray = (colours == colours[:, :1]).all()
        return first, cKDTree(colours[:, :1] if gray else colours)


def _squares(colours: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) squared distances of (N, 3) colours, in float64."""
    return np.asarray(((colours - others) ** 2).sum(-1))
