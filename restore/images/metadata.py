"""What a file says of its picture in addition to the pixels, and what goes along into another format."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from restore.images.orientation import rescaled_exif, rescaled_xmp
from restore.images.quantisation import Quantisation


@dataclass(frozen=True)
class Metadata:
    """What goes along when a picture changes its format."""

    icc: bytes | None = None
    exif: bytes | None = None
    """From the TIFF header ("II" or "MM") on; the orientation is already reset."""
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    """Horizontal, vertical."""
    texts: tuple[tuple[str, str], ...] = ()
    """(keyword, text) with PNG's keywords: Title, Author, Description, Comment, ..."""
    unconvertible: str | None = None
    """Why no ICC profile describes the picture's colours, so that it keeps its format; None where one does."""

    def rescaled(self, scale: float, size: tuple[int, int]) -> Metadata:
        """The metadata of pixels `scale` times as fine; `size` is (height, width)."""
        if scale == 1:
            return self
        dpi = (self.dpi[0] * scale, self.dpi[1] * scale) if self.dpi else None
        exif = rescaled_exif(self.exif, scale, size) if self.exif else None
        return replace(self, dpi=dpi, exif=exif, xmp=rescaled_xmp(self.xmp, scale, size) if self.xmp else None)


@dataclass(frozen=True)
class ImageHeader:
    """What a file's header says of its picture."""

    format: str
    size: tuple[int, int]
    bits: int
    frames: int = 1
    modality: str | None = None
    radiograph: bool | None = None
    lossy: bool = False
    """Whether its pixels are coded with loss, so that another format may code them with loss too."""
    upright: bool = True
    """False where an orientation tag was applied to the stored pixels: then even an unchanged picture is written anew."""
    metadata: Metadata = field(default_factory=Metadata)
    warnings: tuple[str, ...] = ()
    """What the user should know of the file, one sentence each: a second picture that is not kept, a missing end."""
    coloured_warnings: tuple[str, ...] = ()
    """What results in colour of a gray picture lack in the file's own format, one sentence each."""
    ending: bytes = b""
    """Bytes that make an unchanged copy a whole file, where the file lacks its end."""
    read_only: str = ""
    """Why no result can have the file's own format, and what can; empty where one can."""
    quantisation: Quantisation | None = None
    """How coarsely the luma of the upright picture is quantised; None where the file does not say so."""


@dataclass(frozen=True)
class MapInfo:
    """What a map of a picture's error says of itself.

    Attributes:
        meaning: what it shows, e.g. "expected absolute error".
        text: the same in a sentence with its unit.
        steps: of the map for one stored value of the picture.
    """

    meaning: str
    text: str
    steps: float


@dataclass(frozen=True)
class Provenance:
    """How a picture came about, for formats that record it (DICOM)."""

    description: str = ""
    settings: str = ""
    scale: float = 1.0
    """How many times as fine as those read the written pixels are; their physical size follows."""
    finer: bool = False
    """Whether lossy formats must code the pixels finer than the source, whose coarse steps would undo much of what changed them."""
    coloured: bool = False
    """Whether frames that were gray are written in colour, as `colouring.in_colour` makes them."""
    size: tuple[int, int] | None = None
    """(height, width) of the first written frame; None where it is the picture's times `scale`, rounded."""

    def size_of(self, header: ImageHeader) -> tuple[int, int]:
        """(height, width) of the first written frame of a picture."""
        return self.size or (round(header.size[0] * self.scale), round(header.size[1] * self.scale))
