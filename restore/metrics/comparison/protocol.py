"""What is compared: channels, border, value range and metrics. Scores of unlike protocols do not belong in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from restore.metrics import Metric

CHANNELS = ("rgb", "y")
_RANGES = {
    "rgb": "nominal 0..1 of the picture's own range, peak 1",
    "y": "luma of ITU-R BT.601, 16..235 of 255, peak 255 (MATLAB's rgb2ycbcr)",
}
_DEPTHS = {
    "rgb": "as stored; 16-bit pictures are not reduced to 8",
    "y": "luma is rounded to whole numbers where result and reference have 8 bits, and not rounded elsewhere",
}
_LUMA = np.array([65.481, 128.553, 24.966])
"""Weights of R, G and B in [0, 1] for Y in 16..235."""


@dataclass(frozen=True)
class Protocol:
    """How scores were computed. All of it is text or numbers, so that it can be printed, stored and compared.

    Attributes:
        channels: "rgb" compares all channels, "y" the luma as published tables of upscaling do.
        border: pixels left out on every side.
        metrics: name -> what determines its values.
        value_range, bit_depth: of the compared values; they follow from `channels`.
        pixels: what is taken from a file.
        colour: how gray and colour are compared.
        frames: how the frames of one picture count.
        mean: how pictures are averaged.

    Raises:
        ValueError: `channels` is unknown, or the border is negative.
    """

    channels: str = "rgb"
    border: int = 0
    metrics: Mapping[str, str] = field(default_factory=dict)
    value_range: str = field(init=False)
    bit_depth: str = field(init=False)
    pixels: str = "upright, without alpha; floats and DICOM by the reference's range or window, where the samples are of one type"
    colour: str = "gray against colour counts as colour"
    frames: str = "the score of several frames is their mean"
    mean: str = "over the pictures that every contender has; the infinite PSNR of identical pictures is left out"

    def __post_init__(self) -> None:
        if self.channels not in CHANNELS:
            raise ValueError(f"channels must be {' or '.join(CHANNELS)}, not {self.channels}")
        if self.border < 0:
            raise ValueError(f"the border must be at least 0, not {self.border}")
        object.__setattr__(self, "value_range", _RANGES[self.channels])
        object.__setattr__(self, "bit_depth", _DEPTHS[self.channels])

    def as_dict(self) -> dict[str, object]:
        """The protocol as JSON-able values."""
        return asdict(self)

    def in_words(self) -> list[tuple[str, str]]:
        """(name, text) for people, one entry for each metric."""
        own = [(name.replace("_", " "), str(value)) for name, value in self.as_dict().items() if name != "metrics"]
        return [*own, *self.metrics.items()]

    def difference(self, other: Mapping[str, object]) -> str | None:
        """How a stored protocol differs from this one, as a sentence; None if their scores may stand in one table.

        Args:
            other: `as_dict` of a protocol. It may have more metrics than this one.
        """
        for name, value in self.as_dict().items():
            if name != "metrics" and other.get(name) != value:
                return f"{name.replace('_', ' ')} is {other.get(name)!r} there and {value!r} here"
        theirs = other.get("metrics")
        known = theirs if isinstance(theirs, dict) else {}
        for name, value in self.metrics.items():
            if name not in known:
                return f"it has no {name}: name the metrics that it has ({', '.join(map(str, known)) or 'none'})"
            if known[name] != value:
                return f"{name} is {known[name]!r} there and {value!r} here"
        return None

    def compared(self, result: np.ndarray, reference: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
        """Normalized pixels of a result and its reference -> what the metrics get: (H', W', 1|3) both, nominal [0, 1].

        Args:
            result, reference: (H, W, 1|3) of one height and width.
            bits: of the deeper of the two files.

        Raises:
            ValueError: the sizes differ, or the border leaves nothing.
        """
        if result.shape[:2] != reference.shape[:2]:
            sizes = [f"{pixels.shape[1]} x {pixels.shape[0]}" for pixels in (result, reference)]
            raise ValueError(f"{sizes[0]} pixels against {sizes[1]} of the reference")
        height, width = result.shape[:2]
        if min(height, width) <= 2 * self.border:
            raise ValueError(f"nothing is left of {width} x {height} pixels without a border of {self.border}")
        inner = (slice(self.border, height - self.border), slice(self.border, width - self.border))
        channels = 3 if self.channels == "y" else max(result.shape[2], reference.shape[2])
        first, second = (np.repeat(pixels[inner], channels // pixels.shape[2], axis=2) for pixels in (result, reference))
        return (luma(first, bits), luma(second, bits)) if self.channels == "y" else (first, second)


def protocol_of(metrics: Mapping[str, Metric], *, channels: str = "rgb", border: int = 0) -> Protocol:
    """The protocol of a comparison by these metrics.

    Raises:
        ValueError: see `Protocol`.
    """
    return Protocol(channels, border, {name: metric.protocol for name, metric in metrics.items()})


def luma(picture: np.ndarray, bits: int = 8) -> np.ndarray:
    """(H, W, 3) RGB in nominal [0, 1] -> (H, W, 1) float64: Y of ITU-R BT.601 in 16..235, in units of 255.

    Args:
        picture: the colours.
        bits: up to 8, Y is rounded as MATLAB's rgb2ycbcr does for uint8.
    """
    values = 16 + picture.astype(np.float64) @ _LUMA
    return np.asarray((np.rint(values) if bits <= 8 else values)[:, :, None] / 255)
