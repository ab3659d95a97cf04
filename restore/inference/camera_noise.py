"""Tells the noise of cameras from the fine texture of clean photographs, and says how strong it is.

Cameras smooth and compress their noise. What is left is coarse, and its finest detail, which the estimate measures, is as weak as that of
texture. A small network looks at the energies of a picture's 8 x 8 DCT blocks instead: noise has a floor in all bands and everywhere, and
no direction. It learnt from photographs with noise that was made on a simulated sensor; see `restore.datasets.camera` and
`python benchmarks/train_camera_noise.py DATASETS`, which makes its table.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy.special import expit

from restore.images.luma import luma
from restore.images.noise_model import BLOCK, ORDER, dct
from restore.inference import shipped_numbers
from restore.inference.noise_estimate import CameraNoise, Estimate
from restore.inference.shipped_numbers import Perceptron
from restore.inference.uniform_borders import framed, inner, is_still

BANDS = tuple((low <= ORDER) & (high >= ORDER) for low, high in ((1, 1), (2, 2), (3, 3), (4, 4), (5, 6), (7, 8), (9, 14)))
"""Coefficients of a block, from coarse to fine."""
COARSE, MIDDLE = slice(0, 3), slice(3, 5)
"""Of BANDS."""
ACROSS = (ORDER >= 3) & (ORDER <= 6) & np.tri(BLOCK, k=-1, dtype=bool).T
"""Coefficients that change more along a row than along a column."""
QUANTILES, DARK_QUANTILES = (0.05, 0.15, 0.3, 0.5, 0.75), (0.1, 0.3)
FLAT = (0.02, 0.2)
"""Quantiles of the coarse energy between which blocks are flat."""
QUARTERS = 4
"""Groups of equal brightness."""
EVEN = 1e-3
"""Range of logarithms below which nothing changes."""
FLOOR = 0.05**2
"""Energy, in units of 1/255, below which differences do not count."""
STEP, MOST = 4, 6000
"""Pixels between blocks; number of blocks about which they are farther apart."""
FEWEST = 100
"""Blocks below which nothing is said."""
TABLE = "camera-noise.json"


@functools.cache
def networks() -> tuple[Perceptron, Perceptron]:
    """Those that ship: the logit of the probability, and the logarithm of sigma."""
    return shipped_numbers.perceptron(TABLE, "presence"), shipped_numbers.perceptron(TABLE, "strength")


def detect(picture: np.ndarray, estimate: Estimate, valid: np.ndarray | None = None) -> CameraNoise:
    """Look at a photograph.

    Args:
        picture: (H, W, 1|3) float32 in any range; one of more than 1 counts as the whole range of a file.
        estimate: of its noise.
        valid: (H, W) bool, the pixels that hold picture; None for all. Frames and mats are left out too.
    """
    values = features(_inner(picture, valid), estimate)
    if values is None:
        return CameraNoise()
    presence, strength = networks()
    return CameraNoise(float(expit(presence(values))), _span(picture) * float(np.exp(strength(values))))


def features(picture: np.ndarray, estimate: Estimate) -> np.ndarray | None:
    """What the networks take, (F,) float64; None for a picture with fewer than 100 blocks. Arguments as those of `detect`."""
    if min(picture.shape[:2]) < BLOCK:
        return None
    span = _span(picture)
    windows = np.lib.stride_tricks.sliding_window_view(np.ascontiguousarray(luma(picture)), (BLOCK, BLOCK))
    step = max(STEP, int(np.ceil(np.sqrt(windows.shape[0] * windows.shape[1] / MOST))))
    grid = windows[::step, ::step]
    rows, columns = grid.shape[:2]
    if rows * columns < FEWEST or columns < 3:
        return None
    blocks = np.float32(255 / span) * dct(np.ascontiguousarray(grid).reshape(-1, BLOCK, BLOCK))
    energy = np.stack([np.square(blocks[:, band]).mean(axis=1, dtype=np.float64) for band in BANDS], axis=1)
    coarse, middle = (np.log(part + FLOOR) for part in (energy[:, COARSE].sum(axis=1), energy[:, MIDDLE].sum(axis=1)))
    order = np.argsort(coarse, kind="stable")
    flat = order[int(FLAT[0] * len(order)) : int(FLAT[1] * len(order))]
    levels = [estimate.level.sigma(brightness) / span for brightness in (0.5, 0.2, 0.8)]
    return np.array([
        *np.quantile(np.log(energy + FLOOR), QUANTILES, axis=0).T.ravel(),
        *_tails(blocks[flat]),
        *_directions(blocks, flat),
        middle[flat].std(), _correlation(middle, coarse), _alike(middle.reshape(rows, columns)), _correlation(middle[flat], coarse[flat]),
        *_by_brightness(blocks[:, 0, 0] / BLOCK, middle),
        *np.log(np.array([*levels, estimate.colour, min(estimate.spread, 1e3)]) + 0.1), estimate.normality,
    ])  # fmt: skip


def _inner(picture: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """The part of a picture within its frame, mat and padding."""
    excluded = framed(is_still(np.ascontiguousarray(picture[:, :, 0])))
    return picture[inner(excluded if valid is None else excluded | ~valid)]


def _span(picture: np.ndarray) -> float:
    return max(1.0, float(np.ptp(picture)))


def _tails(flat: np.ndarray) -> list[float]:
    """For each band but the coarsest, how normally distributed the coefficients of flat blocks (n, 8, 8) are."""
    found = []
    for band in BANDS[2:]:
        values = flat[:, band]
        found.append(float(np.log(np.median(np.abs(values), axis=0) ** 2 / np.maximum(np.square(values).mean(axis=0), 1e-9) + 1e-3).mean()))
    return found


def _directions(blocks: np.ndarray, flat: np.ndarray) -> list[float]:
    """How far blocks (N, 8, 8) have more energy along one axis than along the other: the mean of the flat ones, quantiles of all."""
    across, down = (np.square(blocks[:, where]).mean(axis=1) for where in (ACROSS, ACROSS.T))
    uneven = np.abs(across - down) / (across + down + FLOOR)
    return [float(uneven[flat].mean()), *np.quantile(uneven, (0.25, 0.5, 0.75)).tolist()]


def _alike(grid: np.ndarray) -> float:
    """The correlation of (rows, columns) values with those two columns away."""
    return _correlation(grid[:, 2:].ravel(), grid[:, :-2].ravel())


def _by_brightness(brightness: np.ndarray, middle: np.ndarray) -> list[float]:
    """The low quantiles of `middle`, (N,), and the mean brightness of each quarter from dark to bright."""
    found: list[float] = []
    for part in np.array_split(np.argsort(brightness, kind="stable"), QUARTERS):
        found += [*np.quantile(middle[part], DARK_QUANTILES).tolist(), float(brightness[part].mean()) / 64]
    return found


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Of two (N,); 1 where one does not change."""
    if min(np.ptp(first), np.ptp(second)) < EVEN:
        return 1.0
    return float(np.corrcoef(first, second)[0, 1])
