"""What a confidence bound holds for: bands with their factors, from the header of the error head's weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from restore.weights_file import Recipe

NOISY = "it is noisy, unlike the calibration pictures (denoise it first)"
DOUBTS: Mapping[str, Mapping[str, str]] = {
    "noise": {
        "relative": "its expected error lies outside that of the calibration pictures: it is of another kind",
        "correlation": "what was removed is correlated between neighbouring pixels, unlike white noise",
        "energy": "what was removed does not have the size of the noise level",
    },
    "detail": {
        "relative": "its expected error lies outside that of the calibration pictures: it is of another kind",
        "noise": NOISY,
        "sharpness": "its sharpness differs from that of the calibration pictures, which were downscaled cleanly",
        "blocks": "it shows the blocks of JPEG, unlike the calibration pictures",
    },
}
"""By what chooses the band: the traits that are compared with the calibration pictures, and what is said where one is unusual."""
UNPROMISED = "the confidence bound is not promised to hold: "


@dataclass(frozen=True)
class Traits:
    """What decides whether a picture is like the calibration pictures.

    Attributes:
        level: what chooses the band, of 255 in the network's range: the noise's standard deviation at medium brightness, or the root
            mean square of what an upscaler added.
        values: the traits by name, see DOUBTS. For noise: `relative`, the mean expected error in units of the noise; `correlation`, of
            the residual between neighbouring pixels; `energy`, the residual's variance in units of the noise's. For detail: `relative`,
            in units of the level; the others in `upscaling_confidence`.
    """

    level: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class Band:
    """One band.

    Attributes:
        low, high: the levels that it holds, of 255.
        factor: by which the head's bound is multiplied (lambda of conformal risk control).
        error_factor: by which its expected error is multiplied, so that its mean is right.
        square_factor: by which the head's squared expected error is multiplied, so that it is the mean squared error.
        pictures: number of calibration pictures.
        ranges: the lowest and the highest value of each trait that counts as like the calibration pictures.
    """

    low: float
    high: float
    factor: float
    error_factor: float
    square_factor: float
    pictures: int
    ranges: Mapping[str, tuple[float, float]]

    def odd(self, traits: Traits) -> tuple[str, ...]:
        """The names of the traits that lie outside the ranges."""
        return tuple(name for name, (least, most) in self.ranges.items() if not least <= traits.values[name] <= most)


@dataclass(frozen=True)
class Calibration:
    """The calibration of one head.

    Attributes:
        measure: what chooses the band, a key of DOUBTS.
        weights: fingerprint of the weights whose results it judges.
        pictures: what the calibration pictures show, in a word.
        digest: SHA-256 of the list of the calibration pictures.
        bands: in rising order.
    """

    measure: str
    weights: str
    pictures: str
    digest: str
    bands: tuple[Band, ...]

    def band(self, traits: Traits) -> Band:
        """The band of a picture; the nearest one where none holds it."""
        return next((one for one in self.bands if traits.level < one.high), self.bands[-1])

    def doubts(self, traits: Traits) -> tuple[str, ...]:
        """Why the bound is not promised for a picture, one sentence each."""
        low, high = self.bands[0].low, self.bands[-1].high
        if not low <= traits.level < high:
            return (f"{UNPROMISED}the {self.measure} ({traits.level:.1f} of 255) lies outside the calibrated {low:g} to {high:g}",)
        return tuple(UNPROMISED + DOUBTS[self.measure][name] for name in self.band(traits).odd(traits))


def read(recipe: Recipe, head: str) -> Calibration | None:
    """The calibration of a head in its weights' recipe; None where there is none.

    Raises:
        ValueError: it is not one that this suite writes.
    """
    found = recipe.get("calibration", {}).get(head)
    if found is None:
        return None
    try:
        measure = str(found["measure"])
        bands = tuple(_band(one, tuple(DOUBTS[measure])) for one in found["bands"])
        calibration = Calibration(measure, str(found["weights"]), str(found["pictures"]), str(found["digest"]), bands)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"the calibration of {head} in the confidence weights cannot be read") from error
    if not bands or any(one.high != two.low for one, two in pairwise(bands)):
        raise ValueError(f"the bands of {head} in the confidence weights do not follow each other")
    return calibration


def _band(found: Recipe, traits: tuple[str, ...]) -> Band:
    ranges = {name: (float(found["ranges"][name][0]), float(found["ranges"][name][1])) for name in traits}
    low, high = float(found["low"]), float(found["high"])
    factor, error_factor, square_factor = (float(found[key]) for key in ("factor", "error_factor", "square_factor"))
    if not all(math.isfinite(number) and number > 0 for number in (high, factor, error_factor, square_factor)) or not 0 <= low < high:
        raise ValueError("a band's numbers must be finite and positive")
    return Band(low, high, factor, error_factor, square_factor, int(found["pictures"]), ranges)
