"""Texture for wide holes, copied from where the picture is known and looks alike: what a small network cannot make up.

A network that was not shown enough fills a wide hole with the right colours and no texture. Here its filling guides a copy, as by Criminisi
et al. 2004 ("Region filling and object removal by exemplar-based image inpainting") and Yang et al. 2017 ("High-resolution image inpainting
using multi-scale neural patch synthesis"): each patch of the hole takes the fine detail of the known patch whose coarse colours
are nearest to those that the network made, and rather than any other the one that goes on where its neighbour's left off (coherence,
Ashikhmin 2001, "Synthesizing natural textures"). Colours stay the network's.
"""

from __future__ import annotations

import cv2
import numpy as np

SIZE, STEP = 24, 16
"""Side of a patch, and the way to the next, in pixels: neighbours overlap by the rest and fade into each other."""
COARSE = 10.0
"""Standard deviation in pixels of the Gaussian that parts colours from detail."""
SMOOTH = 2.0
"""The same of the Gaussian that takes the network's own detail from deep in a hole."""
THIN = 8
"""Half the width in pixels up to which a hole is the network's own."""
NEAR, RAMP = 4, 6
"""How far from its edge a wider one is, too, and over how much that ends."""
COHERENCE, CHOICES, POOL, MOST, STRENGTH = 0.8, 4, 200, 20_000, 0.85
"""What counts the distance of a patch that goes on from its neighbour's; of how many nearest others one is drawn, that lie apart from what
was taken nearby, out of how many; sources looked at; and the share of their detail that is taken."""


def textured(filled: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Add texture to a filling.

    Args:
        filled: (H, W, C) float32, nominal [0, 1], its holes filled with the right colours.
        hole: (H, W) bool.

    Returns:
        (H, W, C) float32; the same where there is no wide hole or nothing to copy from, and outside the hole always.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * THIN + 1, 2 * THIN + 1))
    wide = cv2.morphologyEx(hole.astype(np.uint8), cv2.MORPH_OPEN, disc) > 0
    sources = _sources(wide)
    if not wide.any() or len(sources) <= CHOICES:
        return filled
    known = (~wide).astype(np.float32)
    weight = cv2.GaussianBlur(known, (0, 0), COARSE)[:, :, None]
    colours = _blurred(filled * known[:, :, None]) / np.maximum(weight, 1e-3)
    detail = (filled - colours) * known[:, :, None]
    depth = cv2.distanceTransform(wide.astype(np.uint8), cv2.DIST_L2, 5)
    copied = _copied(detail, _Guide(_blurred(filled)), sources, depth)
    share = np.clip((depth - NEAR) / RAMP, 0, 1)[:, :, None]
    # what little texture the network makes so far in is a pattern of its own
    smooth = cv2.GaussianBlur(filled, (0, 0), SMOOTH).reshape(filled.shape)
    return np.asarray(filled + share * (smooth - filled + STRENGTH * copied), np.float32)


def _blurred(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), COARSE).reshape(picture.shape)


def _sources(wide: np.ndarray) -> np.ndarray:
    """Middles (N, 2) of patches that are wholly known; a seeded draw where there are many."""
    half = SIZE // 2
    whole = cv2.erode((~wide).astype(np.uint8), np.ones((SIZE, SIZE), np.uint8), borderValue=0) > 0
    places = np.argwhere(whole[half:-half, half:-half]) + half
    if len(places) > MOST:
        places = places[np.random.default_rng(0).choice(len(places), MOST, replace=False)]
    return places


class _Guide:
    """The coarse colours about a place, as one vector: what two patches are compared by."""

    def __init__(self, coarse: np.ndarray) -> None:
        self.coarse = coarse
        reach = SIZE // 2 - 2
        self.around = np.array([(down, across) for down in (-reach, 0, reach) for across in (-reach, 0, reach)])

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """(N, 2) -> (N, 9 C)."""
        at = np.clip(places[:, None] + self.around, 0, np.array(self.coarse.shape[:2]) - 1)
        return self.coarse[at[:, :, 0], at[:, :, 1]].reshape(len(places), -1)


