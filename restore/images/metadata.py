"""What a file says of its picture beside the pixels, and what travels with them into another format."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from restore.images.orientation import rescaled_exif, rescaled_xmp


@dataclass(frozen=True)
class Metadata:
    """What travels along when a picture changes its format: each as raw bytes, or None."""

    icc: bytes | None = None
    exif: bytes | None = None
    """Starting at the TIFF header ("II" or "MM"), orientation already reset."""
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    """Horizontal, vertical."""
    texts: tuple[tuple[str, str], ...] = ()
    """(keyword, text), the keywords being PNG's: Title, Author, Description, Comment, ..."""
    unconvertible: str | None = None
    """What the file says of its colours that no ICC profile can say; such a picture keeps its format."""

    def rescaled(self, scale: float, size: tuple[int, int]) -> Metadata:
        """What travels with (height, width) pixels, `scale` times as fine."""
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
    """False when the orientation tag turns the stored pixels: then even an unchanged picture is written anew."""
    metadata: Metadata = field(default_factory=Metadata)
    warnings: tuple[str, ...] = ()
    """What the user should know of this file though it can be restored, one sentence each: a further picture that is not
    kept, a missing end.
    """
    ending: bytes = b""
    """What an unchanged copy needs at its end to be a whole file."""

    def enlarged(self, scale: float) -> tuple[int, int]:
        """(height, width) `scale` times as large."""
        return round(self.size[0] * scale), round(self.size[1] * scale)


@dataclass(frozen=True)
class Provenance:
    """What a format that can say how a picture came about (DICOM) says."""

    description: str = ""
    settings: str = ""
    scale: float = 1.0
    """How many times finer the written pixels are than those read: what is said of their size on paper or in the body follows."""
