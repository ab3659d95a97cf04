"""Texture for wide holes, copied from where the picture is known and goes on likewise: what a small network cannot make up.

A network that was not shown enough fills a wide hole with the right colours and no texture. Here its filling guides a copy, patch by patch
from the hole's edge inwards, as by Criminisi et al. 2004 ("Region filling and object removal by exemplar-based image inpainting") and
Yang et al. 2017 ("High-resolution image inpainting using multi-scale neural patch synthesis"): each patch takes the detail of a known
patch that agrees with what is there already, the picture about the hole or patches copied before, and whose coarse colours are near to
those that the network made; the nearer in the picture, the better. Among those to choose from are what goes on where its neighbours were
copied from (Ashikhmin 2001, "Synthesizing natural textures"; Barnes et al. 2009, PatchMatch, section 3.2). Colours stay the network's.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import cv2
import numpy as np

from restore.inference.arrays import local_mean

SIZE, STEP, STEEP = 16, 12, 3
"""Side of a patch, and the way to the next, in pixels: neighbours overlap by the rest and fade into each other, the steeper the larger the
third. What is faded is blurred, and what hardly overlaps does not meet."""
COARSE = 16.0
"""Standard deviation in pixels of the Gaussian that parts colours from detail."""
SMOOTH = 8.0
"""The same of the Gaussian that takes the network's own detail from a hole."""
THIN = 5
"""Half the width in pixels up to which a hole is the network's own."""
RAMP = 8
"""Pixels behind the edge of a wider one over which it fades in."""
REACH = 3
"""Pixels about the best source drawn in which a better one is sought."""
FAR = 1e-4
"""How much worse a source is for each pixel that it lies further off, in squared difference: what is alike far off is of another thing."""
LEAST = 1e-9
"""Of a weight that is divided by: less than a patch's corner has."""
MOST, POOL, STRENGTH = 12_000, 1000, 0.7
"""Sources looked at, those of them whose detail is compared, the nearest in colour and place; and the share of the detail that is taken."""


def synthesized(filled: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Add texture to a filling.

    Args:
        filled: (H, W, C) float32, nominal [0, 1], its holes filled with the right colours.
        hole: (H, W) bool.

    Returns:
        (H, W, C) float32; the same where there is no wide hole or nothing to copy from, and outside the hole always.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * THIN + 1, 2 * THIN + 1))
    wide = cv2.morphologyEx(hole.astype(np.uint8), cv2.MORPH_OPEN, disc) > 0
    if not wide.any() or not (whole := _whole(wide)).any():
        return filled
    detail = (filled - local_mean(filled, ~wide, COARSE)) * ~wide[:, :, None]
    copied = _Copy(detail, _blurred(filled, COARSE), whole, wide).made()
    depth = cv2.distanceTransform(wide.astype(np.uint8), cv2.DIST_L2, 5)
    share = np.clip(depth / RAMP, 0, 1)[:, :, None]
    # what little texture the network makes so far in is a pattern of its own
    return np.asarray(filled + share * (_blurred(filled, SMOOTH) - filled + STRENGTH * copied), np.float32)


def _blurred(picture: np.ndarray, deviation: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), deviation).reshape(picture.shape)


def _whole(wide: np.ndarray) -> np.ndarray:
    """(H, W) bool: true in the middle of a patch that is wholly known."""
    half = SIZE // 2
    whole = cv2.erode((~wide).astype(np.uint8), np.ones((SIZE, SIZE), np.uint8), borderValue=0) > 0
    whole[:half] = whole[-half:] = whole[:, :half] = whole[:, -half:] = False
    return whole


