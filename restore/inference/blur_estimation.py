"""Estimates the width of a picture's blur from its power spectrum.

A Gaussian blur of width s multiplies the power at a frequency f by exp(-(2 pi s f)^2), and the power of photographs falls about with
the square of the frequency (Field 1987, "Relations between the statistics of natural images and the response properties of cortical
cells"). A small regression, learnt from photographs, X-rays and drawings, reads the width off the logarithm of the power, averaged over
rings of frequencies, and off the noise. `benchmarks/train_blur_width.py` makes its table and compares it with a method that looks at edges.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft

from restore.images.frame import filled
from restore.inference import shipped_numbers

RINGS = (0.02, 0.03, 0.045, 0.06, 0.08, 0.1, 0.125, 0.15, 0.18, 0.21, 0.24, 0.27, 0.3, 0.34, 0.38, 0.42, 0.46, 0.5, 0.6, 0.71)
"""Cycles a pixel at which the rings begin and end."""
BASE = slice(1, 5)
"""The rings whose mean is the unit of all: they hold a picture's contrast, which no small blur touches."""
TILE, TILES = 512, 3
"""Side in pixels of the parts of a picture that are looked at, and at most so many along an axis."""
SMALLEST = 48
"""Pixels; in smaller pictures nothing is estimated."""
WIDEST = 3.0
"""Pixels; the widest blur that the regression has seen."""
SMOOTH = 5.0
"""The first ring's logarithm above which a picture holds smooth shading alone: photographs have 2.7, blurred by 3 pixels at most 4.5."""
NOISY = -4.3
"""The logarithm of the noise's power in units of the base above which the noise hides the blur: sigma 8 of 255 in a photograph."""
FLAT = 1e-12
"""Contrast, as power, below which a picture shows no blur."""
TABLE = "blur-width.json"
WINDOW = np.ones((7, 7), np.uint8)
WIDER, DIRECT = np.ones((9, 9), np.uint8), np.ones((3, 3), np.uint8)
"""A window that holds both pixels of each step that counts in WINDOW; a pixel and its neighbours."""
STRONG, STEP = 0.4, 0.75
"""Windows that hold at least STRONG of a picture's contrast are sharp where one step between neighbours makes at least STEP of it."""
STEEPEST, ENOUGH = 0.95, 64
"""Quantile of the steps of a part's strong windows, and how many of these it must have."""
EDGES = ((0.7, 0.8, 1.0, 1.3, 2.0), (0.74, 0.71, 0.64, 0.6, 0.5))
"""Widths of a blur, and steps above which edges are steeper than it leaves any. 51 photographs that are blurred by 0.8 / 1 / 1.3 / 2
pixels have 0.54 / 0.46 / 0.38 / 0.27 at the median and 0.69 / 0.62 / 0.59 / 0.44 at most; a zebra, brick and striped cloth 0.77 to 0.87."""
STROKES = ((0.36, 0.46, 0.53, 0.62, 0.72), (2.0, 1.4, 1.05, 0.85, 0.75))
"""Steps of a page's strokes, and the widths of the blur that leaves them. Pages in six fonts of 9 to 60 pixels, blurred by 0.8 / 1 / 1.2 /
1.5 pixels, have 0.55 to 0.65 / 0.48 to 0.61 / 0.47 to 0.59 / 0.41 to 0.52, by 0.5 pixels 0.88; 30 sharp ones 0.96 or more."""
DIRECTIONS, SECTOR, UNLIKE, LEAST_SIDE = 4, 0.02, 0.6, 150
"""Sectors of the spectrum, by how much each is wider than its share, in radians; pixels by which the widths that they read differ where a
blur has a direction; the least side of a picture that tells. The widths of 39 photographs blurred by a Gaussian of 1 to 2 pixels differ by
0.6 at most, of those blurred along lines of 7 to 15 pixels by 0.9 and more in nine of ten. Of 12 X-rays blurred by a pixel, which have more
detail along their height, three differ by more."""
DOUBTFUL = 0.4
"""Width by the spectrum below which a page is sharp: it reads 0.43 to 1.3 for strokes blurred by 1 pixel."""
PAPER, LEAST_PAPER, PAPER_RANGE = 0.97, 0.2, 0.06
"""A page: the fraction of its flat pixels that have the paper's brightness, the fraction that is flat, and the reach as part of the range.
Of 240 photographs three have so much of one bright tone; their steps are steeper than those of STROKES."""
NOISE_STEP = 3.0
"""Deviations of the noise by which it makes the largest step of a window larger."""
CELLS = 6
"""Parts along each axis in which the sharp windows are counted. The outer ones may hold a frame, which is sharp around any picture."""