def _copied(detail: np.ndarray, guide: _Guide, sources: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """The detail for every pixel that is deep enough in a hole, (H, W, C)."""
    height, width = depth.shape
    half, margin = SIZE // 2, 2 * SIZE
    ramp = np.minimum(1, (np.arange(SIZE) + 0.5) / (SIZE - STEP))
    window = np.outer(np.minimum(ramp, ramp[::-1]), np.minimum(ramp, ramp[::-1])).astype(np.float32)[:, :, None]
    total = np.zeros((height + 2 * margin, width + 2 * margin, detail.shape[2]), np.float32)
    weight = np.zeros((*total.shape[:2], 1), np.float32)
    allowed = np.zeros((height, width), bool)
    allowed[sources[:, 0], sources[:, 1]] = True
    if len(sources) == MOST:  # a draw of many: what lies between them is as good
        allowed = cv2.dilate(allowed.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        allowed &= cv2.erode((depth == 0).astype(np.uint8), np.ones((SIZE, SIZE), np.uint8), borderValue=0) > 0
        allowed[:half] = allowed[-half:] = False
        allowed[:, :half] = allowed[:, -half:] = False
    known = guide(sources)
    squares = (known**2).sum(1)
    wanted = cv2.dilate((depth > NEAR).astype(np.uint8), np.ones((SIZE, SIZE), np.uint8)) > 0
    taken: dict[tuple[int, int], np.ndarray] = {}
    rng = np.random.default_rng(0)
    for row, down in enumerate(range(STEP // 2, height + STEP, STEP)):
        for column, across in enumerate(range(STEP // 2, width + STEP, STEP)):
            place = np.array([down, across])
            if not wanted[min(down, height - 1), min(across, width - 1)]:
                continue
            target = guide(place[None])[0]
            distances = squares - 2 * known @ target + target @ target
            nearest = _other(distances, sources, [taken[at] for at in _about(row, column) if at in taken])
            chosen, best = sources[nearest[int(rng.integers(len(nearest)))]], float(distances[nearest].max())
            for above, before in ((0, -1), (-1, 0), (-1, -1), (-1, 1)):
                neighbour = taken.get((row + above, column + before))
                if neighbour is None:
                    continue
                onwards = neighbour - STEP * np.array([above, before])
                if not (0 <= onwards[0] < height and 0 <= onwards[1] < width and allowed[onwards[0], onwards[1]]):
                    continue
                distance = COHERENCE * float(((guide(onwards[None])[0] - target) ** 2).sum())
                if distance < best:
                    chosen, best = onwards, distance
            taken[row, column] = chosen
            top, left = down + margin - half, across + margin - half
            patch = detail[chosen[0] - half : chosen[0] + half, chosen[1] - half : chosen[1] + half]
            total[top : top + SIZE, left : left + SIZE] += window * patch
            weight[top : top + SIZE, left : left + SIZE] += window
    inner = np.s_[margin : margin + height, margin : margin + width]
    return np.asarray(total[inner] / np.maximum(weight[inner], 1e-4))


def _about(row: int, column: int) -> list[tuple[int, int]]:
    """The patches nearby that may have been taken before."""
    return [(above, across) for above in range(row - 3, row + 1) for across in range(column - 3, column + 4)]


def _other(distances: np.ndarray, sources: np.ndarray, used: list[np.ndarray]) -> np.ndarray:
    """Numbers of the nearest sources, those left out that would show again what is shown nearby, if others are left."""
    pool = np.argpartition(distances, min(POOL, len(distances) - 1))[:POOL]
    if used:
        apart = np.abs(sources[pool][:, None] - np.array(used)[None]).max(2).min(1) >= SIZE // 2
        pool = pool[apart] if apart.any() else pool
    return pool[np.argsort(distances[pool])[:CHOICES]]
