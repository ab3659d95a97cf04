"""Seeded blur with a little noise, to train sharpening on: Gaussian, defocus (a disc) and motion (a line).

Pictures are float32 (H, W, C) in nominal [0, 1]. A blur's width is the standard deviation of its kernel along an axis in pixels, so that
kernels of unlike shapes with one width blur about as much.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from restore.datasets import degrade
from restore.images.deconvolution import CAUTION, Inversion, WienerFilter
from restore.limits import check_fields

FINE = 5
"""Discs and lines are drawn so many times as fine as the pixels."""
SIGNAL = (-7.6, 0.9)
"""Mean and standard deviation of the logarithm of a picture's signal, as `deconvolution` measures it, over 55 photographs. A crop's own
would be that of a sky or of a hedge alone."""
LEAST_NOISE = 0.3 / 255
"""Standard deviation of the least noise, that of rounding to 8 bits."""


@dataclass(frozen=True)
class BlurConfig:
    """How pictures are blurred. The fractions are probabilities; all other crops get a Gaussian blur."""

    width: tuple[float, float] = field(
        default=(0.3, 3.0), metadata={"help": "range of the blur's standard deviation in pixels", "range": (0.01, 20), "rising": True}
    )
    sharp_fraction: float = field(default=0.1, metadata={"help": "fraction of the crops that are not blurred", "range": (0, 1)})
    defocus_fraction: float = field(default=0.2, metadata={"help": "fraction of the crops that are blurred by a disc", "range": (0, 1)})
    motion_fraction: float = field(default=0.1, metadata={"help": "fraction of the crops that are blurred along a line", "range": (0, 1)})
    sigma: tuple[float, float] = field(
        default=(0.0, 4.0), metadata={"help": "range of the noise's standard deviation, of 255", "range": (0, 255), "rising": True}
    )
    round_fraction: float = field(default=0.5, metadata={"help": "fraction of the crops that are rounded to 8 bits", "range": (0, 1)})
    jpeg_fraction: float = field(default=0.1, metadata={"help": "fraction of the crops that are stored as JPEG", "range": (0, 1)})
    jpeg_quality: tuple[int, int] = field(default=(85, 97), metadata={"help": "range of its quality", "range": (1, 100), "rising": True})
    width_error: float = field(
        default=0.1, metadata={"help": "standard deviation of the error of the specified width, as a natural logarithm", "range": (0, 2)}
    )
    noise_error: float = field(
        default=0.1, metadata={"help": "standard deviation of the error of the specified noise, as a natural logarithm", "range": (0, 2)}
    )

    def __post_init__(self) -> None:
        check_fields(self)


def blur(picture: np.ndarray, rng: np.random.Generator, *, config: BlurConfig) -> tuple[np.ndarray, np.ndarray]:
    """Blur a gray picture, add noise, and undo as much of the blur as Wiener's filter can.

    Returns:
        The filter's result (H, W, 1), and the condition (H, W, 3), see `Inversion`.
    """
    draws = rng.random(4)
    width = 0.0 if draws[0] < config.sharp_fraction else float(rng.uniform(*config.width))
    specified = width * float(np.exp(rng.normal(0, config.width_error)))
    if width and draws[1] < config.defocus_fraction:
        blurred = filtered(picture, disc(width))
    elif width and draws[1] < config.defocus_fraction + config.motion_fraction:
        blurred = filtered(picture, line(width, float(rng.uniform(0, np.pi))))
    else:
        blurred = gaussian(picture, width)
    sigma = float(rng.uniform(*config.sigma)) / 255
    noisy, _ = degrade.gaussian(blurred, sigma, rng)
    if draws[2] < config.jpeg_fraction:
        noisy = degrade.jpeg(noisy, int(rng.integers(config.jpeg_quality[0], config.jpeg_quality[1] + 1)))
    elif draws[3] < config.round_fraction:
        noisy = degrade.to_8_bits(noisy)
    noise = max(sigma * float(np.exp(rng.normal(0, config.noise_error))), LEAST_NOISE)
    ratio = CAUTION * noise**2 / float(np.exp(rng.normal(*SIGNAL)))
    plane = np.ascontiguousarray(noisy[:, :, 0], np.float32)
    inversion = Inversion(plane, WienerFilter(specified, ratio), noise)
    return inversion.sharper[:, :, None], inversion.condition(*(slice(0, side) for side in plane.shape))


def gaussian(picture: np.ndarray, width: float) -> np.ndarray:
    """Blur by a Gaussian of standard deviation `width`; 0 leaves the picture as it is."""
    return cv2.GaussianBlur(picture, (0, 0), width, borderType=cv2.BORDER_REFLECT).reshape(picture.shape) if width > 0 else picture


def filtered(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Filter each channel by a kernel that sums to 1."""
    return cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT).reshape(picture.shape)


def disc(width: float) -> np.ndarray:
    """The kernel of a lens out of focus: a disc of radius 2 `width`."""
    reach, y, x = _grid(2 * width)
    return _kernel(np.hypot(y, x) <= 2 * width, reach)


def line(width: float, angle: float) -> np.ndarray:
    """The kernel of a steady motion: a line at `angle` (radians), which is sqrt(24) `width` long, one pixel thick.

    Its standard deviation along its length is sqrt(2) `width`, across nearly none: `width` on average.
    """
    half = np.sqrt(24) * width / 2
    reach, y, x = _grid(half + 1)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return _kernel((np.abs(along) <= max(half, 0.5)) & (np.abs(across) <= 0.5), reach)


def _grid(extent: float) -> tuple[int, np.ndarray, np.ndarray]:
    """The reach of a kernel in pixels, and the positions of its fine cells in pixels from its centre."""
    reach = int(np.ceil(extent))
    positions = (np.arange((2 * reach + 1) * FINE) + 0.5) / FINE - reach - 0.5
    y, x = np.meshgrid(positions, positions, indexing="ij")
    return reach, y, x


def _kernel(covered: np.ndarray, reach: int) -> np.ndarray:
    """The covered fraction of each pixel, scaled to a sum of 1."""
    side = 2 * reach + 1
    cells = covered.reshape(side, FINE, side, FINE).mean((1, 3))
    return np.asarray(cells / cells.sum(), np.float32)
