"""`Estimate`: what is known of the noise of a picture from its pixels, and how far to trust it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from restore.images.noise_model import NoiseLevel

CORRELATED, MIXED = 2.0, 1.6  # of `Estimate.colour` and `spread`: noise blurred by half a pixel has 2.5 and 1.2, clean photographs 8 and 5
WHITE, EVEN = (1.4, 2.4), (1.4, 2.4)  # ranges of `Estimate.colour` and `spread` over which the confidence in a photograph's estimate falls
GRAINY, GRAIN_SPREAD = (8.0, 11.0), (1.6, 2.0)  # ranges of `colour` and `spread` over which noise counts as grain
LEAST = (0.33, 0.4)  # sigma: what rounding to 8 bits leaves is no grain
GRAIN_SIGMA, GRAIN_NORMAL, ABOUT = (2.0, 4.0), (0.2, 0.38), 0.02  # the `normality` that grain of a sigma has, and the range around it
MORE, MUCH_COLOUR = 1.5, (9.0, 12.0)  # how many times a network is given the finest detail of grain, and the `colour` that takes
CERTAIN, SURE = (0.4, 0.8), (0.9, 0.99)  # ranges of `CameraNoise.probability` over which it is trusted, for weak and for strong noise
WEAK, SHARE, WHOLE = (4.0, 8.0), 0.7, 1.2  # sigma of `CameraNoise` from weak to strong; how much of it networks are given
POSSIBLE, FILM = 0.1, 30.0  # its `probability` from which weak noise may be a camera's; `colour` of grain from which it is a film's
MISSED = 1.2  # ratio of the sigma of `CameraNoise` to that of the level from which the level misses much
NORMAL = 0.42  # `normality` above which white noise is certain: of 220 clean photographs, five are white and strong, with 0.41 at most
QUIET, LOUD = 4.0, 8.0  # sigma: a photograph's estimate may be texture up to the first, it is noise from the second on


@dataclass(frozen=True)
class CameraNoise:
    """What a picture's blocks say of coarse noise; see `camera_noise`.

    Attributes:
        probability: that it has noise, and not only texture, 0..1.
        sigma: the noise's standard deviation of 255, if it has any.
    """

    probability: float = 0.0
    sigma: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """A noise estimate from a picture's pixels.

    Attributes:
        level: variance a x + b; or a curve that falls with brightness.
        colour: ratio of the flattest blocks' energy at middle frequencies to that at the highest. It is 1 for white noise and more for
            noise that is correlated between neighbouring pixels, and for texture.
        spread: ratio of the noisiest groups' variance to the line: 1.1 for noise, more for texture.
        normality: see `noise_blocks.normality`.
        camera: coarse noise; `level` may miss most of it.
    """

    level: NoiseLevel = field(default_factory=NoiseLevel)
    colour: float = 1.0
    spread: float = 1.0
    normality: float = 0.46
    camera: CameraNoise = field(default_factory=CameraNoise)

    @property
    def correlated(self) -> bool:
        """Whether the noise is correlated between neighbouring pixels; if so, `level` describes only its finest detail."""
        return self.colour > CORRELATED and (self.spread < MIXED or self.grain > 0.5) and self.level.sigma() > 0

    @property
    def certainly_white(self) -> bool:
        """Whether it is white noise and not texture, which is not as white, or else not as normally distributed."""
        return self.colour < WHITE[1] and self.normality > NORMAL

    @property
    def grain(self) -> float:
        """How far it is coarse grain, as of film and of cameras, 0..1: strongly correlated, alike everywhere, and distributed like noise.

        Grain that a camera's JPEG has smoothed is weak, and less normally distributed than texture of that strength may be.
        """
        sigma = self.level.sigma()
        needed = float(np.interp(sigma, GRAIN_SIGMA, GRAIN_NORMAL))
        normal = np.interp(self.normality, (needed - ABOUT, needed + ABOUT), (0, 1)) * np.interp(sigma, LEAST, (0, 1))
        return float(np.interp(self.colour, GRAINY, (0, 1)) * np.interp(self.spread, GRAIN_SPREAD, (1, 0)) * normal)

    @property
    def coarse(self) -> float:
        """How far the coarse noise of a camera is trusted, 0..1. White noise is measured as it is."""
        strong = float(np.interp(self.camera.sigma, WEAK, (0, 1)))
        low, high = ((1 - strong) * weak + strong * sure for weak, sure in zip(CERTAIN, SURE, strict=True))
        return float(np.interp(self.camera.probability, (low, high), (0, 1)) * np.interp(self.colour, WHITE, (0, 1)))

    @property
    def unmeasured(self) -> bool:
        """Whether the coarse noise of a camera is trusted and `level` misses much of it; its sigma is no limit for stronger noise."""
        return self.coarse > 0 and self.camera.sigma > MISSED * self.level.sigma()

    @property
    def understated(self) -> bool:
        """Whether the noise of a pixel is much stronger than `level`, and not just what rounding to 8 bits leaves of a soft picture."""
        return (self.correlated or self.grain > 0) and self.level.sigma() > LEAST[1]

    @property
    def of_camera(self) -> bool:
        """Whether it looks like the noise of a camera, for which there are weights of their own.

        White noise, strong noise that is measured well, and the even grain of a film are none.
        """
        if self.colour < np.mean(WHITE) or (self.colour > FILM and self.grain > 0.5):
            return False
        return self.coarse > 0.5 or (self.camera.probability > POSSIBLE and self.level.sigma() < QUIET)

    @property
    def for_network(self) -> NoiseLevel:
        """The level that a network is given: of grain more than its finest detail, which is the smallest part of it.

        1.5 times as much gained 0.7 dB on 20 pictures with noise blurred by a pixel, and 0.5 dB on 38 pairs of PolyU; twice as much lost
        0.3 dB on the former.
        """
        return self._raised(SHARE)

    @property
    def for_camera_network(self) -> NoiseLevel:
        """The level that a network is given which learnt the noise of cameras, by its whole strength."""
        return self._raised(WHOLE)

    def _raised(self, share: float) -> NoiseLevel:
        """The level, raised for grain and to `share` of the camera's noise."""
        factor = 1 + (MORE - 1) * self.grain * float(np.interp(self.colour, MUCH_COLOUR, (0, 1)))
        coarse = share * self.camera.sigma / max(self.level.sigma(), 1e-6)
        return self.level.scaled(factor + self.coarse * max(0.0, coarse - factor))

    def confidence(self, span: float = 1.0) -> float:
        """The fraction of the correction to apply for a photograph's estimate, 0.6..1.

        Fine texture reads as noise of a sigma up to about 5, or more if the whole picture is textured. But texture is not white and not
        equal in dark and bright areas. Estimates that are both, and grain, get full confidence; other low estimates are applied in part:
        a fraction of 0.6 saves 4 dB on clean pictures.

        Args:
            span: the picture's range for the network; see `Range`.
        """
        care = float(np.clip(max(self.spread / MIXED, self.colour - WHITE[0]), 1, 2))
        loud = float(np.interp(self.level.sigma() / span, (QUIET * care, LOUD * care), (0, 1)))
        white, even = (float(np.interp(value, ends, (1, 0))) for value, ends in ((self.colour, WHITE), (self.spread, EVEN)))
        return 0.6 + 0.4 * max(loud, min(white, even), self.grain, self.coarse)
