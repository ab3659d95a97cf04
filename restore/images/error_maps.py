"""Maps of a picture's error as files of their own: for DICOM a derived object, for other formats a gray PNG or TIFF.

Samples have 8 bits for a picture of at most 8 bits, else 16; for floats they are floats in the picture's own unit. Whole numbers are
multiplied by a power of two, as large as the type allows, so that errors below one stored value of the picture are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from restore.images import file_kind
from restore.images.codecs import CODECS, target
from restore.images.metadata import ImageHeader, MapInfo, Metadata

PAGE, PAGES = ".png", ".tif"
NAMES = ("error", "bound")
"""The names of maps, before their suffix: those of `restore.tasks.confidence.MEANINGS`."""
_MADE = "restore "
"""How the description of a map begins."""
_DESCRIPTION = 270
LARGEST_POWER = 8
"""The largest exponent of the factor: a step of 1/256 of a stored value is fine enough."""


@dataclass(frozen=True)
class MapFormat:
    """What of a picture decides its maps' format.

    Attributes:
        name: the result's format.
        bits: of a sample.
        floats: whether the samples are floats.
        frames: number of frames.
    """

    name: str
    bits: int
    floats: bool
    frames: int

    @property
    def suffix(self) -> str:
        """The suffix of the maps."""
        if CODECS[self.name].holds_maps:
            return CODECS[self.name].suffixes[0]
        return PAGES if self.floats or self.frames > 1 else PAGE


def beside_pictures(paths: Iterable[Path]) -> set[Path]:
    """Those of the paths that are named like a map of another one: `a.error.png` or `a.png.error.png` beside `a.png`."""
    stems = {path: path.with_name(file_kind.stem(path.name)) for path in paths}
    pictures = {*stems.values(), *stems}
    formats = {PAGE, PAGES} | {suffix for codec in CODECS.values() if codec.holds_maps for suffix in codec.suffixes}
    named = {path: stem for path, stem in stems.items() if stem.suffix[1:] in NAMES and path.suffix.lower() in {*formats, ""}}
    return {path for path, stem in named.items() if stem.with_suffix("") in pictures}


def says_so(path: Path) -> bool:
    """Whether a file named like a map can be one: not a PNG or TIFF of this machine that lacks a map's text."""
    if path.suffix.lower() not in (PAGE, PAGES) or not path.is_file():
        return True
    try:
        with Image.open(path) as image:
            text = image.tag_v2.get(_DESCRIPTION, "") if isinstance(image, TiffImageFile) else image.info.get("Description", "")
    except Exception:  # whatever another file raises
        return False
    return str(text).startswith(_MADE)


def save(path: Path, planes: Sequence[np.ndarray], format: MapFormat, meaning: str, source: Path, task: str) -> float:
    """Write one map.

    Args:
        path: its suffix means nothing.
        planes: (H, W) float32 for each frame, in stored values of the picture, at least 0.
        format: see `MapFormat`.
        meaning: what a plane shows, e.g. "expected absolute error".
        source: the picture's file.
        task: what restored the picture.

    Returns:
        Steps of the map for one stored value of the picture.
    """
    steps, pages = (1.0, list(planes)) if format.floats and not CODECS[format.name].holds_maps else _quantized(planes, format.bits)
    unit = "stored value" if steps == 1 else f"1/{steps:g} of a stored value"
    text = f"{_MADE}{task}: {meaning} of the result; one step is {unit} of the picture"
    if CODECS[format.name].holds_maps:
        CODECS[format.name].write_map(source, path, pages, MapInfo(meaning, text, steps))
        return steps
    codec = target("tiff" if format.suffix == PAGES else "png")
    bits = 8 * pages[0].dtype.itemsize
    metadata = Metadata(texts=(("Description", text),))
    codec.write(path, iter(pages), ImageHeader(codec.name, pages[0].shape[:2], bits, len(pages), metadata=metadata))
    return steps


def _quantized(planes: Sequence[np.ndarray], bits: int) -> tuple[float, list[np.ndarray]]:
    """Steps for one stored value, and the planes as whole numbers of 8 or 16 bits."""
    kind, white = (np.uint8, 255) if bits <= 8 else (np.uint16, 65535)
    largest = max(float(plane.max()) for plane in planes)
    power = int(np.floor(np.log2(white / largest))) if largest > 0 else LARGEST_POWER
    steps = 2.0 ** min(power, LARGEST_POWER)
    return steps, [np.clip(np.rint(plane * np.float32(steps)), 0, white).astype(kind) for plane in planes]