@dataclass(frozen=True)
class Regression:
    """Two layers: width = second . max(0, first (features - mean) / deviation + bias) + offset.

    Attributes:
        mean, deviation: (F,) float64 of the features.
        first: (H, F) float64; bias: (H,).
        second: (H,) float64; offset: a number.
    """

    mean: np.ndarray
    deviation: np.ndarray
    first: np.ndarray
    bias: np.ndarray
    second: np.ndarray
    offset: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(..., F) -> (...), widths in pixels."""
        hidden = np.maximum(((features - self.mean) / self.deviation) @ self.first.T + self.bias, 0)
        return np.asarray(hidden @ self.second + self.offset)


@functools.cache
def regression() -> Regression:
    """The one that ships."""
    arrays, offset = shipped_numbers.load(TABLE, "regression")
    return Regression(**arrays, offset=offset)


def estimate(plane: np.ndarray, noise: float, valid: np.ndarray | None = None) -> float:
    """The standard deviation of the blur in pixels, 0..3; 0 for a picture that is flat, smooth, noisy or too small, and for motion.

    Args:
        plane: (H, W) float32, any range.
        noise: standard deviation of its noise, in its units.
        valid: (H, W) bool, the pixels that hold picture; None for all.
    """
    found = features(plane, noise, valid)
    if found is None or found[0] > SMOOTH or found[-1] > NOISY:
        return 0.0
    if has_steps(plane, valid):
        return 0.0
    width = float(np.clip(regression()(found), 0, WIDEST))
    by_strokes = width_of_strokes(plane, valid) if width >= DOUBTFUL else 0.0
    if not by_strokes and has_direction(plane, noise, valid):
        return 0.0
    return by_strokes if has_sharp_edges(plane, noise, width, valid) else max(width, by_strokes)


def has_direction(plane: np.ndarray, noise: float, valid: np.ndarray | None = None) -> bool:
    """Whether the blur is wider along one direction than along another, as that of motion. Arguments as those of `estimate`."""
    part = _part(plane, valid)
    if min(part.shape) < LEAST_SIDE:
        return False
    power = np.maximum(np.mean([_rings(tile, DIRECTIONS) for tile in _tiles(part)], axis=0), noise**2)
    return float(np.ptp(regression()(_logarithms(power, noise)))) > UNLIKE


def has_steps(plane: np.ndarray, valid: np.ndarray | None = None) -> bool:
    """Whether edges are steps from one pixel to the next nearly everywhere: then a picture is sharp, whatever its spectrum says.

    Chessboards, screens and other regular drawings have spectra of a few lines, which tell nothing. Arguments as those of `estimate`.
    """
    steps, strong = _steps(plane, 0.0, valid)
    sharp = strong & (steps >= STEP)
    return 2 * sum(2 * int(sharp[cell].sum()) > max(1, int(strong[cell].sum())) for cell in _cells(plane.shape)) > (CELLS - 2) ** 2


def has_sharp_edges(plane: np.ndarray, noise: float, width: float, valid: np.ndarray | None = None) -> bool:
    """Whether the steepest edges are steeper than a blur of `width` leaves any. Cloth, brick and stripes have spectra of soft pictures.

    Arguments as those of `estimate`.
    """
    steps, strong = _steps(plane, noise, valid)
    steepest = [float(np.quantile(steps[cell][strong[cell]], STEEPEST)) for cell in _cells(plane.shape) if strong[cell].sum() >= ENOUGH]
    return bool(steepest) and float(np.median(steepest)) > float(np.interp(width, *EDGES))


def width_of_strokes(plane: np.ndarray, valid: np.ndarray | None = None) -> float:
    """The width of the blur of a page, from how steep its strokes are; 0 for a sharp page and for what is none.

    The noise is not taken from the steps: on a page without flat paper it is measured too high. Arguments as those of `estimate`.
    """
    if not is_page(plane, valid):
        return 0.0
    steps, strong = _steps(plane, 0.0, valid, WIDER)
    steepest = [float(np.quantile(steps[cell][strong[cell]], STEEPEST)) for cell in _cells(plane.shape) if strong[cell].sum() >= ENOUGH]
    step = float(np.median(steepest)) if steepest else 1.0
    return float(np.interp(step, *STROKES)) if step <= STROKES[0][-1] else 0.0


def is_page(plane: np.ndarray, valid: np.ndarray | None = None) -> bool:
    """Whether nearly all that is flat has one brightness, that of bright paper. Arguments as those of `estimate`."""
    low, high = np.percentile(plane if valid is None else plane[valid], (1, 99))
    reach = PAPER_RANGE * (high - low)
    flat = cv2.dilate(plane, DIRECT) - cv2.erode(plane, DIRECT) < reach
    if valid is not None:
        flat &= cv2.erode(valid.astype(np.uint8), DIRECT) > 0
    if flat.mean() < LEAST_PAPER:
        return False
    values = plane[flat]
    paper = float(np.median(values))
    return paper > (low + high) / 2 and float(np.mean(np.abs(values - paper) < reach)) >= PAPER


def _steps(plane: np.ndarray, noise: float, valid: np.ndarray | None, around: np.ndarray = WINDOW) -> tuple[np.ndarray, np.ndarray]:
    """The largest step between neighbours in each window, without that of the noise, as a fraction of the contrast; the strong windows.

    The contrast is that of the window `around`.
    """
    low, high = np.percentile(plane if valid is None else plane[valid], (1, 99))
    across, down = (np.abs(np.diff(plane, axis=axis)) for axis in (1, 0))
    step = np.zeros_like(plane)
    for part, difference in ((np.s_[:, 1:], across), (np.s_[:, :-1], across), (np.s_[1:], down), (np.s_[:-1], down)):
        np.maximum(step[part], difference, out=step[part])
    contrast = cv2.dilate(plane, around) - cv2.erode(plane, around)
    strong = (contrast > STRONG * (high - low)) & (contrast > 0)
    if valid is not None:
        strong &= cv2.erode(valid.astype(np.uint8), around) > 0
    return (cv2.dilate(step, WINDOW) - np.float32(NOISE_STEP * noise)) / np.maximum(contrast, np.float32(1e-30)), strong


def _cells(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """The inner parts of a picture of (H, W)."""
    rows, columns = (np.linspace(0, side, CELLS + 1).astype(int)[1:-1] for side in shape)
    return [(slice(*rows[i : i + 2]), slice(*columns[j : j + 2])) for i in range(CELLS - 2) for j in range(CELLS - 2)]


def features(plane: np.ndarray, noise: float, valid: np.ndarray | None = None) -> np.ndarray | None:
    """What the regression takes, (F,) float64: logarithms of the rings' power and of the noise's, in units of the base.

    It is None for a picture that is flat or too small. Arguments as those of `estimate`.
    """
    part = _part(plane, valid)
    if min(part.shape) < SMALLEST:
        return None
    power = np.maximum(np.mean([_rings(tile)[0] for tile in _tiles(part)], axis=0), noise**2)  # 16 bits look like the 8 that were learnt
    if _base(power) <= FLAT * max(1.0, float(np.abs(part).max()) ** 2):
        return None
    return _logarithms(power, noise)


def _part(plane: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """The part that holds all valid pixels, the others filled."""
    rows, columns = (slice(0, side) for side in plane.shape) if valid is None else _bounds(valid)
    part = plane[rows, columns]
    if valid is not None and not valid[rows, columns].all():
        part = filled(part[:, :, None], valid[rows, columns])[:, :, 0]
    return part


def _base(power: np.ndarray) -> np.ndarray:
    """(..., rings) -> (...), the mean of the rings of BASE."""
    return np.asarray(np.exp(np.log(power[..., BASE] + 1e-30).mean(axis=-1)))


def _logarithms(power: np.ndarray, noise: float) -> np.ndarray:
    """(..., rings) -> (..., F), what the regression takes."""
    with_noise = np.concatenate([power, np.full((*power.shape[:-1], 1), noise**2)], axis=-1)
    return np.asarray(np.log(with_noise / _base(power)[..., None] + 1e-8))


def _bounds(valid: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that hold all valid pixels."""
    used = [np.flatnonzero(valid.any(axis)) for axis in (1, 0)]
    rows, columns = (slice(int(one[0]), int(one[-1]) + 1) if one.size else slice(0, 0) for one in used)
    return rows, columns


