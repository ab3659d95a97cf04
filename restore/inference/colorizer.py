"""`Colorizer`: adds colours to gray pictures of any size; their luma stays exactly as it is.

The network sees the whole picture at a low resolution, where its content decides the colours. The chroma that it predicts is brought up to
the picture's size along the edges of the luma. A mat of one value around the picture stays gray, and the network does not see it.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from restore.images import luma
from restore.images.frame import bands, filled
from restore.inference import guided_filter, palette
from restore.inference.array_interface import FRACTION, Picture, apply, levels_of
from restore.inference.loading import InferenceOptions
from restore.inference.network_model import NetworkModel
from restore.inference.palette import Palette
from restore.inference.tile_faults import InferenceInfo
from restore.inference.uniform_borders import framed, inner, is_still
from restore.limits import number
from restore.networks.spec import RestorationNetwork
from restore.weights_file import Recipe

TASK = "colorize"
SHORT_SIDE = 128
"""Pixels of the shorter side of what the network sees, as in its training. Smaller pictures keep their size."""
RADIUS, EPSILON = 3, 1e-3
"""Of the guided filter, in pixels of what the network sees, and as a variance of the luma."""

SHOWN = 0.5
"""Fraction of a shrunk hint's pixel that must be visible, so that it counts."""
VIVID, MOST = 0.06, 2.0
"""Chroma (Cb, Cr; nominal -0.5..0.5) at which predicted colours stay as they are, and the largest factor on stronger ones."""


class Colorizer(NetworkModel):
    """A network that predicts colours from luma. It keeps no state between pictures, so threads may share one.

    Args:
        network: predicts the correction that colours a picture; what it changes in the luma is not used.
        recipe: the recipe of its weights.
        options: see `InferenceOptions`; by default those of this machine. The network sees the picture as one tile.
    """

    task = TASK

    def __init__(self, network: RestorationNetwork, recipe: Recipe | None = None, options: InferenceOptions | None = None) -> None:
        super().__init__(network, recipe, replace(options or InferenceOptions(), tile=0))

    def __call__(self, picture: Picture, strength: float = 1.0, *, hint: Palette | None = None) -> Picture:
        """Colour a picture.

        Args:
            picture: an array or a tensor; see `array_interface.apply`. Colours that it has are replaced.
            strength: saturation, from gray (0) to the network's colours (1).
            hint: a palette, see `colorize`.

        Returns:
            The same kind and type with three channels, and alpha where the picture has it. The luma of 8- and 16-bit integers is the same.

        Raises:
            ValueError: an option is out of range, or the shape or type is not that of a picture.
        """
        number("strength", strength, FRACTION)
        levels = levels_of(picture)
        return apply(picture, lambda pixels, valid: self.colorize(pixels, strength, hint=hint, levels=levels)[0])

    def colorize(
        self, pixels: np.ndarray, strength: float = 1.0, *, hint: Palette | None = None, levels: int | None = None
    ) -> tuple[np.ndarray, InferenceInfo]:
        """Colour normalized pixels.

        Args:
            pixels: (H, W, 1|3) float32, nominal [0, 1]. Of three channels, the luma is used.
            strength: saturation, from gray (0) to the network's colours (1).
            hint: the palette of another picture (see `palette_of`), which the predicted colours take on.
            levels: steps from black to white of the integers that the result is to be stored as; None for floats.

        Returns:
            (H, W, 3) float32 with the luma of `pixels`, rounded to `levels` steps; and information about the run.
        """
        gray = luma.luma(pixels)
        within = inner(framed(is_still(pixels)))
        out = np.empty((*gray.shape, 3), np.float32)
        picture, coloured = gray[within], out[within]
        if picture.shape != gray.shape:
            for rows in bands(gray.shape):
                out[rows] = _rounded(gray[rows], levels)[:, :, None]
        small = _shrunk(picture)
        predicted, info = self._predict(small)
        chroma = _vivid(predicted)
        if hint is not None:
            chroma = palette.transfer(small, chroma, hint)
        linear = guided_filter.coefficients(small, chroma * np.float32(strength), radius=RADIUS, epsilon=EPSILON)
        enlarge = guided_filter.rows_of(linear, *picture.shape)
        for rows in bands(picture.shape):
            target = _rounded(picture[rows], levels)
            made = luma.with_chroma(target, enlarge(rows, target))
            coloured[rows] = made if levels is None else luma.on_grid(made, target, levels)
        return out, info

    def _predict(self, gray: np.ndarray) -> tuple[np.ndarray, InferenceInfo]:
        """(h, w) -> (h, w, 2), the mean of the chroma predicted for the picture and for its mirror image."""
        views = []
        for picture in (gray, gray[:, ::-1]):
            restored, info = self.runner.run(np.repeat(picture[:, :, None], 3, axis=2))
            views.append(luma.chroma(restored))
        return (views[0] + views[1][:, ::-1]) / 2, info


def palette_of(pixels: np.ndarray, visible: np.ndarray | None = None) -> Palette:
    """The palette of a colour picture, for `Colorizer.colorize`.

    Args:
        pixels: (H, W, 3) float32, nominal [0, 1].
        visible: (H, W) bool, the pixels that count (see `Frame.visible`); None for all.

    Raises:
        ValueError: the picture is gray.
    """
    if pixels.shape[2] == 3:
        small = np.clip(_shrunk(pixels if visible is None else filled(pixels, visible)), 0, 1)
        if visible is not None and (shown := _shrunk(visible.astype(np.float32)) >= SHOWN).any():
            small = small[shown][None]
        found = palette.palette(luma.luma(small), luma.chroma(small))
        if not found.is_gray:
            return found
    raise ValueError("the hint is gray: name a colour picture")


def _rounded(gray: np.ndarray, levels: int | None) -> np.ndarray:
    """Luma rounded to `levels` steps from black to white; as it is for None."""
    return gray if levels is None else np.asarray(np.rint(gray * np.float32(levels)) / levels, np.float32)


def _vivid(chroma: np.ndarray) -> np.ndarray:
    """(h, w, 2) with strong colours strengthened and weak ones weakened.

    A network answers doubt with pale colours, so a strong colour is a certain one. One factor for all would add more error for the same
    colourfulness.
    """
    strength = np.linalg.norm(chroma, axis=2, keepdims=True) / VIVID
    return np.asarray(chroma * np.minimum(strength, MOST), np.float32)


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """(H, W[, C]) with the shorter side at most SHORT_SIDE, area-averaged."""
    height, width = picture.shape[:2]
    factor = SHORT_SIDE / min(height, width)
    if factor >= 1:
        return picture
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
