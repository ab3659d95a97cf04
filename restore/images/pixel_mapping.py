"""The interface between stored samples and the normalized pixels that a network sees."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np


class PixelMapping(ABC):
    """Stored samples <-> normalized pixels, for one band of rows. Stateless: bands and threads do not matter."""

    channels: int
    """Channels that a network sees: 1 (gray) or 3 (RGB)."""
    alpha_channel: int | None
    """Which stored channel holds the opacity; None where none does."""

    @abstractmethod
    def decode(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32; finite everywhere.

        The map is affine in the samples (in the colours, where those are coded otherwise); black is 0 and white is 1.
        Values beyond black and white go on beyond 0 and 1: windows and lookup tables decide what is displayed, not what is restored.
        """

    @abstractmethod
    def encode(self, stored: np.ndarray, normalized: np.ndarray, restored: np.ndarray) -> np.ndarray:
        """A changed copy of `stored`; `normalized` is what `decode(stored)` gave, `restored` is finite, both (h, W, channels).

        Where `restored == normalized`, and where the samples are not valid, the result equals `stored` bit for bit.
        """

    @abstractmethod
    def displayed(self, stored: np.ndarray) -> np.ndarray:
        """(h, W[, C]) stored -> (h, W, channels) float32 in [0, 1], as a viewer displays it: through windows and lookup tables."""

    def valid(self, stored: np.ndarray) -> np.ndarray | None:
        """(h, W) bool, true where the samples are a picture (no padding, finite); None where all of them are."""
        return None

    def alpha(self, stored: np.ndarray) -> np.ndarray | None:
        """(h, W) opacity in the stored dtype, or None. `encode` never changes it."""
        return None if self.alpha_channel is None else stored[..., self.alpha_channel]

    def set_alpha(self, stored: np.ndarray, alpha: np.ndarray) -> None:
        """Give `stored` another (h, W) alpha, in place; the decoded colours stay. For mappings that have an alpha."""
        stored[..., self.alpha_channel] = alpha

    @property
    def opaque(self) -> float:
        """The alpha of an opaque pixel."""
        return 1.0

    @property
    def levels(self) -> float:
        """Stored values from black to white; for plain samples the same as from transparent to opaque."""
        return self.opaque

    @property
    def colour_samples(self) -> int:
        """Stored samples of a pixel that hold its colour."""
        return self.channels

    def has_samples_of(self, other: PixelMapping) -> bool:
        """Whether `other` maps the same kind of samples, perhaps by another range or window; this one can then map them too."""
        return False

    def in_colour(self, dtype: np.dtype) -> PixelMapping | None:
        """The mapping of a gray picture's samples of `dtype` as red, green and blue, alpha last; None where they cannot stay."""
        return None

    def is_plain(self, dtype: np.dtype) -> bool:
        """Whether samples of `dtype` mean what every format takes them for: black is 0, white the type's maximum; floats as they are."""
        return False
