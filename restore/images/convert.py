"""A picture in another format: the same samples where the target can hold them, else what the network would see.

8- and 16-bit samples pass unchanged. Everything else (1 to 4 bits, other maxvals, CMYK, DICOM stored values) is written
as it shows, with 8 bits if the source has at most 8, else 16; floats go to TIFF as they are, elsewhere with 16 bits.
ICC profile, EXIF, XMP, texts and resolution travel where both formats know them. Colours that a target can't describe are
refused, never shown as others.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from restore.images import colour_profiles
from restore.images.codecs import bmp, pnm, webp
from restore.images.codecs.jpeg import codec
from restore.images.codecs.png import chunks, text_chunks
from restore.images.codecs.png.chunks import Chunk
from restore.images.codecs.tiff import new_file
from restore.images.errors import ImageError
from restore.images.frame import Frame, Mapping
from restore.images.mappings import Cmyk, Linear
from restore.images.picture import Metadata, Source, first
from restore.images.premultiplied import Premultiplied

TARGETS = ("png", "jpeg", "tiff", "webp", "bmp", "pgm")


def convert(source: Source, path: Path, frames: Iterator[np.ndarray], target: str, scale: float = 1.0) -> None:
    """Write `frames` (stored samples of `source`, `scale` times as fine) as `target`. ImageError names what the target can't hold."""
    if target not in TARGETS:
        raise ImageError(f"can't write the format {target!r}; choose one of {', '.join(TARGETS)}")
    if source.header.frames > 1 and target != "tiff":
        raise ImageError(f"{target} holds one frame, this picture has {source.header.frames}; choose tiff")
    made = (_samples(source, i, stored, target) for i, stored in enumerate(frames))
    metadata = _fitting(source.header.metadata).rescaled(scale, source.header.enlarged(scale))
    if metadata.unconvertible:
        raise ImageError(f"{target} can't describe the picture's colours: {metadata.unconvertible}; keep its format, or export it as sRGB")
    if target == "tiff":
        new_file.write(path, made, metadata)
        return
    samples = first(made, path)
    _check(samples, target)
    _check_colours(samples, target, metadata)
    if target == "png":
        _png(path, samples, metadata)
    elif target == "jpeg":
        codec.write(path, samples, metadata)
    elif target == "webp":
        webp.write(path, samples, metadata, lossless=source.header.format != "jpeg")
    elif target == "bmp":
        bmp.write(path, samples, dpi=metadata.dpi, icc=metadata.icc)
    else:
        kind = 5 if samples.ndim == 2 else 6
        pnm.write(path, samples, kind, int(np.iinfo(samples.dtype).max))


def _fitting(metadata: Metadata) -> Metadata:
    """Without the profile of inks: what is written is gray or RGB."""
    return replace(metadata, icc=None) if metadata.icc and metadata.icc[16:20] == b"CMYK" else metadata


def _samples(source: Source, index: int, stored: np.ndarray, target: str) -> np.ndarray:
    """uint8 or uint16 (or float, for TIFF) samples with white at the type's maximum, alpha last."""
    mapping = source.frame(index).mapping
    _refuse_bands(mapping, stored, target)
    if isinstance(mapping, Linear) and _passes(mapping, stored, target):
        return stored
    dtype = np.uint8 if source.header.bits <= 8 else np.uint16
    displayed = Frame(stored, mapping).displayed()
    colour = np.rint(displayed * np.float32(np.iinfo(dtype).max)).astype(dtype)
    alpha = mapping.alpha(stored)
    if alpha is None:
        return colour[..., 0] if colour.shape[-1] == 1 else colour
    scaled = np.clip(np.rint(alpha.astype(np.float64) * (np.iinfo(dtype).max / _opaque(mapping))), 0, np.iinfo(dtype).max)
    return np.concatenate([colour, scaled.astype(dtype)[..., None]], -1)


def _refuse_bands(mapping: Mapping, stored: np.ndarray, target: str) -> None:
    """Refuse samples that are neither colour nor alpha, such as a near-infrared band: nothing but TIFF holds them."""
    colours = 4 if isinstance(mapping, Cmyk) else mapping.channels
    bands = 1 if stored.ndim == 2 else stored.shape[-1]
    spare = bands - colours - (mapping.alpha(stored) is not None and bands > colours)
    if spare > 0 and target != "tiff":
        raise ImageError(f"{target} can't hold {spare} of this picture's {bands} bands, which are neither colour nor alpha; choose tiff")


def _check_colours(samples: np.ndarray, target: str, metadata: Metadata) -> None:
    """Refuse to drop a colour profile that says anything but sRGB."""
    gray = samples.ndim == 2 or samples.shape[-1] < 3
    if target == "pgm" and metadata.icc and colour_profiles.sound(metadata.icc) and not colour_profiles.shows_srgb(metadata.icc, gray=gray):
        raise ImageError(f"{target} can't hold this picture's colour profile, and without it the colours change; choose png or tiff")


def _opaque(mapping: Mapping) -> float:
    """The alpha that is opaque."""
    if isinstance(mapping, Linear):
        return mapping.high
    return mapping.full if isinstance(mapping, Cmyk | Premultiplied) else 1.0


def _passes(mapping: Linear, stored: np.ndarray, target: str) -> bool:
    """Whether the samples mean the same in the target as they do in the source."""
    if mapping.inverted or mapping.key is not None:
        return False
    if stored.dtype in (np.uint8, np.uint16):
        return mapping.low == 0 and mapping.high == np.iinfo(stored.dtype).max
    return target == "tiff" and stored.dtype.kind == "f"


def _check(samples: np.ndarray, target: str) -> None:
    count = 1 if samples.ndim == 2 else samples.shape[-1]
    if samples.dtype != np.uint8 and target in ("jpeg", "webp", "bmp"):
        raise ImageError(f"{target} holds 8 bits a sample, this picture has more; choose png or tiff")
    if (count in (2, 4) and target in ("jpeg", "pgm")) or (count == 2 and target == "bmp"):
        raise ImageError(f"{target} can't hold this picture's transparency; choose png or tiff")
    if count < 3 and target == "webp":
        raise ImageError("webp has no gray, and gray must stay gray; choose png")
    if target == "webp" and max(samples.shape[:2]) > 16383:
        raise ImageError("webp holds at most 16383 pixels a side; choose png or tiff")
    if target == "jpeg" and max(samples.shape[:2]) > 65500:
        raise ImageError("jpeg holds at most 65500 pixels a side; choose png or tiff")


def _png(path: Path, samples: np.ndarray, metadata: Metadata) -> None:
    count = 1 if samples.ndim == 2 else samples.shape[-1]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[count]
    height, width = samples.shape[:2]
    layout = chunks.Layout(width, height, samples.dtype.itemsize * 8, colour, interlaced=False)
    if metadata.icc:
        layout.before.append(Chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc, 9)))
    if metadata.dpi:
        x, y = (round(v / 0.0254) for v in metadata.dpi)
        layout.before.append(Chunk(b"pHYs", struct.pack(">IIB", x, y, 1)))
    if metadata.exif:
        layout.before.append(Chunk(b"eXIf", metadata.exif))
    if metadata.xmp:
        layout.before.append(text_chunks.of_xmp(metadata.xmp))
    layout.before += [text_chunks.of_text(keyword, text) for keyword, text in metadata.texts]
    chunks.write(path, layout, samples)