class _Copy:
    """A canvas onto which patches of detail are copied, those first of which most is known.

    Args:
        detail: (H, W, C), 0 where it is missing.
        colours: (H, W, C), the coarse colours of everything, the network's where it made them.
        whole: (H, W) bool, true in the middle of the patches to choose from.
        wide: (H, W) bool, true where detail is missing.
    """

    def __init__(self, detail: np.ndarray, colours: np.ndarray, whole: np.ndarray, wide: np.ndarray) -> None:
        self.detail, self.colours, self.whole, self.wide = detail, colours, whole, wide
        sources = np.argwhere(whole)
        if len(sources) > MOST:
            sources = sources[np.random.default_rng(0).choice(len(sources), MOST, replace=False)]
        self.sources = sources
        half = SIZE // 2
        # every second pixel behind a low-pass tells two patches apart as well, in a quarter of the time
        self.offsets, self.soft = np.arange(-half, half, 2), _blurred(detail, 1.0)
        self.looks = self._looks(sources)
        self.shifts = np.array([(down, across) for down in range(-REACH, REACH + 1) for across in range(-REACH, REACH + 1)])
        self.chosen: dict[tuple[int, int], np.ndarray] = {}
        self.around = np.array([(down, across) for down in (2 - half, 0, half - 2) for across in (2 - half, 0, half - 2)])
        self.hues = self._hues(sources)
        self.squares = (self.hues**2).sum(1)
        ramp = np.minimum(1, (np.arange(SIZE) + 0.5) / (SIZE - STEP))
        ramp = np.minimum(ramp, ramp[::-1])
        self.window = np.outer(ramp, ramp).astype(np.float32)[:, :, None] ** STEEP
        # so much margin that a patch over the picture's border has all its pixels
        self.margin = 2 * SIZE
        margins = ((self.margin, self.margin), (self.margin, self.margin), (0, 0))
        self.canvas = np.pad(detail, margins)
        self.given = np.pad(~wide[:, :, None], margins)
        self.there = self.given.astype(np.float32)
        self.total = np.zeros_like(self.canvas)
        self.weight = np.zeros_like(self.there)

    def made(self) -> np.ndarray:
        """The copied detail, (H, W, C); 0 far from the hole."""
        for place in self._places():
            patch = self._place(place)
            source = self.chosen[place] = self._source(place)
            down, across = source - SIZE // 2
            self.total[patch] += self.window * self.detail[down : down + SIZE, across : across + SIZE]
            self.weight[patch] += self.window
            together = self.total[patch] / np.maximum(self.weight[patch], LEAST)
            self.canvas[patch] = np.where(self.given[patch], self.canvas[patch], together)
            self.there[patch] = 1
        inner = np.s_[self.margin : self.margin + self.wide.shape[0], self.margin : self.margin + self.wide.shape[1]]
        return np.asarray(self.total[inner] / np.maximum(self.weight[inner], LEAST))

    def _places(self) -> Iterator[tuple[int, int]]:
        """Middles of the patches of a grid that touch the hole; each next one the one of which most is there by then."""
        height, width = self.wide.shape
        touched = cv2.dilate(self.wide.astype(np.uint8), np.ones((SIZE, SIZE), np.uint8)) > 0
        left = {
            (down, across)
            for down in range(STEP // 2, height + STEP, STEP)
            for across in range(STEP // 2, width + STEP, STEP)
            if touched[min(down, height - 1), min(across, width - 1)]
        }
        queue = [(-float(self.there[self._place(place)].mean()), place) for place in left]
        heapq.heapify(queue)
        while queue:
            _, place = heapq.heappop(queue)
            if place not in left:  # an older entry of one that has had its turn
                continue
            left.discard(place)
            yield place
            for down in (-STEP, 0, STEP):
                for across in (-STEP, 0, STEP):
                    near = place[0] + down, place[1] + across
                    if near in left:
                        heapq.heappush(queue, (-float(self.there[self._place(near)].mean()), near))

    def _source(self, place: tuple[int, int]) -> np.ndarray:
        """The middle (2,) of the patch to copy from: near in colour, and alike where something is there."""
        hue = self._hues(np.array([place]))[0]
        off = self._distant(self.squares - 2 * self.hues @ hue + hue @ hue, self.sources, place)
        count = min(POOL, len(off))
        nearest = np.argpartition(off, count - 1)[:count]
        sampled = self._place(place, 2)
        there = self.there[sampled]
        seen = (self.canvas[sampled] * there).reshape(-1)
        mask = np.repeat(there, self.canvas.shape[2], 2).reshape(-1)
        unlike = ((self.looks[nearest] * mask - seen) ** 2).sum(1) / there.size
        best = self.sources[nearest[int((unlike + off[nearest]).argmin())]]
        # the draw has missed most patches: its best one's neighbours, and what goes on where a patch beside this one was copied from
        others = self._allowed(np.concatenate([best + self.shifts, self._continued(place)]))
        off = self._distant(((self._hues(others) - hue) ** 2).sum(1), others, place)
        unlike = ((self._looks(others) * mask - seen) ** 2).sum(1) / there.size
        return np.asarray(others[int((unlike + off).argmin())])

    def _distant(self, hues: np.ndarray, middles: np.ndarray, place: tuple[int, int]) -> np.ndarray:
        """How far off the middles (N, 2) are, from the squared differences (N,) of their colours and in the picture."""
        return np.asarray(hues / len(self.around) + FAR * np.hypot(middles[:, 0] - place[0], middles[:, 1] - place[1]))

    def _continued(self, place: tuple[int, int]) -> np.ndarray:
        """The middles (N, 2) that lie to the neighbours' sources as `place` does to the neighbours."""
        steps = [(down, across) for down in (-STEP, 0, STEP) for across in (-STEP, 0, STEP)]
        near = [((down, across), self.chosen.get((place[0] + down, place[1] + across))) for down, across in steps]
        return np.array([source - step for step, source in near if source is not None]).reshape(-1, 2).astype(int)

    def _allowed(self, middles: np.ndarray) -> np.ndarray:
        """Those of the middles (N, 2) about which all is known."""
        inside = ((middles >= 0) & (middles < self.whole.shape)).all(1)
        middles = middles[inside]
        return np.asarray(middles[self.whole[middles[:, 0], middles[:, 1]]])

    def _looks(self, middles: np.ndarray) -> np.ndarray:
        """What patches look like, (N, D)."""
        rows, columns = middles[:, :1] + self.offsets, middles[:, 1:] + self.offsets
        return self.soft[rows[:, :, None], columns[:, None, :]].reshape(len(middles), -1)

    def _hues(self, places: np.ndarray) -> np.ndarray:
        """The coarse colours about places (N, 2), at nine points: (N, 9 C)."""
        at = np.clip(places[:, None] + self.around, 0, np.array(self.wide.shape) - 1)
        return np.asarray(self.colours[at[:, :, 0], at[:, :, 1]]).reshape(len(places), -1)

    def _place(self, place: tuple[int, int], step: int = 1) -> tuple[slice, slice]:
        """A patch on the canvas, every `step`-th pixel of it."""
        top, left = (at + self.margin - SIZE // 2 for at in place)
        return slice(top, top + SIZE, step), slice(left, left + SIZE, step)
