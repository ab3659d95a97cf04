"""What the pages of a mask's file say is missing, by their brightness and their alpha, and what is wrong with pages that say nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restore.images import Frame, Picture

WHITE = 0.5
"""Share of white, or opacity, above which a pixel of a mask counts."""
ONE_BRIGHTNESS = 0.03
"""Difference from their mean, times the opacity, up to which visible pixels have one brightness: colours of faint pixels are rounded."""
BLACK, MOSTLY_GRAY = 0.1, 0.25
"""Distance from black and from white up to which a pixel is not gray; fraction of gray pixels above which a mask is doubted."""
COLOURFUL = 0.1
"""Range of the channels from which on a colour is not gray."""


@dataclass(frozen=True)
class MaskPage:
    """One page of a mask.

    Attributes:
        values: (H, W) float32, how much each pixel counts; 1 is white or opaque.
        colours: (H, W, 1|3) float32, without alpha.
        is_alpha: whether the values are the alpha alone.
    """

    values: np.ndarray
    colours: np.ndarray
    is_alpha: bool = False

    @property
    def gray(self) -> float:
        """The fraction of the pixels that are neither about black nor about white."""
        return float(((self.values > BLACK) & (self.values < 1 - BLACK)).mean())

    def brightest(self) -> tuple[float, np.ndarray]:
        """The largest of the values, and the colour of its pixel, (1|3)."""
        row, column = np.unravel_index(int(self.values.argmax()), self.values.shape)
        return float(self.values[row, column]), self.colours[row, column]


def page_of(frame: Frame) -> MaskPage:
    """Read a page of a mask.

    An alpha that is not constant counts. Where all visible pixels have one brightness, as in a layer of strokes, the alpha alone is the
    mask, because strokes are drawn in any colour; otherwise it is multiplied by the brightness.
    """
    colours = frame.with_hidden()
    brightness, opacity = colours.mean(2), _opacity(frame)
    if opacity is None:
        return MaskPage(brightness, colours)
    mean = np.average(brightness, weights=opacity)
    if (np.abs(brightness - mean) * opacity).max() <= ONE_BRIGHTNESS:
        return MaskPage(opacity, colours, is_alpha=True)
    return MaskPage(brightness * opacity, colours)


def _opacity(frame: Frame) -> np.ndarray | None:
    """(H, W) float32 in [0, 1]; None where the alpha is missing or constant."""
    alpha = frame.alpha
    if alpha is None:
        return None
    opaque = frame.mapping.opaque if alpha.dtype.kind in "bui" else 1.0  # floats are mapped by the range of their colours
    opacity = np.clip(np.nan_to_num(np.asarray(alpha, np.float32)) / np.float32(opaque), 0, 1)
    return opacity if np.ptp(opacity) > 0 else None


class MaskPages:
    """The pages of a mask's file.

    Args:
        path: the file, for messages.
        picture: the opened file.
        inverted: whether black is filled instead of white.
    """

    def __init__(self, path: Path, picture: Picture, *, inverted: bool) -> None:
        self.path, self.picture, self.inverted = path, picture, inverted

    def holes(self, index: int) -> tuple[np.ndarray, tuple[str, ...]]:
        """Where a page says that the picture is missing, (H, W) bool; and warnings."""
        page = page_of(self.picture.frame(index))
        doubts: tuple[str, ...] = ()
        if page.gray > MOSTLY_GRAY:
            counted = "up to" if self.inverted else "above"
            doubts = (
                f"its mask {self.path} is no mask of black and white: {100 * page.gray:.0f} % of its pixels are gray; "
                f"pixels {counted} half count as missing",
            )
        return (page.values > WHITE) != self.inverted, doubts

    def any_hole(self) -> bool:
        """Whether any page has a hole."""
        return any(self.holes(index)[0].any() for index in range(self.picture.frames))

    def advice(self) -> str:
        """How to mend a mask without a hole, or without anything else."""
        pages = (page_of(self.picture.frame(index)) for index in range(self.picture.frames))
        value, colour, is_alpha = max(((*page.brightest(), page.is_alpha) for page in pages), key=lambda found: found[0])
        if not 0 < value <= WHITE:
            return "is it inverted? leave --invert-masks out" if self.inverted else "is it inverted? --invert-masks"
        part, share = "what is kept" if self.inverted else "the holes", f"{100 * value:.2g} %"
        if is_alpha:
            return f"its most opaque pixel is {share} opaque: make {part} opaque"
        if np.ptp(colour) < COLOURFUL:
            return f"its brightest pixel has {share} of white: scale it so that {part} {'is' if self.inverted else 'are'} white"
        name = "#" + "".join(f"{level:02x}" for level in np.rint(255 * np.clip(colour, 0, 1)).astype(int))
        instead = "" if self.inverted else f", or draw them on the picture and use --mask-color '{name}' instead of --masks"
        return f"its brightest colour, {name}, counts as {share} of white: draw {part} in white{instead}"
