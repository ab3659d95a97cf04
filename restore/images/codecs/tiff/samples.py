"""TIFF's decoded samples: their shape, their palette, and their mapping to normalized pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC, TiffPage

from restore.images.mappings import Cmyk, ranged, with_maximum
from restore.images.pixel_mapping import PixelMapping
from restore.images.premultiplied import premultiplied

COLOURS = {
    PHOTOMETRIC.MINISBLACK: 1,
    PHOTOMETRIC.MINISWHITE: 1,
    PHOTOMETRIC.RGB: 3,
    PHOTOMETRIC.PALETTE: 1,
    PHOTOMETRIC.SEPARATED: 4,
    PHOTOMETRIC.YCBCR: 3,
}
GRAYS = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
GDAL_NODATA = 42113
"""The tag with the value of missing pixels, as text (GDAL's GeoTIFF driver)."""
ASSOCIATED = 1
"""The kind of extra sample by which the colours are multiplied."""


def page_shape(page: TiffPage) -> tuple[int, int]:
    """(height, width) as stored."""
    return page.imagelength, page.imagewidth


def shaped(page: TiffPage, samples: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, samples) as coded, not yet upright."""
    if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        samples = np.ascontiguousarray(np.moveaxis(samples.reshape(page.samplesperpixel, *page_shape(page)), 0, -1))
    shape = page_shape(page) + ((page.samplesperpixel,) if page.samplesperpixel > 1 else ())
    samples = samples.reshape(shape)
    if samples.dtype == bool:
        return samples.astype(np.uint8)
    return samples.astype(samples.dtype.newbyteorder("="), copy=False)


def expanded(page: TiffPage, indices: np.ndarray) -> np.ndarray:
    """Palette indices -> (H, W, 3): uint8 where the 16-bit colour map holds 8-bit colours, else uint16."""
    table = np.asarray(page.colormap, np.uint16).T
    if (table % 257 == 0).all():
        table = (table // 257).astype(np.uint8)
    elif (table % 256 == 0).all():
        table = (table // 256).astype(np.uint8)
    plane = indices if indices.ndim == 2 else indices[..., 0]
    return np.asarray(np.ascontiguousarray(table)[np.minimum(plane, len(table) - 1)])


def mapping_of(page: TiffPage, samples: np.ndarray) -> PixelMapping:
    """The mapping of a page's samples, by its photometric interpretation, alpha and bits."""
    if page.photometric == PHOTOMETRIC.PALETTE:
        return with_maximum(int(np.iinfo(samples.dtype).max), 3)
    colours = COLOURS[PHOTOMETRIC(page.photometric)]
    alphas = [i for i, kind in enumerate(page.extrasamples) if kind in (1, 2)]
    # some writers list an alpha for which there is no sample
    alpha = colours + alphas[0] if alphas and samples.ndim == 3 and colours + alphas[0] < samples.shape[2] else None
    bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
    if alpha is not None and page.extrasamples[alphas[0]] == ASSOCIATED:
        if colours == 4:
            raise ValueError("inks multiplied by their alpha; export it with unassociated alpha")
        largest = None if samples.dtype.kind == "f" else min(2**bits - 1, int(np.iinfo(samples.dtype).max))
        inverted = page.photometric == PHOTOMETRIC.MINISWHITE
        return premultiplied(samples, colours, alpha, largest, inverted=inverted)
    if colours == 4:
        if samples.dtype.kind != "u":
            raise ValueError("CMYK of signed or float samples")
        return Cmyk(float(2**bits - 1), alpha_channel=alpha)
    inverted = page.photometric == PHOTOMETRIC.MINISWHITE
    # in colour a channel may have the value without being missing: black is (0, 0, 0), and red (255, 0, 0)
    missing = _missing(page, samples.dtype) if colours == 1 else None
    if samples.dtype.kind == "u" and bits <= 16:
        padding = None if missing is None else (missing, missing)
        return replace(with_maximum(2**bits - 1, colours, inverted=inverted, alpha_channel=alpha), padding=padding)
    return ranged(samples, colours, inverted=inverted, alpha_channel=alpha, missing=missing)


def _missing(page: TiffPage, dtype: np.dtype) -> float | None:
    """The sample that marks a missing pixel (GDAL's tag), as these samples hold it; None without one."""
    text = page.tags.valueof(GDAL_NODATA)
    try:
        value = float(text) if isinstance(text, str) else float("nan")
    except ValueError:
        return None
    if not np.isfinite(value):
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return float(dtype.type(value))
    bounds = np.iinfo(dtype)
    return value if bounds.min <= value <= bounds.max and value == int(value) else None
