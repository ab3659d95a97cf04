"""What a format is: `Codec` opens its files and writes new ones; `Source` is one opened file."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from restore.images import colour_profiles
from restore.images.errors import Limits
from restore.images.frame import Frame
from restore.images.metadata import ImageHeader, MapInfo, Metadata, Provenance
from restore.images.packages import Package


class Source(Protocol):
    """One opened file. It holds no pixels; each call of `frame` decodes."""

    header: ImageHeader
    copies: bool
    """Whether an unchanged picture is written as a copy of the file (not for DICOM: a derived object has its own identity)."""

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged.

        With `provenance.coloured`, frames that were gray are those of `colouring.in_colour`, and a gray ICC profile follows.
        """


def append_tail(source: Path, start: int, target: Path) -> None:
    """Append to a written file what lies behind the samples of its source, from byte `start` on."""
    with source.open("rb") as old, target.open("ab") as new:
        old.seek(start)
        shutil.copyfileobj(old, new)


@dataclass(frozen=True)
class Capabilities:
    """What a new file of a format holds of pictures that come from other formats."""

    many_frames: bool = False
    bits: int = 16
    """The most bits of an integer sample: 8 or 16."""
    floats: bool = False
    gray: bool = True
    gray_alpha: bool = True
    colour_alpha: bool = True
    other_bands: bool = False
    """Samples that are neither colour nor alpha, such as near infrared."""
    profiles: bool = True
    """ICC profiles."""
    longest_side: int | None = None
    """Pixels; None where a size of 32 bits holds it."""


@dataclass(frozen=True)
class PixelLayout:
    """The pixels that are about to be written.

    Attributes:
        size: (height, width).
        samples: of a pixel, as written: 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha), and `other_bands` where they are written.
        bits: of a sample.
        bands: samples of a pixel in the source.
        other_bands: how many of these are neither colour nor alpha.
    """

    size: tuple[int, int]
    samples: int
    bits: int
    bands: int
    other_bands: int = 0


class Codec(ABC):
    """One format. A subclass is stateless; its one instance is a row of `CODECS`."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    """Lower case, with their dots; results get the first one."""
    colour_suffixes: ClassVar[Mapping[str, str]] = {}
    """Suffixes that mean gray -> those that mean colour."""
    capabilities: ClassVar[Capabilities | None] = None
    """None for a format that pictures of other formats cannot be converted to."""
    has_preamble: ClassVar[bool] = False
    """Whether another format's first bytes may stand before this one's own."""

    needs: ClassVar[Package | None] = None
    """The package of an extra that reads and writes the format; None where the core does."""

    holds_maps: ClassVar[bool] = False
    """Whether maps of a picture's error are written in its own format, by `write_map`."""

    @abstractmethod
    def sniff(self, head: bytes) -> bool:
        """Whether a file that begins with `head` (512 bytes, or all of a shorter file) is to be opened by this codec."""

    def is_certain(self, head: bytes) -> bool:
        """Whether `head` leaves no doubt, so that a folder walk takes the file for a picture whatever its suffix."""
        return self.sniff(head)

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Whether this codec opens the file `path`, whose first bytes are `head`.

        For formats that need more than their first bytes: a suffix, the file's end, or what lies behind an offset.
        """
        return self.sniff(head)

    def without_pixels(self, path: Path) -> str | None:
        """What a file of this format holds instead of a picture ("SR", "DICOMDIR"); None where it holds a picture."""
        return None

    @abstractmethod
    def open(self, path: Path, limits: Limits) -> Source:
        """Read the header of a file. Pixels are decoded by `Source.frame`.

        Raises:
            ImageError: the file is damaged, too large, or of a kind that is not supported.
        """

    def cannot_hold(self, header: ImageHeader, layout: PixelLayout | None = None) -> str:
        """Why the format cannot hold a picture, and what can; empty where it can.

        Args:
            header: of the source.
            layout: of the pixels; None where they are not known yet, so only the header is compared.
        """
        can = self.capabilities
        if can is None:
            return f"pictures cannot be converted to {self.name}"
        if header.frames > 1 and not can.many_frames:
            return f"{self.name} holds one frame, this picture has {header.frames}; choose tiff"
        if header.metadata.unconvertible:
            what = f"{self.name} can't describe the picture's colours: {header.metadata.unconvertible}"
            return f"{what}; keep its format, or export it as sRGB"
        if header.bits > 8 and can.bits == 8 and not can.floats:
            return self._too_deep(can)
        return "" if layout is None else self._cannot_hold_pixels(can, layout, header.metadata)

    def left_out(self, metadata: Metadata) -> tuple[str, ...]:
        """What a new file of this format lacks of the metadata that it otherwise holds, a sentence each: it is too large."""
        return ()

    def _cannot_hold_pixels(self, can: Capabilities, layout: PixelLayout, metadata: Metadata) -> str:
        if layout.other_bands and not can.other_bands:
            what = f"{self.name} can't hold {layout.other_bands} of this picture's {layout.bands} bands"
            return f"{what}, which are neither colour nor alpha; choose tiff"
        if layout.bits > can.bits and not can.floats:
            return self._too_deep(can)
        if (layout.samples == 2 and not can.gray_alpha) or (layout.samples == 4 and not can.colour_alpha):
            return f"{self.name} can't hold this picture's transparency; choose png or tiff"
        if layout.samples < 3 and not can.gray:
            return f"{self.name} has no gray, and gray must stay gray; choose png"
        if can.longest_side is not None and max(layout.size) > can.longest_side:
            return f"{self.name} holds at most {can.longest_side} pixels a side; choose png or tiff"
        icc = metadata.icc
        if not can.profiles and icc and colour_profiles.sound(icc) and not colour_profiles.shows_srgb(icc, gray=layout.samples < 3):
            return f"{self.name} can't hold this picture's colour profile, and without it the colours change; choose png or tiff"
        return ""

    def _too_deep(self, can: Capabilities) -> str:
        return f"{self.name} holds {can.bits} bits a sample, this picture has more; choose png or tiff"

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format.

        Args:
            frames: (H, W), (H, W, 3), or (H, W, 2|4) with alpha last; uint8 or uint16 whose white is the type's maximum, or floats; such as
                `cannot_hold` lets pass.
            header: of the source; its metadata fit the pixels.

        Raises:
            ValueError: pictures cannot be converted to this format.
        """
        raise ValueError(f"pictures cannot be converted to {self.name}")

    def write_map(self, source: Path, path: Path, pages: Sequence[np.ndarray], info: MapInfo) -> None:
        """Write a map of the error of the picture in the file `source`, for formats that hold maps.

        Args:
            pages: (H, W) uint8 or uint16, one for each frame.

        Raises:
            ImageError: the source cannot be read.
            ValueError: the format does not hold maps.
        """
        raise ValueError(f"{self.name} does not hold maps")


def only_frame(frames: Iterator[np.ndarray], path: Path) -> np.ndarray:
    """The only frame of a single-frame format; exhausts the iterator so that a surplus frame is noticed."""
    found = list(frames)
    if not found:
        raise ValueError(f"no frame given for {path.name}")
    return found[0]
