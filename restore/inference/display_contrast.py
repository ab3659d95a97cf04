"""Contrast of radiographs and slices for display: a multi-scale power law, then a monotone curve into the window.

Vuylsteke & Schoeters 1994 (MUSICA): the bands of a Laplacian pyramid are amplified by a power law, so that weak structures become visible
beside strong ones. The finest bands are amplified only as far as they exceed the measured noise. Everything is float32 on the normalized
values, of whatever depth, and the result lies within the window: it is for display, not for measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from restore.images.extents import inner_range
from restore.images.frame import filled
from restore.images.noise_model import NoiseLevel
from restore.inference import dither, laplacian_pyramid, tone_curve, uniform_borders
from restore.inference.arrays import is_eight_bit
from restore.inference.strengths import Strengths

FINE = 2
"""So many of the finest bands are sharpness, the others local contrast."""
NOISY = 4
"""In so many of the finest bands the noise is measured; in coarser ones it does not matter."""
LOUDER = 8.0
"""Limit of a band's measured noise, in units of that of white noise: more is structure."""
ASIDE = 0.05
"""Fraction of the range at both ends where the noise is not measured: it is clipped there."""
EXPONENT = 0.25
"""Local contrast of strength 1 lowers the power law's exponent from 1 by this much."""
SHARPNESS = 0.4
"""Gain of the finest bands at strength 1, beyond 1."""
LEFT = (0.06, 0.06, 0.053, 0.038)
"""What `denoise-xray` leaves of white noise of deviation 1 in the finest bands: eight X-rays of 20 to 200 counts, each with two noises,
have 0.03 to 0.09, 0.04 to 0.08, 0.04 to 0.07 and 0.034 to 0.044 of it there; in the next ones 0.024 and 0.012, as much as before."""
MARGIN = 0.02
"""Distance of the values' range from the window's ends."""
WIDEST = 2.5
"""Limit of the factor by which the values' range is widened to fill the window."""
MIDDLE = 0.45
"""Where the median goes, as a fraction of the values' range."""
BRIGHTNESS = (0.6, 1.7)
"""Range of the slope in the dark of the curve that moves it there, at strength 1."""
SPREAD = np.full((dither.LEVELS, 1), 2.0)
"""8-bit values are spread wherever they lie; see `dither.unrounded`."""
SAMPLE = 500_000
"""Pixels that the range and the curve come from."""


@dataclass(frozen=True)
class DisplayContrast:
    """What was done, for the report.

    Attributes:
        range: the values' range in the window before, without the outermost thousandths.
        brightness: the slope in the dark of the curve of the exposure; above 1 is brighter.
    """

    range: tuple[float, float]
    brightness: float


@dataclass(frozen=True)
class Noise:
    """The noise of a picture.

    Attributes:
        level: that which it has.
        removed: that which a denoiser removed before; None for none. Of it the bands keep LEFT.
    """

    level: NoiseLevel
    removed: NoiseLevel | None = None


@dataclass(frozen=True, eq=False)
class Tones:
    """The values of a picture that decide its curve.

    Attributes:
        range: of the values, without the outermost thousandths; the first is the lower.
        sample: (N,) float32, at most 2 * SAMPLE of them.
    """

    range: tuple[float, float]
    sample: np.ndarray

    def shifted(self, by: float) -> Tones:
        """Those of the same picture whose values are larger by so much."""
        return Tones((self.range[0] + by, self.range[1] + by), self.sample + np.float32(by))


def tones(pixels: np.ndarray, valid: np.ndarray | None = None) -> Tones | None:
    """The values that decide the curve of (H, W, 1), as `enhance` measures them; None for a picture of one value."""
    return _tones(pixels, _included(pixels, valid))


def enhance(
    pixels: np.ndarray, noise: Noise, strengths: Strengths, valid: np.ndarray | None = None, measured: Tones | None = None
) -> tuple[np.ndarray, DisplayContrast | None]:
    """Enhance a gray picture for display.

    Args:
        pixels: (H, W, 1) float32 normalized: 0 and 1 are the window's ends.
        noise: its noise.
        strengths: of each part.
        valid: (H, W) bool, the pixels that hold picture; None for all.
        measured: the values that decide the curve, such as those of another frame; None for those of `pixels`.

    Returns:
        (H, W, 1) float32, and what was done. Mats, labels and pixels that are not valid stay. A picture of one value stays too, and the
        second is None.
    """
    if strengths.none:
        return pixels, None
    included = _included(pixels, valid)
    measured = measured or _tones(pixels, included)
    if measured is None:
        return pixels, None
    plane = pixels if included is None else filled(pixels, included)
    plane = np.ascontiguousarray(plane[:, :, 0])
    given = dither.unrounded(plane[:, :, None], SPREAD) if is_eight_bit(pixels) else plane[:, :, None]
    result = _detailed(given[:, :, 0], noise, strengths, measured.range)
    result, brightness = _toned(result, measured, strengths)
    result = dither.dithered(result[:, :, None], given != plane[:, :, None])
    if included is not None:
        result = np.where(included[:, :, None], result, pixels)
    return result, DisplayContrast(measured.range, brightness)


