"""The text in a PNG or TIFF that says which command made it, so that a later run replaces its own files only."""

from __future__ import annotations

from pathlib import Path

from PIL.PngImagePlugin import PngImageFile, PngInfo
from PIL.TiffImagePlugin import TiffImageFile

_KEY, _TAG = "Software", 305


def signature(maker: str, mark: str = "") -> str:
    """The text: the maker, such as "restore inpaint", and the mark of what the file was made from."""
    return f"{maker} {mark}" if mark else maker


def png_text(maker: str, mark: str = "") -> PngInfo:
    """What PIL writes into a PNG, see `is_made_by`."""
    text = PngInfo()
    text.add_text(_KEY, signature(maker, mark))
    return text


def is_made_by(maker: str, path: Path, mark: str = "") -> bool:
    """Whether a file says that it was made by `maker`, with this mark if one is given; False for what is no PNG or TIFF."""
    try:
        with path.open("rb") as file:  # `Image.open` refuses large pictures, though only the header is read
            png = file.read(4) == b"\x89PNG"
            file.seek(0)
            text = str(PngImageFile(file).info.get(_KEY) if png else TiffImageFile(file).tag_v2.get(_TAG))
    except Exception:  # whatever another file raises
        return False
    return text == signature(maker, mark) or (not mark and text.startswith(f"{maker} "))
