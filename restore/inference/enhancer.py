"""`Enhancer`: exposure, colours, contrast and sharpness of photographs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.images.frame import bands
from restore.images.luma import luma
from restore.inference import dither, photo_detail, radiograph
from restore.inference.array_interface import Picture, apply
from restore.inference.arrays import is_eight_bit, to_tensor
from restore.inference.loading import InferenceOptions, load_network
from restore.inference.noise_estimation import estimate
from restore.inference.strengths import Strengths
from restore.networks.lookup_table import Table
from restore.networks.spec import RestorationNetwork
from restore.weights_file import Recipe

TASK = "enhance"
SIDE = 256
"""Side in pixels of what the network sees of a picture."""
PART = 0.75
"""Side of the four corners that the network sees beside the whole, as a fraction. The five tables are averaged."""
ONE_COLOUR = 1e-5
"""Range of a thumbnail below which its picture has one colour: the rounding of a mean."""
DOUBT_BRIGHTER, DOUBT_DARKER = (0.08, 0.1), (0.05, 0.07)
"""Root mean square changes by a table that makes the picture brighter or darker.

Up to the first the table is left out, and from the second on it counts in full. Chosen on 80 held-out pictures: the most doubt with which
each kind of fault is still mended better than by auto-levels, by half a decibel or more. The repair of an over-exposed picture is smaller,
because its clipped whites stay."""

DOUBT_COLOURS = (0.035, 0.045)
"""The same for the part of the change that is not brightness. Of 613 good photographs, parts of them and paintings, none that would stay
otherwise has more than 0.035; of 82 with a cool cast (red times 0.72, blue times 1.06), 30 have."""
TEXTURED = (0.045, 0.07)
"""`texture` of a picture up to which its brightness and contrast stay, and from which on they are judged in full: skies have 0 to 0.045,
97 of 100 photographs more than 0.07, whatever their exposure. The table knows no such pictures: it darkened them to black."""
GRAIN = 0.03
"""Fine detail of a thumbnail, in [0, 1], up to which that of the smoothest tenth may be grain: noise of sigma 10 of 255 has it in small
pictures, in larger ones less reaches the thumbnail."""
BETWEEN = (0.2, 0.3, 0.8, 0.9)
"""Mean brightness outside which, and between which, a picture without texture may be exposed as it should be."""
GRAIN_BLUR = 2.0
"""Standard deviation in pixels of the thumbnail of the blur that averages grain away: of white noise it leaves a seventh."""
FINE_TEXTURE = 0.1
"""`texture` of a picture from which on its spread of brightness counts in full as structure, and below which in proportion: smooth surfaces
under uneven light have less, 87 of 100 under-exposed, faded and other faulty photographs more."""
STRUCTURE = (0.036, 0.041)
"""`structure` of a picture up to which all of it stays, and from which on it is judged in full: of 45 pictures of paper, walls, snow,
stars, black film and the flattest parts of photographs, 43 have less than 0.036. Of 89 photographs with four seeded faults each, 4 of
the 356 have: without the limit, two of them lost 5 and 6 dB, and two gained 3."""
OUTLINED, DETAILED = (25.0, 40.0), (0.1, 0.13)
"""`edges` and `texture` up to which only the spread counts, and from which on a picture of any spread is judged: a faded one with sharp
outlines has 46 to 80 and 0.23. Paper, walls and snow have 1 to 3 edges; starry skies and flat crops with more than 25 lack texture."""
RELATIVE = (0.28, 0.38)
"""The same for `structure` over the mean brightness: pictures 3 stops too dark have 0.38 to 0.49, dark crops and starry skies 0.24."""
PAPER = (0.35, 0.6)
"""Fraction of the pixels that have the picture's most frequent colour: from the first on it may be a page or a screen, whose brightness and
contrast stay from the second on. Of over-exposed photographs 3 % have more than 0.36."""
SAMPLE = 100_000


@dataclass(frozen=True)
class GlobalMap:
    """What changes every pixel of a picture by its own value alone: a table, then a line.

    Attributes:
        table: the table; None for the identity.
        slope, offset: the line.
        change: root mean square change by the table.
    """

    table: Table | None = None
    slope: float = 1.0
    offset: float = 0.0
    change: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether it is the identity."""
        return self.table is None and self.slope == 1 and self.offset == 0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, 1|3) float32 -> the same shape. Gray stays gray."""
        result = np.empty_like(pixels)
        for rows in bands(pixels.shape):
            result[rows] = self._of_table(pixels[rows]) * np.float32(self.slope) + np.float32(self.offset)
        return result

    def slopes(self, channels: int) -> np.ndarray:
        """(256, channels): the slope at each level of gray in 8 bits."""
        ramp = np.linspace(0, 1, dither.LEVELS, dtype=np.float32)[:, None, None]
        ends = self(np.repeat(ramp, channels, axis=2))[:, 0]
        return np.asarray(np.gradient(ends, axis=0) * (dither.LEVELS - 1))

    def _of_table(self, pixels: np.ndarray) -> np.ndarray:
        if self.table is None:
            return pixels
        colours = to_tensor([pixels]).expand(-1, self.table.starts.shape[1], -1, -1)
        mapped = np.asarray(self.table.apply(colours)[0].permute(1, 2, 0).numpy())
        return mapped if mapped.shape == pixels.shape else luma(mapped)[:, :, None]


class Enhancer:
    """Enhances photographs. It keeps no state between pictures, so threads may share one.

    Args:
        network: predicts a lookup table from a picture.
        recipe: the recipe of its weights.
        options: not used: the table is small, and runs on the CPU in float32 so that 16 bits stay 16 bits.

    Raises:
        ValueError: the network does not predict a table of three colours.
    """

    def __init__(self, network: RestorationNetwork, recipe: Recipe | None = None, options: InferenceOptions | None = None) -> None:
        self.recipe: Recipe = recipe or {}
        self.network, self.spec = network.float().eval().requires_grad_(False), network.spec
        if self.spec.channels != 3:
            raise ValueError("this network's table is for gray pictures: enhancing needs one for three colours (data.channels=3)")
        self.network.table(torch.zeros(1, 3, 1, 1))

    @classmethod
    def load(cls, name: str | Path, options: InferenceOptions | None = None) -> Self:
        """An enhancer with the weights called `name` (a name, a file or a run's folder).

        Raises:
            ValueError: the weights do not exist or are for another task.
        """
        return cls(*load_network(name, TASK), options)

    def __call__(self, picture: Picture, strengths: Strengths | None = None) -> Picture:
        """Enhance a picture.

        Args:
            picture: an array or a tensor; see `array_interface.apply`.
            strengths: of each part; 1 by default.

        Returns:
            The same kind, type and shape.

        Raises:
            ValueError: the shape or type is not that of a picture.
        """
        return apply(picture, lambda pixels, valid: self.enhance(pixels, strengths or Strengths(), valid)[0])

    def enhance(
        self,
        pixels: np.ndarray,
        strengths: Strengths,
        valid: np.ndarray | None = None,
        thumbnails: Sequence[np.ndarray] = (),
        *,
        eight_bit: bool = False,
    ) -> tuple[np.ndarray, GlobalMap, float]:
        """Enhance normalized pixels.

        Args:
            pixels: (H, W, 1|3) float32, nominal [0, 1].
            strengths: of each part; where all are 0, the result is the same array.
            valid: (H, W) bool, the pixels that hold picture; None for all.
            thumbnails: what decides the map, see `overview`; none for those of `pixels`. Gray pixels with three channels take gray ones.
            eight_bit: whether they were 8 bits before other steps changed them. If they still are, that is seen.

        Returns:
            (H, W, 1|3) float32, not clipped; the map of exposure and contrast; and the gain of the finest detail.
        """
        if pixels.shape[2] == 3 and radiograph.is_gray(pixels):
            gray, mapped, gain = self.enhance(np.ascontiguousarray(pixels[:, :, :1]), strengths, valid, thumbnails, eight_bit=eight_bit)
            return np.repeat(gray, 3, axis=2), mapped, gain
        seen = thumbnails or overview(pixels)
        structured = structure_trust(seen[0])
        paper = paper_trust(pixels) * structured
        trust = texture_trust(seen[0]) * paper
        judged = replace(strengths, exposure=trust * strengths.exposure, contrast=trust * strengths.contrast)
        mapping, result, gain = self.map(seen, judged), pixels, 1.0
        uneven: np.ndarray | None = None
        if not mapping.plain:
            stairs = eight_bit or is_eight_bit(pixels)
            given = dither.unrounded(pixels, mapping.slopes(pixels.shape[2])) if stairs else pixels
            uneven = None if given is pixels else given != pixels
            result = mapping(given)
        if strengths.local_contrast or strengths.sharpness:
            noise = estimate(luma(result)[:, :, None], valid).level
            local = paper * strengths.local_contrast  # it would make a page's paper uneven
            # coarse grain looks like soft detail, and the noise estimate sees only its finest part
            result, gain = photo_detail.detailed(result, noise, local, structured * strengths.sharpness)
        return result if uneven is None else dither.dithered(result, uneven), mapping, gain

    def map(self, thumbnails: Sequence[np.ndarray], strengths: Strengths) -> GlobalMap:
        """The map of a picture's exposure and contrast, from its `overview`; the plain one for a picture of one colour."""
        mapping = GlobalMap()
        if np.ptp(thumbnails[0], axis=(0, 1)).max() < ONE_COLOUR:
            return mapping
        if strengths.exposure:
            mapping = self._exposure(thumbnails, strengths.exposure)
        if strengths.contrast:
            slope, offset = photo_detail.levels(luma(mapping(thumbnails[0])), strengths.contrast)
            mapping = GlobalMap(mapping.table, slope, offset, mapping.change)
        return mapping

    @torch.inference_mode()
    def _exposure(self, thumbnails: Sequence[np.ndarray], strength: float) -> GlobalMap:
        """The mean table of thumbnails (SIDE, SIDE, 1|3) of a picture, the first of the whole; weaker where it would change little."""
        seen: Tensor = to_tensor(thumbnails).expand(-1, 3, -1, -1)
        table, whole = self.network.table(seen).mean(), seen[:1].clamp(0, 1)
        changes = table.apply(whole) - whole
        change = float(changes.square().mean().sqrt())
        certain = float(np.interp(change, DOUBT_BRIGHTER if changes.mean() > 0 else DOUBT_DARKER, (0, 1)))
        if thumbnails[0].shape[2] == 3:
            certain = max(certain, float(np.interp(colour_change(changes), DOUBT_COLOURS, (0, 1))))
        return GlobalMap(table.scaled(strength * certain), change=change) if certain else GlobalMap(change=change)


def colour_change(changes: Tensor) -> float:
    """Root mean square of changes (1, 3, H, W) without that of brightness."""
    pixels = np.asarray(changes[0].permute(1, 2, 0).numpy())
    return float(np.sqrt(np.square(pixels - luma(pixels)[:, :, None]).mean()))


def texture_trust(thumbnail: np.ndarray) -> float:
    """How far brightness and contrast of a thumbnail (H, W, C) can be judged: 0 for a picture without texture, such as a sky, to 1.

    One that is dark, or nearly white, can be judged without.
    """
    brightness = luma(thumbnail)
    between = float(np.interp(brightness.mean(), BETWEEN, (0, 1, 1, 0)))
    return 1 - between * float(np.interp(texture(brightness), TEXTURED, (1, 0)))


def texture(brightness: np.ndarray) -> float:
    """Mean size of the fine detail of (H, W), without grain, in standard deviations of all; exposure and contrast do not change it.

    Grain is everywhere: it is what the smoothest tenth has.
    """
    local = _fine(brightness)
    grain = min(float(np.quantile(local, 0.1)), GRAIN)
    return float(np.maximum(local - grain, 0).mean() / max(float(brightness.std()), 1e-6))


def _fine(brightness: np.ndarray) -> np.ndarray:
    """(H, W) -> the same: the mean size of the fine detail around each pixel."""
    return cv2.GaussianBlur(np.abs(brightness - cv2.GaussianBlur(brightness, (0, 0), 3)), (0, 0), 4)


def structure_trust(thumbnail: np.ndarray) -> float:
    """How far a thumbnail (H, W, C) shows enough of a scene to judge it: 0 for paper, walls and other plain surfaces, to 1."""
    brightness = luma(thumbnail)
    spread = structure(brightness)
    clear = max(np.interp(edges(brightness), OUTLINED, (0, 1)), np.interp(spread / max(float(brightness.mean()), 1e-6), RELATIVE, (0, 1)))
    return float(max(np.interp(spread, STRUCTURE, (0, 1)), clear * np.interp(texture(brightness), DETAILED, (0, 1))))


def edges(brightness: np.ndarray) -> float:
    """How many times stronger the fine detail of (H, W) is where there is most than where there is least, which is grain."""
    least, most = np.quantile(_fine(brightness), (0.1, 0.98))
    return float(most / max(least, 1e-6))


def structure(brightness: np.ndarray) -> float:
    """Spread of the brightness (H, W) above the grain, in [0, 1]: what is left of its standard deviation when grain is averaged away."""
    coarse = cv2.GaussianBlur(brightness, (0, 0), GRAIN_BLUR)
    return float(coarse.std()) * min(1.0, texture(brightness) / FINE_TEXTURE)


def paper_trust(pixels: np.ndarray) -> float:
    """0 for a page, a screen or a chart (H, W, C), where much has exactly one colour, to 1."""
    step = max(1, pixels.shape[0] * pixels.shape[1] // SAMPLE)
    values = np.rint(pixels.reshape(-1, pixels.shape[2])[::step].astype(np.float64) * 65535)
    _, counts = np.unique(values @ 65537.0 ** np.arange(values.shape[1]), return_counts=True)
    return float(np.interp(counts.max() / len(values), PAPER, (1, 0)))


def overview(pixels: np.ndarray) -> list[np.ndarray]:
    """What the network sees of a picture (H, W, 1|3): thumbnails (SIDE, SIDE, 1|3) of the whole and of its four corners."""
    return [thumbnail(pixels), *map(thumbnail, corners(pixels))]


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """(H, W, C) -> (SIDE, SIDE, C), area-averaged."""
    return np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)).reshape(SIDE, SIDE, -1)


def corners(pixels: np.ndarray) -> list[np.ndarray]:
    """The four corners of (H, W, C), each PART of its sides."""
    rows, columns = (math.ceil(PART * side) for side in pixels.shape[:2])
    vertical, horizontal = (slice(rows), slice(-rows, None)), (slice(columns), slice(-columns, None))
    return [pixels[row, column] for row in vertical for column in horizontal]
