"""The options of every task: they define flags, keyword arguments, checks and documentation. torch is not imported."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from restore.pipeline.options import Options, option

LARGEST_SCALE = 4.0
LARGEST_SEED = 2**63 - 1
FARTHEST = 1000
"""Pixels by which holes can be dilated: a disc of more takes hours."""
WIDEST = 1_000_000
"""Pixels of the largest widths and sides."""
SIMULATIONS = ("gaussian", "xray-low-dose", "jpeg", "phone", "old-photo", "low-resolution")
"""The keys of `restore.datasets.simulation.SIMULATIONS`, which this module cannot import without torch."""
MASK_SOURCES = ("masks", "mask_color", "alpha", "scratches")
"""Sources of the mask; exactly one of them must be specified."""

QUALITIES = ("fast", "default", "best")
AUTO = "auto"
CONTENTS = (AUTO, "photograph", "radiograph")
CONTENT = "What gray pictures show, where the file does not say it as DICOM does; auto judges each picture."
CONFIDENCE = "Also write maps of each result's expected absolute error and of its 90 % bound, and report an expected PSNR."


def _check_confidence(confidence: bool, strength: float) -> None:
    if confidence and strength != 1:
        raise ValueError("confidence maps are for the whole correction: leave strength at 1")


def _check_unused(options: Options, used: bool, needs: str, *names: str) -> None:
    """Raise ValueError if options that take effect with another one only were set without it: they would be ignored."""
    defaults = {entry.name: entry.default for entry in fields(options)}
    for name in names:
        if not used and options.__dict__[name] != defaults[name]:
            raise ValueError(f"{name} takes effect with {needs} only: leave it out, or add {needs}")


@dataclass(frozen=True)
class DenoiseOptions(Options):
    """The options of `restore denoise`."""

    noise_level: float | str = option(
        "auto", "Standard deviation of the noise on the 0..255 scale; auto estimates it for each picture.", metavar="auto|0..255",
        words=("auto",), low=0, high=255,
    )  # fmt: skip
    strength: float = option(1.0, "How much of the noise to remove.", metavar="0..1", low=0, high=1)
    ensemble: str = option(
        "auto", "Rotated and flipped runs to average (self-ensemble). auto: 2, X-rays 1.", metavar="auto|1|2|4|8",
        choices=("auto", "1", "2", "4", "8"),
    )  # fmt: skip
    quality: str = option(
        "default", "fast: one run. best: eight, fine-tuned on each picture where noise is white; see `docs/denoise.md`.",
        metavar="fast|default|best", choices=QUALITIES,
    )  # fmt: skip
    content: str = option("auto", CONTENT, metavar="auto|photograph|radiograph", choices=CONTENTS)
    adapt: bool = option(
        False, "First fine-tune the weights on these noisy pictures, and use the result if held-out ones say that it helps."
    )
    adapt_minutes: float = option(5.0, "How long --adapt trains.", metavar="MINUTES", low=0, high=1440, above=True)
    confidence: bool = option(False, CONFIDENCE)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_confidence(self.confidence, self.strength)
        _check_unused(self, self.adapt, "adapt", "adapt_minutes")


@dataclass(frozen=True)
class UpscaleOptions(Options):
    """The options of `restore upscale`."""

    scale: float | None = option(
        None, "Factor: any number above 1 up to 4. [default: the weights' own]", metavar="X", low=1, high=LARGEST_SCALE,
        above=True, more="; for more, upscale the result again",
    )  # fmt: skip
    strength: float = option(1.0, "From the cubic kernel's picture (0) to the network's (1).", metavar="0..1", low=0, high=1)
    quality: str = option(
        "default", "fast and default: one run. best: eight runs and one back-projection; see `docs/upscale.md`.",
        metavar="fast|default|best", choices=QUALITIES,
    )  # fmt: skip
    confidence: bool = option(False, CONFIDENCE)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_confidence(self.confidence, self.strength)


@dataclass(frozen=True)
class ArtifactsOptions(Options):
    """The options of `restore artifacts`."""

    quality: int | str = option(
        "auto", "Quality of the JPEG; auto takes its tables from the file, or finds them in the pixels of other formats.",
        metavar="auto|1..100", words=("auto",), low=1, high=100,
    )  # fmt: skip
    strength: float = option(1.0, "How much of the artefacts to remove.", metavar="0..1", low=0, high=1)
    ensemble: str = option(
        "auto", "Rotated and flipped runs to average (self-ensemble). auto: 2.", metavar="auto|1|2|4|8",
        choices=("auto", "1", "2", "4", "8"),
    )  # fmt: skip


@dataclass(frozen=True)
class SharpenOptions(Options):
    """The options of `restore sharpen`."""

    blur: float | str = option(
        "auto", "Standard deviation of the blur in pixels; auto estimates it, and leaves sharp pictures as they are.",
        metavar="auto|0..5", words=("auto",), low=0, high=5,
    )  # fmt: skip
    strength: float = option(1.0, "How much of the blur to remove.", metavar="0..1", low=0, high=1)


@dataclass(frozen=True)
class InpaintOptions(Options):
    """The options of `restore inpaint`. Exactly one of MASK_SOURCES must be specified.

    Raises:
        ValueError: none of them is specified, or several are.
    """

    masks: Path | None = option(
        None, "Masks by the pictures' relative names (any suffix), or one for all; white is filled.", metavar="DIR|FILE"
    )
    invert_masks: bool = option(False, "Fill black instead of white.")
    mask_color: str | None = option(None, "Fill pixels of this colour.", metavar="#RRGGBB", pattern="#?[0-9a-fA-F]{6}", example="#ff00ff")
    mask_tolerance: float = option(10.0, "Allowed difference of each channel from --mask-color.", metavar="0..255", low=0, high=255)
    alpha: bool = option(False, "Fill pixels that are more transparent than opaque, and make them opaque.")
    scratches: bool = option(False, "Find scratches and dust of old photographs, and fill them.")
    sensitivity: float = option(0.35, "For --scratches: higher finds more, also more false ones.", metavar="0..1", low=0, high=1)
    grow: int | None = option(None, "Dilate holes. [default: 0; scratches and alpha 1, colours 2]", metavar="PIXELS", low=0, high=FARTHEST)
    feather: int = option(0, "Blend the filling with the picture inside the edge of a hole.", metavar="PIXELS", low=0, high=WIDEST)
    method: str = option(
        "network", "telea and navier-stokes (OpenCV) are for tiny holes.", metavar="network|telea|navier-stokes",
        choices=("network", "telea", "navier-stokes"),
    )  # fmt: skip
    texture: bool = option(True, "Copy fine detail into wide holes from similar parts of the picture.")
    save_masks: Path | None = option(None, "Write the masks that were used, to check and edit them.", metavar="DIR")

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in MASK_SOURCES if self.__dict__[name]]
        if len(given) != 1:
            raise ValueError(
                f"specify the holes by exactly one of masks, mask_color, alpha and scratches, not by {' and '.join(given) or 'none'}"
            )

        _check_unused(self, self.source == "masks", "masks", "invert_masks")
        _check_unused(self, self.source == "mask_color", "mask_color", "mask_tolerance")
        _check_unused(self, self.source == "scratches", "scratches", "sensitivity")

    @property
    def source(self) -> str:
        """The specified one of MASK_SOURCES."""
        return next(name for name in MASK_SOURCES if self.__dict__[name])


@dataclass(frozen=True)
class TranslateOptions(Options):
    """The options of `restore translate`."""

    reverse: bool = option(False, "Translate backward, for weights with both directions (cyclegan).")
    strength: float = option(1.0, "From the picture (0) to its translation (1).", metavar="0..1", low=0, high=1)
    size: int | str = option(
        "fitted", "Shorter side at which the network sees large pictures; fitted is that of its training, full the picture's own.",
        metavar="fitted|full|PIXELS", words=("fitted", "full"), low=1, high=WIDEST,
    )  # fmt: skip


@dataclass(frozen=True)
class ColorizeOptions(Options):
    """The options of `restore colorize`."""

    strength: float = option(1.0, "Saturation, from gray (0) to the network's colours (1).", metavar="0..1", low=0, high=1)
    hint: Path | None = option(None, "Take the palette from this colour picture.", metavar="PICTURE")
    content: str = option("auto", CONTENT, metavar="auto|photograph|radiograph", choices=CONTENTS)


@dataclass(frozen=True)
class EnhanceOptions(Options):
    """The options of `restore enhance`. Each part is measured in every picture; 0 leaves it out."""

    exposure: float = option(1.0, "Brightness and colours.", metavar="0..2", low=0, high=2)
    contrast: float = option(1.0, "Range of brightness of the whole picture.", metavar="0..2", low=0, high=2)
    local_contrast: float = option(1.0, "Contrast of structures within the picture.", metavar="0..2", low=0, high=2)
    sharpness: float = option(1.0, "Contrast of the finest detail, as far as it exceeds the noise.", metavar="0..2", low=0, high=2)
    content: str = option("auto", CONTENT, metavar="auto|photograph|radiograph", choices=CONTENTS)
    save_lut: Path | None = option(
        None, "Write the lookup table of each photograph's exposure and contrast (.cube), for editors and video.", metavar="DIR"
    )


@dataclass(frozen=True)
class SimulateOptions(Options):
    """The options of `restore simulate`.

    Raises:
        ValueError: no recipe is named.
    """

    recipe: str | None = option(None, f"The degradation: {', '.join(SIMULATIONS)}.", metavar="NAME", choices=SIMULATIONS)
    seed: int = option(
        0, "Another seed draws other degradations; the same seed gives the same pictures.", metavar="N", low=0, high=LARGEST_SEED
    )
    clean: Path | None = option(None, "Also copy the clean originals, so that a folder of pairs results.", metavar="DIR")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.recipe is None:
            raise ValueError(f"name the degradation (--recipe): {', '.join(SIMULATIONS)}")
