"""The options of every task. The flags, the keywords, the checks and the documentation come from here; no torch is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from restore.pipeline.options import Options, option

LARGEST_SCALE = 4.0
MASK_SOURCES = ("masks", "mask_color", "alpha", "scratches")
"""Options of which exactly one says where the holes are."""


@dataclass(frozen=True)
class DenoiseOptions(Options):
    """The options of `restore denoise`."""

    noise_level: float | str = option(
        "auto", "Standard deviation of the noise, white being 255; auto estimates it for each picture.", metavar="auto|0..255",
        words=("auto",), low=0, high=255,
    )  # fmt: skip
    strength: float = option(1.0, "How much of the noise to remove.", metavar="0..1", low=0, high=1)
    ensemble: str = option(
        "auto", "Views averaged: finer, for as many times the work. auto: 2, X-rays 1.", metavar="auto|1|2|4|8",
        choices=("auto", "1", "2", "4", "8"),
    )  # fmt: skip


@dataclass(frozen=True)
class UpscaleOptions(Options):
    """The options of `restore upscale`."""

    scale: float | None = option(
        None, "How many times larger: any number above 1 up to 4. [default: the weights' own]", metavar="X", low=1, high=LARGEST_SCALE,
        above=True, more="; for more, upscale the result again",
    )  # fmt: skip
    strength: float = option(1.0, "From the cubic kernel's picture (0) to the network's (1).", metavar="0..1", low=0, high=1)


@dataclass(frozen=True)
class InpaintOptions(Options):
    """The options of `restore inpaint`. Exactly one of MASK_SOURCES says where the holes are.

    Raises:
        ValueError: none of them is given, or several are.
    """

    masks: Path | None = option(
        None, "Masks by the pictures' relative names (any suffix), or one for all; white is filled.", metavar="DIR|FILE"
    )
    invert_masks: bool = option(False, "Black is filled instead.")
    mask_color: str | None = option(None, "Fill what has this colour.", metavar="#RRGGBB", pattern="#?[0-9a-fA-F]{6}", example="#ff00ff")
    mask_tolerance: float = option(10.0, "How far from it each channel may be.", metavar="0..255", low=0, high=255)
    alpha: bool = option(False, "Fill what is transparent, and make it opaque.")
    scratches: bool = option(False, "Find scratches and dust of old photographs, and fill them.")
    sensitivity: float = option(0.35, "Of --scratches: higher finds more, and more that is none.", metavar="0..1", low=0, high=1)
    grow: int | None = option(None, "Dilate holes by so much. [default: 0; scratches and alpha 1, colours 2]", metavar="PIXELS", low=0)
    feather: int = option(0, "Blend the filling in behind the edge of a hole.", metavar="PIXELS", low=0)
    method: str = option(
        "network", "OpenCV's two are for tiny holes.", metavar="network|telea|navier-stokes",
        choices=("network", "telea", "navier-stokes"),
    )  # fmt: skip
    texture: bool = option(True, "Copy fine detail into wide holes from where the picture looks alike.")
    save_masks: Path | None = option(None, "Write the masks that were used, to be checked and edited.", metavar="DIR")

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in MASK_SOURCES if self.__dict__[name]]
        if len(given) != 1:
            raise ValueError(
                f"say where the holes are by exactly one of masks, mask_color, alpha and scratches, not by {' and '.join(given) or 'none'}"
            )

    @property
    def source(self) -> str:
        """The one of MASK_SOURCES that is given."""
        return next(name for name in MASK_SOURCES if self.__dict__[name])


@dataclass(frozen=True)
class TranslateOptions(Options):
    """The options of `restore translate`."""

    reverse: bool = option(False, "The way back, for weights that learned both (cyclegan).")
    strength: float = option(1.0, "From the picture (0) to its translation (1).", metavar="0..1", low=0, high=1)
