"""What a confidence bound holds for: noise bands with their factors, from the header of the error head's weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from restore.weights_file import Recipe

TRAITS = ("relative", "correlation", "energy")
"""The traits of a picture that are compared with the calibration pictures; see `Traits`."""
DOUBTS = {
    "relative": "its expected error lies outside that of the calibration pictures: it is of another kind",
    "correlation": "what was removed is correlated between neighbouring pixels, unlike white noise",
    "energy": "what was removed does not have the size of the noise level",
}
UNPROMISED = "the confidence bound is not promised to hold: "


@dataclass(frozen=True)
class Traits:
    """What decides whether a picture is like the calibration pictures.

    Attributes:
        sigma: standard deviation of the noise at medium brightness, of 255, in the network's range.
        relative: the mean expected error in units of the noise.
        correlation: of the residual between neighbouring pixels.
        energy: the residual's variance in units of the noise's.
    """

    sigma: float
    relative: float
    correlation: float
    energy: float


@dataclass(frozen=True)
class Band:
    """One noise band.

    Attributes:
        low, high: the standard deviations that it holds, of 255.
        factor: by which the head's bound is multiplied (lambda of conformal risk control).
        error_factor: by which its expected error is multiplied, so that its mean is right.
        square_factor: by which the head's squared expected error is multiplied, so that it is the mean squared error.
        pictures: number of calibration pictures.
        ranges: the lowest and the highest value of each of TRAITS that counts as like the calibration pictures.
    """

    low: float
    high: float
    factor: float
    error_factor: float
    square_factor: float
    pictures: int
    ranges: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Calibration:
    """The calibration of one head.

    Attributes:
        denoiser: fingerprint of the denoiser's weights.
        pictures: what the calibration pictures show, in a word.
        digest: SHA-256 of the list of the calibration pictures.
        bands: in rising order.
    """

    denoiser: str
    pictures: str
    digest: str
    bands: tuple[Band, ...]

    def judge(self, traits: Traits) -> tuple[Band, tuple[str, ...]]:
        """The band of a picture (the nearest one where none holds it), and why its bound is not promised, one sentence each."""
        low, high = self.bands[0].low, self.bands[-1].high
        band = next((one for one in self.bands if traits.sigma < one.high), self.bands[-1])
        if not low <= traits.sigma < high:
            return band, (f"{UNPROMISED}the noise ({traits.sigma:.1f} of 255) lies outside the calibrated {low:g} to {high:g}",)
        values = {name: vars(traits)[name] for name in TRAITS}
        odd = [name for name, (least, most) in band.ranges.items() if not least <= values[name] <= most]
        return band, tuple(UNPROMISED + DOUBTS[name] for name in odd)


def read(recipe: Recipe, head: str) -> Calibration | None:
    """The calibration of a head in its weights' recipe; None where there is none.

    Raises:
        ValueError: it is not one that this suite writes.
    """
    found = recipe.get("calibration", {}).get(head)
    if found is None:
        return None
    try:
        bands = tuple(_band(one) for one in found["bands"])
        calibration = Calibration(str(found["denoiser"]), str(found["pictures"]), str(found["digest"]), bands)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"the calibration of {head} in the confidence weights cannot be read") from error
    if not bands or any(one.high != two.low for one, two in pairwise(bands)):
        raise ValueError(f"the noise bands of {head} in the confidence weights do not follow each other")
    return calibration


def _band(found: Recipe) -> Band:
    ranges = {name: (float(found["ranges"][name][0]), float(found["ranges"][name][1])) for name in TRAITS}
    low, high = float(found["low"]), float(found["high"])
    factor, error_factor, square_factor = (float(found[key]) for key in ("factor", "error_factor", "square_factor"))
    if not all(math.isfinite(number) and number > 0 for number in (high, factor, error_factor, square_factor)) or not 0 <= low < high:
        raise ValueError("a band's numbers must be finite and positive")
    return Band(low, high, factor, error_factor, square_factor, int(found["pictures"]), ranges)