def _tones(pixels: np.ndarray, included: np.ndarray | None) -> Tones | None:
    plane = pixels[:, :, 0]
    sample = plane if included is None else plane[included]
    sample = sample.ravel()[:: max(1, sample.size // SAMPLE)].copy()
    low, high = inner_range(sample) if sample.size else (0.0, 0.0)
    return Tones((low, high), sample) if high > low else None


def _included(pixels: np.ndarray, valid: np.ndarray | None) -> np.ndarray | None:
    """(H, W) bool, the pixels that are enhanced: no mats around the picture, no labels, no padding. None for all."""
    still = uniform_borders.framed(uniform_borders.is_still(pixels))
    included = np.zeros(pixels.shape[:2], bool)
    included[uniform_borders.inner(still)] = True
    labels = uniform_borders.labels(pixels)
    if labels is not None:
        included &= ~labels
    if valid is not None:
        included &= valid
    return None if included.all() or not included.any() else included


def _detailed(plane: np.ndarray, noise: Noise, strengths: Strengths, ends: tuple[float, float]) -> np.ndarray:
    """The power law on all bands and the gain of the fine ones, gated by the noise: (H, W) -> the same."""
    if not strengths.local_contrast and not strengths.sharpness:
        return plane
    deviation = noise.level.map(plane[:, :, None])[:, :, 0]
    removed = None if noise.removed is None else noise.removed.map(plane[:, :, None])[:, :, 0]
    aside = ASIDE * (ends[1] - ends[0])
    grays = ((plane > ends[0] + aside) & (plane < ends[1] - aside)).astype(np.uint8)
    exponent = 1 - EXPONENT * strengths.local_contrast

    def remap(number: int, band: np.ndarray) -> np.ndarray:
        size = band.shape[::-1]
        local = cv2.resize(deviation, size, interpolation=cv2.INTER_AREA)
        share = laplacian_pyramid.noise_of(number)
        if number < NOISY:
            inside = cv2.resize(grays, size, interpolation=cv2.INTER_NEAREST) > 0
            share = min(max(share, laplacian_pyramid.flattest(band, local, inside)), LOUDER * share)
        gain = laplacian_pyramid.power_law(band, exponent)
        if number < FINE:
            gain = gain * np.float32(1 + SHARPNESS * strengths.sharpness)
        sigma = local * np.float32(share)
        if removed is not None:
            sigma = np.hypot(sigma, cv2.resize(removed, size, interpolation=cv2.INTER_AREA) * np.float32(left_of(number)))
        return laplacian_pyramid.gated(band, gain, sigma)

    return laplacian_pyramid.remapped(plane, remap)


def left_of(number: int) -> float:
    """What a denoiser leaves of white noise of deviation 1 in a band; in coarse ones, all of it."""
    return LEFT[number] if number < len(LEFT) else laplacian_pyramid.noise_of(number)


def _toned(plane: np.ndarray, measured: Tones, strengths: Strengths) -> tuple[np.ndarray, float]:
    """A monotone curve: equalised and widened by the contrast, brightened by the exposure. Also returns the brightness."""
    low, high = measured.range
    curve = tone_curve.equalising(measured.sample, low, high, strengths.contrast / 2)
    middle = float(np.clip((curve(np.median(measured.sample, keepdims=True))[0] - low) / (high - low), 0.01, 0.99))
    brightness = float(np.clip(MIDDLE * (1 - middle) / (middle * (1 - MIDDLE)), *BRIGHTNESS)) ** strengths.exposure
    relative = (curve.outputs - low) / (high - low)
    relative = brightness * relative / (1 + (brightness - 1) * relative)
    first, last = _window(low, high, min(strengths.contrast, 1.0))
    return tone_curve.ToneCurve(curve.inputs, first + (last - first) * relative)(plane), brightness


def _window(low: float, high: float, strength: float) -> tuple[float, float]:
    """Where the values' range goes: into the window with a margin, and to its ends as far as WIDEST allows."""
    first, last = MARGIN, 1 - MARGIN
    wide = (high - low) * WIDEST
    if last - first > wide:
        middle = float(np.clip((low + high) / 2, first + wide / 2, last - wide / 2))
        first, last = middle - wide / 2, middle + wide / 2
    return low + strength * (first - low), high + strength * (last - high)
