"""The mappings of coloured DICOM samples: luminance and chroma, and palettes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    """float32 (2**bits, 3) in [0, 1], the colour of index 0, 1, ..."""
    channels: int = 3
    alpha_channel: int | None = None

    @property
    def levels(self) -> float:
        """Values from black to white of the palette's colours, as 8 bits hold them."""
        return 255.0

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32, nominal [0, 1]."""
        return np.asarray(self.table[stored & stored.dtype.type(len(self.table) - 1)])  # bits above the index say nothing of colour

    def displayed(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32 in [0, 1], as a viewer displays it."""
        return self.decode(stored)

    def encode(self, stored: np.ndarray, normalized: np.ndarray, restored: np.ndarray) -> np.ndarray:
        """A copy of `stored` with what differs between `normalized` and `restored`; see `PixelMapping.encode`."""
        changed = np.abs(restored - normalized).max(-1) > 0.5 / 255
        if not changed.any():
            return stored.copy()
        cells, inverse = np.unique(_cells(restored[changed]), return_inverse=True)
        out = stored.copy()
        outside = stored[changed] & ~stored.dtype.type(len(self.table) - 1)
        out[changed] = self._nearest(cells)[inverse].astype(stored.dtype) | outside
        return out

    def _nearest(self, cells: np.ndarray) -> np.ndarray:
        """For each cell, the first index whose colour is nearest to the cell's centre."""
        colours, first = np.unique(self.table, axis=0, return_index=True)
        centres = np.stack([cells >> 12, cells >> 6 & 63, cells & 63], -1) / 63.0
        squares = (colours**2).sum(-1)
        rows = max(1, (1 << 22) // len(colours))
        found = [np.argmin(squares - 2 * centres[at : at + rows] @ colours.T, axis=1) for at in range(0, len(centres), rows)]
        return np.asarray(first[np.concatenate(found)])


def _cells(colours: np.ndarray) -> np.ndarray:
    """(N, 3) in [0, 1] -> the number of the cell, 64 levels a channel."""
    levels = np.rint(np.clip(colours, 0, 1) * 63).astype(np.int64)
    return np.asarray(levels[:, 0] << 12 | levels[:, 1] << 6 | levels[:, 2])
