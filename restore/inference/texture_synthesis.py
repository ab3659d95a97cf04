"""Exemplar-based texture synthesis for wide holes: copies fine detail from elsewhere in the picture.

A small network fills a wide hole with the right colours but without texture. Its filling guides a copy of patches from the hole's edge
inwards, as in Criminisi et al. 2004 ("Region filling and object removal by exemplar-based image inpainting") and Yang et al. 2017
("High-resolution image inpainting using multi-scale neural patch synthesis"). Each patch takes the detail of a source patch. The source
must match the pixels that are already there, and its coarse colours must match those of the network; nearer sources win ties. Candidates
include the continuations of the neighbours' sources (Ashikhmin 2001, "Synthesizing natural textures"; Barnes et al. 2009, PatchMatch,
section 3.2). The colours stay those of the network.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import cv2
import numpy as np

from restore.inference.arrays import local_mean

SIZE, STEP, STEEP = 16, 12, 3
"""Side of a patch and distance to the next, in pixels; exponent of the blending ramp. Wide, soft overlaps blur the texture; narrow, steep
ones leave seams."""
COARSE = 16.0
"""Standard deviation in pixels of the Gaussian that separates colours from detail."""
SMOOTH = 8.0
"""Standard deviation in pixels of the Gaussian that removes the network's own detail from a hole."""
THIN = 5
"""Half the width in pixels up to which a hole gets no copied detail."""
GRAIN = 2.0
"""Standard deviation in pixels of the Gaussian that separates grain from shades: copied into a gradient, these would be blotches."""
RAMP = 8
"""Depth in pixels over which the copied detail fades in."""
REACH = 3
"""Distance in pixels around the best sampled source that is searched for a better one."""
FAR = 1e-4
"""Penalty for each pixel of distance to a source, in squared difference: distant look-alikes usually belong to another object."""
SPARE, FOREIGN = 2.0, 4.0
"""How many times as strong as the detail around it a source's may be, and the penalty for more, in squared difference: what is stronger
is no texture but a thing, such as a highlight, that would stand in the hole again and again."""
REPEATED, SAME = 1.0, 4
"""Penalty, in squared differences of its own detail, for a source within so many pixels of one that an adjacent patch copied: the same
thing at every step is a lattice. Grain repeats unseen."""
EPSILON = 1e-9
"""Lower bound of a weight in a division: smaller than the weight in a patch's corner."""
MAX_SOURCES, MAX_COMPARED, STRENGTH = 12_000, 1000, 0.7
"""Sampled sources; how many of them, the nearest in colour and position, are compared in detail; the fraction of detail that is added."""


