"""A picture in another format: the same samples where the format holds them, else what a viewer displays.

8- and 16-bit samples pass unchanged. Everything else (1 to 4 bits, other maxvals, CMYK, DICOM stored values) is written
as it is displayed, with 8 bits if the source has at most 8, else 16. Floats go as they are to a format that holds floats, else with
16 bits. ICC profile, EXIF, XMP, texts and resolution travel where both formats know them. A format refuses what it cannot hold
(`Codec.cannot_hold`); colours are never silently changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from restore.images import colour_profiles
from restore.images.codecs.base import Codec, PixelLayout, Source
from restore.images.colouring import in_colour
from restore.images.errors import ImageError
from restore.images.frame import Frame
from restore.images.metadata import ImageHeader, Metadata, Provenance
from restore.images.pixel_mapping import PixelMapping


def convert(source: Source, path: Path, frames: Iterator[np.ndarray], target: Codec, provenance: Provenance) -> None:
    """Write a new file at `path`.

    Args:
        frames: stored samples of `source`, of the scale, the size and the colours of `provenance`.

    Raises:
        ImageError: `target` cannot hold the picture; the message says what can.
    """
    header, coloured = source.header, provenance.coloured
    metadata = _without_ink_profile(header.metadata).rescaled(provenance.scale, provenance.size_of(header))
    if coloured and metadata.icc is not None:
        metadata = replace(metadata, icc=colour_profiles.in_colour(metadata.icc))

    def mapping(index: int) -> PixelMapping:
        frame = source.frame(index)
        return (in_colour(frame) if coloured else frame).mapping

    _refuse_unless_empty(target.cannot_hold(replace(header, metadata=metadata)))
    for first in islice(frames, 1):
        frames = chain([first], frames)
        if metadata.icc is not None and (first.ndim == 2 or first.shape[-1] <= 2) and mapping(0).channels == 1:
            metadata = replace(metadata, icc=colour_profiles.in_gray(metadata.icc))
    header = replace(header, metadata=metadata)
    target.write(path, (_converted(mapping(i), stored, header, target) for i, stored in enumerate(frames)), header)


def _refuse_unless_empty(why: str) -> None:
    if why:
        raise ImageError(why)


def _without_ink_profile(metadata: Metadata) -> Metadata:
    """Without a CMYK profile: what is written is gray or RGB."""
    is_cmyk = metadata.icc is not None and metadata.icc[16:20] == b"CMYK"
    return replace(metadata, icc=None) if is_cmyk else metadata


def _converted(mapping: PixelMapping, stored: np.ndarray, header: ImageHeader, target: Codec) -> np.ndarray:
    """One frame's samples as `Codec.write` takes them."""
    holds_floats = target.capabilities is not None and target.capabilities.floats
    passes = mapping.is_plain(stored.dtype) and (holds_floats or stored.dtype.kind != "f")
    samples = stored if passes else _displayed(mapping, stored, np.dtype(np.uint8 if header.bits <= 8 else np.uint16))
    _refuse_unless_empty(target.cannot_hold(header, _layout(mapping, stored, samples)))
    return samples


def _layout(mapping: PixelMapping, stored: np.ndarray, samples: np.ndarray) -> PixelLayout:
    bands = 1 if stored.ndim == 2 else stored.shape[-1]
    has_alpha_band = mapping.alpha(stored) is not None and bands > mapping.colour_samples
    return PixelLayout(
        size=(samples.shape[0], samples.shape[1]),
        samples=1 if samples.ndim == 2 else samples.shape[-1],
        bits=8 * samples.dtype.itemsize,
        bands=bands,
        other_bands=max(0, bands - mapping.colour_samples - has_alpha_band),
    )


def _displayed(mapping: PixelMapping, stored: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Samples of `dtype` as a viewer displays them, white at the type's maximum, alpha last."""
    white = np.iinfo(dtype).max
    colour = np.rint(Frame(stored, mapping).displayed() * np.float32(white)).astype(dtype)
    alpha = mapping.alpha(stored)
    if alpha is None:
        return colour[..., 0] if colour.shape[-1] == 1 else colour
    scaled = np.clip(np.rint(alpha.astype(np.float64) * (white / mapping.opaque)), 0, white)
    return np.concatenate([colour, scaled.astype(dtype)[..., None]], -1)