def _tiles(plane: np.ndarray) -> list[np.ndarray]:
    """Parts of a picture, spread evenly over it; the whole of a small one."""
    starts = []
    for side in plane.shape:
        count = min(TILES, max(1, side // TILE))
        starts.append([round(place) for place in np.linspace(0, max(0, side - TILE), count)] if count > 1 else [max(0, (side - TILE) // 2)])
    return [plane[top : top + TILE, left : left + TILE] for top in starts[0] for left in starts[1]]


def _rings(tile: np.ndarray, sectors: int = 1) -> np.ndarray:
    """The mean power of each ring in each sector, (sectors, rings); for white noise the square of its standard deviation."""
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in tile.shape)).astype(np.float32)
    flattened = tile - np.float32(np.sum(tile * window) / np.sum(window))
    power = np.abs(scipy.fft.rfft2(flattened * window)) ** 2 / np.sum(window**2)
    down, across = np.fft.fftfreq(tile.shape[0])[:, None], np.fft.rfftfreq(tile.shape[1])[None]
    ring = np.digitize(np.hypot(down, across), RINGS)
    turn = np.arctan2(down, across)
    found = []
    for middle in np.pi / sectors * np.arange(sectors):
        away = np.abs(np.mod(turn - middle + np.pi / 2, np.pi) - np.pi / 2)
        inside = away <= np.pi / (2 * sectors) + SECTOR
        counts, sums = (np.bincount(ring[inside], weights, len(RINGS) + 1)[1 : len(RINGS)] for weights in (None, power[inside]))
        found.append(sums / np.maximum(counts, 1))
    return np.array(found)