def synthesize_texture(filled: np.ndarray, hole: np.ndarray, smooth: np.ndarray | None = None) -> np.ndarray:
    """Add texture to a filling.

    Args:
        filled: (H, W, C) float32, nominal [0, 1], its holes filled with the right colours.
        hole: (H, W) bool.
        smooth: (H, W) float32 in [0, 1], how far nothing but grain is missing, see `smooth_filling`.

    Returns:
        (H, W, C) float32. It is `filled` outside the hole, and everywhere if there is no wide hole or nothing to copy from.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * THIN + 1, 2 * THIN + 1))
    wide = cv2.morphologyEx(hole.astype(np.uint8), cv2.MORPH_OPEN, disc) > 0
    if not wide.any() or not (source_centres := _source_centres(wide)).any():
        return filled
    detail = (filled - local_mean(filled, ~wide, COARSE)) * ~wide[:, :, None]
    copied = _PatchCopier(detail, _blurred(filled, COARSE), source_centres, wide).run()
    depth = cv2.distanceTransform(wide.astype(np.uint8), cv2.DIST_L2, 5)
    fraction = np.clip(depth / RAMP, 0, 1)[:, :, None]
    # the little texture that the network produces this deep is an artificial pattern
    change = _blurred(filled, SMOOTH) - filled + STRENGTH * copied
    if smooth is not None:
        change += smooth[:, :, None] * (STRENGTH * (copied - _blurred(copied, GRAIN)) - change)
    return np.asarray(filled + fraction * change, np.float32)


def _blurred(picture: np.ndarray, deviation: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), deviation).reshape(picture.shape)


def _source_centres(wide: np.ndarray) -> np.ndarray:
    """(H, W) bool: true at the centre of a patch without missing pixels."""
    half = SIZE // 2
    source_centres = cv2.erode((~wide).astype(np.uint8), np.ones((SIZE, SIZE), np.uint8), borderValue=0) > 0
    source_centres[:half] = source_centres[-half:] = source_centres[:, :half] = source_centres[:, -half:] = False
    return source_centres


class _PatchCopier:
    """Copies patches of detail onto a canvas, the most complete patches first.

    Args:
        detail: (H, W, C), 0 where it is missing.
        colours: (H, W, C), the coarse colours of the filled picture.
        source_centres: (H, W) bool, true at the centres of the patches to choose from.
        wide: (H, W) bool, true where detail is missing.
    """

    def __init__(self, detail: np.ndarray, colours: np.ndarray, source_centres: np.ndarray, wide: np.ndarray) -> None:
        self.detail, self.colours, self.source_centres, self.wide = detail, colours, source_centres, wide
        sources = np.argwhere(source_centres)
        if len(sources) > MAX_SOURCES:
            sources = sources[np.random.default_rng(0).choice(len(sources), MAX_SOURCES, replace=False)]
        self.sources = sources
        half = SIZE // 2
        # every second pixel after a low-pass filter discriminates patches as well, in a quarter of the time
        self.offsets, self.soft = np.arange(-half, half, 2), _blurred(detail, 1.0)
        self.descriptors = self._descriptors(sources)
        self.shifts = np.array([(down, across) for down in range(-REACH, REACH + 1) for across in range(-REACH, REACH + 1)])
        self.chosen: dict[tuple[int, int], np.ndarray] = {}
        self.around = np.array([(down, across) for down in (2 - half, 0, half - 2) for across in (2 - half, 0, half - 2)])
        self.colour_samples = self._colour_samples(sources)
        self.squares = (self.colour_samples**2).sum(1)
        ramp = np.minimum(1, (np.arange(SIZE) + 0.5) / (SIZE - STEP))
        ramp = np.minimum(ramp, ramp[::-1])
        self.window = np.outer(ramp, ramp).astype(np.float32)[:, :, None] ** STEEP
        # with this margin a patch over the picture's border has all its pixels
        self.margin = 2 * SIZE
        margins = ((self.margin, self.margin), (self.margin, self.margin), (0, 0))
        self.canvas = np.pad(detail, margins)
        self.known_mask = np.pad(~wide[:, :, None], margins)
        self.filled_weight = self.known_mask.astype(np.float32)
        self.total = np.zeros_like(self.canvas)
        self.weight = np.zeros_like(self.filled_weight)

    def run(self) -> np.ndarray:
        """The copied detail, (H, W, C); 0 far from the hole."""
        for centre in self._patch_order():
            patch = self._patch(centre)
            source = self.chosen[centre] = self._source(centre)
            down, across = source - SIZE // 2
            self.total[patch] += self.window * self.detail[down : down + SIZE, across : across + SIZE]
            self.weight[patch] += self.window
            blended = self.total[patch] / np.maximum(self.weight[patch], EPSILON)
            self.canvas[patch] = np.where(self.known_mask[patch], self.canvas[patch], blended)
            self.filled_weight[patch] = 1
        inner = np.s_[self.margin : self.margin + self.wide.shape[0], self.margin : self.margin + self.wide.shape[1]]
        return np.asarray(self.total[inner] / np.maximum(self.weight[inner], EPSILON))

    def _patch_order(self) -> Iterator[tuple[int, int]]:
        """Centres of the grid's patches that touch the hole. The next one is always the one with the most filled pixels."""
        height, width = self.wide.shape
        touched = cv2.dilate(self.wide.astype(np.uint8), np.ones((SIZE, SIZE), np.uint8)) > 0
        remaining = {
            (down, across)
            for down in range(STEP // 2, height + STEP, STEP)
            for across in range(STEP // 2, width + STEP, STEP)
            if touched[min(down, height - 1), min(across, width - 1)]
        }
        queue = [(-float(self.filled_weight[self._patch(centre)].mean()), centre) for centre in remaining]
        heapq.heapify(queue)
        while queue:
            _, centre = heapq.heappop(queue)
            if centre not in remaining:  # an older entry of a patch that is done
                continue
            remaining.discard(centre)
            yield centre
            for down in (-STEP, 0, STEP):
                for across in (-STEP, 0, STEP):
                    near = centre[0] + down, centre[1] + across
                    if near in remaining:
                        heapq.heappush(queue, (-float(self.filled_weight[self._patch(near)].mean()), near))

    def _source(self, centre: tuple[int, int]) -> np.ndarray:
        """The centre (2,) of the patch to copy from: close in colour, and similar where the canvas is filled."""
        colour_sample = self._colour_samples(np.array([centre]))[0]
        squares = self.squares - 2 * self.colour_samples @ colour_sample + colour_sample @ colour_sample
        distances = self._distances(squares, self.sources, centre)
        count = min(MAX_COMPARED, len(distances))
        nearest = np.argpartition(distances, count - 1)[:count]
        sampled = self._patch(centre, 2)
        filled_weight = self.filled_weight[sampled]
        known = (self.canvas[sampled] * filled_weight).reshape(-1)
        mask = np.repeat(filled_weight, self.canvas.shape[2], 2).reshape(-1)
        descriptors, strength = self.descriptors[nearest], float((known**2).sum() / max(mask.sum(), EPSILON))
        difference = ((descriptors * mask - known) ** 2).sum(1) / filled_weight.size + self._foreign(descriptors, strength)
        difference += self._repeated(centre, self.sources[nearest], descriptors)
        best = self.sources[nearest[int((difference + distances[nearest]).argmin())]]
        # the random sample misses most patches: also compare the best one's neighbours and the continuations of adjacent sources
        others = self._allowed(np.concatenate([best + self.shifts, self._continued(centre)]))
        distances = self._distances(((self._colour_samples(others) - colour_sample) ** 2).sum(1), others, centre)
        descriptors = self._descriptors(others)
        difference = ((descriptors * mask - known) ** 2).sum(1) / filled_weight.size + self._foreign(descriptors, strength)
        difference += self._repeated(centre, others, descriptors)
        return np.asarray(others[int((difference + distances).argmin())])

    def _foreign(self, descriptors: np.ndarray, strength: float) -> np.ndarray:
        """The penalties (N,) of sources (N, D) whose detail is much stronger than `strength`, the mean square of what is there."""
        excess = np.maximum(0, (descriptors**2).mean(1) - SPARE * strength)
        return np.asarray(FOREIGN * self.canvas.shape[2] * excess)

    def _repeated(self, centre: tuple[int, int], candidates: np.ndarray, descriptors: np.ndarray) -> np.ndarray:
        """The penalty (N,) of candidates (N, 2) with descriptors (N, D) that a patch next to `centre` copied."""
        copied = np.array([source for _, source in self._adjacent(centre)]).reshape(-1, 2)
        same = (np.abs(candidates[:, None] - copied).max(2, initial=0) <= SAME).any(1)
        return np.asarray(same * REPEATED * self.canvas.shape[2] * (descriptors**2).mean(1))

    def _adjacent(self, centre: tuple[int, int]) -> list[tuple[tuple[int, int], np.ndarray]]:
        """The steps to the patches around `centre` that have a source, and these sources."""
        steps = [(down, across) for down in (-STEP, 0, STEP) for across in (-STEP, 0, STEP)]
        near = [(step, self.chosen.get((centre[0] + step[0], centre[1] + step[1]))) for step in steps]
        return [(step, source) for step, source in near if source is not None]

    def _distances(self, colour_samples: np.ndarray, candidates: np.ndarray, centre: tuple[int, int]) -> np.ndarray:
        """The distances (N,) of the candidates' centres (N, 2), in colour and in position.

        Args:
            colour_samples: (N,) squared differences of the colour samples.
        """
        return np.asarray(colour_samples / len(self.around) + FAR * np.hypot(candidates[:, 0] - centre[0], candidates[:, 1] - centre[1]))

    def _continued(self, centre: tuple[int, int]) -> np.ndarray:
        """The continuations (N, 2) of the neighbours' sources: at the offset that `centre` has to each neighbour."""
        return np.array([source - step for step, source in self._adjacent(centre)]).reshape(-1, 2).astype(int)

    def _allowed(self, candidates: np.ndarray) -> np.ndarray:
        """The candidates (N, 2) whose patches have no missing pixels."""
        inside = ((candidates >= 0) & (candidates < self.source_centres.shape)).all(1)
        candidates = candidates[inside]
        return np.asarray(candidates[self.source_centres[candidates[:, 0], candidates[:, 1]]])

    def _descriptors(self, candidates: np.ndarray) -> np.ndarray:
        """Feature vectors of patches, (N, D), for comparing them."""
        rows, columns = candidates[:, :1] + self.offsets, candidates[:, 1:] + self.offsets
        return self.soft[rows[:, :, None], columns[:, None, :]].reshape(len(candidates), -1)

    def _colour_samples(self, centres: np.ndarray) -> np.ndarray:
        """The coarse colours at nine points around each centre, (N, 2) -> (N, 9 C)."""
        at = np.clip(centres[:, None] + self.around, 0, np.array(self.wide.shape) - 1)
        return np.asarray(self.colours[at[:, :, 0], at[:, :, 1]]).reshape(len(centres), -1)

    def _patch(self, centre: tuple[int, int], step: int = 1) -> tuple[slice, slice]:
        """The slices of a patch on the canvas, with every `step`-th pixel."""
        top, left = (at + self.margin - SIZE // 2 for at in centre)
        return slice(top, top + SIZE, step), slice(left, left + SIZE, step)
