"""How strong each part of an enhancement is."""

from __future__ import annotations

from dataclasses import dataclass

STRONGEST = 2.0


@dataclass(frozen=True)
class Strengths:
    """The parts of an enhancement; 0 leaves a part out, 1 is its measured default, 2 the most.

    Attributes:
        exposure: brightness and colours.
        contrast: the range of brightness of the whole picture.
        local_contrast: contrast of structures within the picture.
        sharpness: contrast of the finest detail, as far as it exceeds the noise.

    Raises:
        ValueError: one is not within 0..2.
    """

    exposure: float = 1.0
    contrast: float = 1.0
    local_contrast: float = 1.0
    sharpness: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= STRONGEST:
                raise ValueError(f"{name} must be from 0 to {STRONGEST:g}, not {value}")

    @property
    def none(self) -> bool:
        """Whether every part is left out."""
        return not any(vars(self).values())
