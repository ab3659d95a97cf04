"""Draws the contact sheet of a run: before | after | difference of some pictures, as one PNG."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from restore import images
from restore.images import own_files
from restore.pipeline.records import Record
from restore.writing import atomic_write

log = logging.getLogger(__name__)

MAKER = "restore preview"
PICTURES = 12
CELL = 256
"""Side of a crop in pixels; crops are not resized."""
_GAP, _LINE, _HEAD = 8, 18, 44
_PAPER, _INK, _MARK = (24, 24, 26), (225, 225, 225), (255, 196, 0)
_AMPLIFICATIONS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Sample:
    """One picture on the sheet; arrays are float32 (h, w, 1 or 3), nominal [0, 1].

    Attributes:
        label: the file's name.
        overview: the whole result, downscaled to fit a cell.
        before, after: the crop of the input and of the result.
        box: the crop's position in the picture as (left, top, right, bottom).
        size: the picture's (height, width).
    """

    label: str
    overview: np.ndarray
    before: np.ndarray
    after: np.ndarray
    box: tuple[int, int, int, int]
    size: tuple[int, int]


def write(path: Path, records: Sequence[Record], title: str) -> list[str]:
    """Write the sheet of up to PICTURES records, evenly chosen from those with a result.

    Inputs and results are read from their files, so the sheet shows what was written.

    Returns:
        Remarks for the user: pictures left out, or that there is no result to show. In that case no file is written.

    Raises:
        OSError: the sheet cannot be written.
    """
    restored = [record for record in records if record.output is not None]
    count = min(PICTURES, len(restored))
    chosen = [restored[index * len(restored) // count] for index in range(count)]
    drawn = [(record, _sample(record)) for record in chosen]
    samples = [sample for _, sample in drawn if sample is not None]
    remarks = [f"left out of the preview because it cannot be read: {record.output}" for record, sample in drawn if sample is None]
    if not samples:
        return [*remarks, "no preview: there is no result to show"]
    with atomic_write(path) as draft:
        _draw(samples, f"{title}   {len(samples)} of {len(restored)} pictures").save(draft, format="PNG", pnginfo=own_files.png_text(MAKER))
    return remarks


def is_one(path: Path) -> bool:
    """Whether a run wrote this sheet."""
    return own_files.is_made_by(MAKER, path)


def _sample(record: Record) -> Sample | None:
    """The sample of a record; None if a file cannot be read. The input is upscaled to the size of a larger result."""
    assert record.output is not None
    try:
        before = images.read(record.input, salvage=True).frame(0).displayed()
        after = images.read(record.output).frame(0).displayed()
    except Exception:  # whatever a damaged file may raise
        log.debug("%s: left out of the preview", record.output, exc_info=True)
        return None
    if before.shape[:2] != after.shape[:2]:
        before = _upscaled(before, *after.shape[:2])
    box = most_detailed(after)
    left, top, right, bottom = box
    crop = np.s_[top:bottom, left:right]
    label = "".join(char if char.isprintable() and char.isascii() else "?" for char in record.input.name)
    return Sample(label, _fit(after), before[crop].copy(), after[crop].copy(), box, after.shape[:2])


def most_detailed(picture: np.ndarray, side: int = CELL) -> tuple[int, int, int, int]:
    """The square with the most structure in a picture.

    Structure is the difference between neighbours. It is capped, so that fine texture counts more than a burnt-in letter.

    Args:
        picture: (H, W, C) float32.
        side: of the square, in pixels.

    Returns:
        (left, top, right, bottom).
    """
    gray = picture.mean(axis=2)
    height, width = gray.shape
    step = 16
    slopes = np.zeros_like(gray)
    slopes[:, 1:] += np.abs(np.diff(gray, axis=1))
    slopes[1:] += np.abs(np.diff(gray, axis=0))
    cap = 4 * float(slopes.mean())
    rows, columns = -(-height // step), -(-width // step)
    padded = np.zeros((rows * step, columns * step), np.float32)
    np.minimum(slopes, cap, out=padded[:height, :width])
    blocks = padded.reshape(rows, step, columns, step).sum(axis=(1, 3))
    sums = np.pad(blocks, ((1, 0), (1, 0))).cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    high, wide = min(rows, -(-side // step)), min(columns, -(-side // step))
    windows = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    top, left = (int(index) * step for index in np.unravel_index(int(windows.argmax()), windows.shape))
    top, left = max(0, min(top, height - side)), max(0, min(left, width - side))
    return left, top, min(width, left + side), min(height, top + side)


def amplification(samples: Sequence[Sample]) -> int:
    """The factor for the differences of all samples that makes the larger ones visible and clips few."""
    large = max(float(np.quantile(np.abs(difference(sample, 1) - 0.5), 0.99)) for sample in samples)
    return max((factor for factor in _AMPLIFICATIONS if factor * large <= 0.4), default=_AMPLIFICATIONS[0])


def difference(sample: Sample, factor: int) -> np.ndarray:
    """`factor` times (after - before), centred on middle gray: brighter where the result is brighter."""
    return np.asarray(0.5 + factor * (sample.after - _like(sample.before, sample.after)))


def _draw(samples: Sequence[Sample], title: str) -> Image.Image:
    factor = amplification(samples)
    row_height = CELL + _LINE + _GAP
    sheet = Image.new("RGB", (4 * CELL + 5 * _GAP, _HEAD + len(samples) * row_height + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    columns = [_GAP + index * (CELL + _GAP) for index in range(4)]
    pen.text((_GAP, 5), title, fill=_INK, font=font)
    heads = ("result with the crop", "before, 100 %", "after, 100 %", f"after - before, x{factor} on gray")
    for left, head in zip(columns, heads, strict=True):
        pen.text((left, 24), head, fill=_INK, font=font)
    for index, sample in enumerate(samples):
        top = _HEAD + index * row_height
        text = f"{sample.label}   {sample.size[1]} x {sample.size[0]}, crop at ({sample.box[0]}, {sample.box[1]})"
        pen.text((_GAP, top), _shortened(text, font, sheet.width - 2 * _GAP), fill=_INK, font=font)
        cells = (sample.overview, sample.before, sample.after, difference(sample, factor))
        for left, cell in zip(columns, cells, strict=True):
            sheet.paste(_picture(cell), (left, top + _LINE))
        scale = max(sample.size) / CELL if max(sample.size) > CELL else 1.0
        west, north, east, south = (edge / scale for edge in sample.box)
        corner = (columns[0] + west, top + _LINE + north)
        pen.rectangle((*corner, columns[0] + max(west, east - 1), top + _LINE + max(north, south - 1)), outline=_MARK)
    return sheet


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    while font.getlength(text) > width:
        middle = len(text) // 2
        text = f"{text[: middle - 4]}...{text[middle + 4 :]}"
    return text


def _upscaled(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, C) float32 -> (height, width, C) by the cubic kernel."""
    planes = [np.ascontiguousarray(plane) for plane in picture.transpose(2, 0, 1)]
    larger = [Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC) for plane in planes]
    return np.stack([np.asarray(plane) for plane in larger], axis=2)


def _fit(picture: np.ndarray) -> np.ndarray:
    """The whole picture, downscaled (never upscaled) to fit a cell."""
    image = _picture(picture)
    image.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    return np.asarray(image, np.float32) / 255


def _picture(values: np.ndarray) -> Image.Image:
    """Convert float (h, w, 1 or 3) in [0, 1] to an 8-bit RGB image."""
    eight = np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(np.broadcast_to(eight, (*eight.shape[:2], 3)).copy())


def _like(values: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`values` with as many channels as `other`: gray is repeated, colour is averaged."""
    if values.shape[2] == other.shape[2]:
        return values
    return values.mean(axis=2, keepdims=True) if other.shape[2] == 1 else np.repeat(values, other.shape[2], axis=2)
