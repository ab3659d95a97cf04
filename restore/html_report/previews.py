"""Small versions of a picture's layers and of their differences, as data URIs within a budget of bytes."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image

from restore import images
from restore.html_report.model import Figure

_BLOCK = 16
"""Side of the squares in which the largest difference is sought, in pixels."""
LARGEST_CROP = 384


@dataclass(frozen=True)
class Setting:
    """How large and how good previews are: longest side of the whole, side of the crop, WebP quality."""

    side: int
    crop: int
    quality: int


SETTINGS = (
    Setting(1200, LARGEST_CROP, 90), Setting(960, 384, 86), Setting(800, 352, 84), Setting(640, 320, 82), Setting(512, 256, 80),
    Setting(400, 224, 75), Setting(320, 192, 68), Setting(256, 160, 60), Setting(200, 128, 50),
)  # fmt: skip
"""From the best to the smallest; a figure gets the first one that fits its share of the bytes."""


@dataclass(frozen=True)
class View:
    """The layers of one part of a picture, of equal size, and the maps of their differences to the base.

    Attributes:
        layers: data URIs in the order of the figure's layers.
        differences: data URIs in the same order, "" for the base.
        size: (height, width) in preview pixels.
        scale: preview pixels for each picture pixel.
    """

    layers: tuple[str, ...]
    differences: tuple[str, ...]
    size: tuple[int, int]
    scale: float


@dataclass(frozen=True)
class Preview:
    """The previews of a figure.

    Attributes:
        whole: the whole picture.
        crop: the part with the largest difference at 100 %; None where the whole is not reduced.
        box: (left, top, right, bottom) of the crop in the picture.
        size: (height, width) of the picture.
        frames: number of its frames; the first one is shown.
        limit: the difference shown by the brightest colour, as a fraction of white.
    """

    whole: View
    crop: View | None
    box: tuple[int, int, int, int]
    size: tuple[int, int]
    frames: int
    limit: float

    @property
    def bytes(self) -> int:
        """Number of bytes on the page."""
        views = [self.whole, *([self.crop] if self.crop else [])]
        return sum(len(uri) for view in views for uri in (*view.layers, *view.differences))


@dataclass
class _Part:
    """The layers of a part of a picture: 8-bit pictures, and float differences to the base (None for the base)."""

    layers: list[np.ndarray] = field(default_factory=list)
    differences: list[np.ndarray | None] = field(default_factory=list)


def preview(figure: Figure, share: int, first: int) -> tuple[Preview, int]:
    """The previews of a figure within `share` bytes, or the smallest ones.

    Args:
        figure: its files are read.
        share: bytes on the page.
        first: index in SETTINGS to start with, such as that of the figure before.

    Returns:
        The preview and the index in SETTINGS that was used.

    Raises:
        Exception: whatever a damaged file may raise.
    """
    whole, crop, box, size, frames = _read(figure)
    for index in range(first, len(SETTINGS)):
        made = _made(whole, crop, box, size, frames, SETTINGS[index])
        if made.bytes <= share or index == len(SETTINGS) - 1:
            return made, index
    raise AssertionError("SETTINGS has no entry from `first` on")


def _read(figure: Figure) -> tuple[_Part, _Part, tuple[int, int, int, int], tuple[int, int], int]:
    """The layers, one by one: only the base and one other are held as floats."""
    pictures = [images.read(layer.path, salvage=True) for layer in figure.layers]
    others = [index for index in range(len(pictures)) if index != figure.base]
    base = pictures[figure.base].frame(0).displayed()
    whole, crop = _Part(), _Part()
    box: tuple[int, int, int, int] | None = None
    for index in others:
        pixels = pictures[index].frame(0).displayed()
        if box is None:
            base = upscaled(base, *pixels.shape[:2])
        if pixels.shape[:2] != base.shape[:2]:
            raise ValueError(f"{figure.layers[index].path} has another size")
        difference = np.abs(pixels - like(base, pixels)).mean(axis=2)
        box = box or worst(difference)
        for part, region in ((whole, np.s_[:, :]), (crop, np.s_[box[1] : box[3], box[0] : box[2]])):
            part.layers.append(_eight_bits(_reduced(pixels[region])))
            part.differences.append(_reduced(difference[region]))
    assert box is not None
    for part, region in ((whole, np.s_[:, :]), (crop, np.s_[box[1] : box[3], box[0] : box[2]])):
        part.layers.insert(figure.base, _eight_bits(_reduced(base[region])))
        part.differences.insert(figure.base, None)
    return whole, crop, box, base.shape[:2], pictures[figure.base].frames


def worst(difference: np.ndarray, side: int = LARGEST_CROP) -> tuple[int, int, int, int]:
    """The square with the largest mean difference: (H, W) float -> (left, top, right, bottom)."""
    height, width = difference.shape
    rows, columns = -(-height // _BLOCK), -(-width // _BLOCK)
    padded = np.zeros((rows * _BLOCK, columns * _BLOCK), np.float32)
    padded[:height, :width] = difference
    blocks = padded.reshape(rows, _BLOCK, columns, _BLOCK).sum(axis=(1, 3))
    sums = np.pad(blocks, ((1, 0), (1, 0))).cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    # the window is smaller than the crop, so that the worst place comes into its middle
    high, wide = (min(count, max(1, side // 4 // _BLOCK)) for count in (rows, columns))
    windows = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    row, column = (int(index) for index in np.unravel_index(int(windows.argmax()), windows.shape))
    middle = (row * _BLOCK + high * _BLOCK // 2, column * _BLOCK + wide * _BLOCK // 2)
    top, left = (max(0, min(at - side // 2, extent - side)) for at, extent in zip(middle, (height, width), strict=True))
    return left, top, min(width, left + side), min(height, top + side)


def upscaled(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, C) float32 -> (height, width, C) by the cubic kernel; the same picture where the size is the same."""
    if picture.shape[:2] == (height, width):
        return picture
    planes = [np.ascontiguousarray(plane) for plane in picture.transpose(2, 0, 1)]
    larger = [Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC) for plane in planes]
    return np.stack([np.asarray(plane) for plane in larger], axis=2)


def like(values: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`values` with as many channels as `other`: gray is repeated, colour is averaged."""
    if values.shape[2] == other.shape[2]:
        return values
    return values.mean(axis=2, keepdims=True) if other.shape[2] == 1 else np.repeat(values, other.shape[2], axis=2)


def _made(whole: _Part, crop: _Part, box: tuple[int, int, int, int], size: tuple[int, int], frames: int, setting: Setting) -> Preview:
    reduced = max(size) > setting.side
    parts = [_resized(whole, setting.side)] + ([_cut(crop, setting.crop)] if reduced else [])
    limit = max(float(np.quantile(values, 0.998)) for part in parts for values in part.differences if values is not None)
    limit = max(1, int(np.ceil(limit * 255 - 0.01))) / 255
    views = [
        _view(part, limit, setting.quality, scale) for part, scale in zip(parts, (parts[0].layers[0].shape[0] / size[0], 1.0), strict=False)
    ]
    left, top, right, bottom = box
    inset = [max(0, (end - start - setting.crop) // 2) for start, end in ((left, right), (top, bottom))]
    shown = (left + inset[0], top + inset[1], min(right, left + inset[0] + setting.crop), min(bottom, top + inset[1] + setting.crop))
    return Preview(views[0], views[1] if reduced else None, shown, size, frames, limit)


def _resized(part: _Part, side: int) -> _Part:
    return _Part([_fit(layer, side) for layer in part.layers], [None if one is None else _fit(one, side) for one in part.differences])


def _cut(part: _Part, side: int) -> _Part:
    """The middle of a crop."""
    height, width = part.layers[0].shape[:2]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    region = np.s_[top : top + side, left : left + side]
    return _Part([layer[region] for layer in part.layers], [None if one is None else one[region] for one in part.differences])


def _view(part: _Part, limit: float, quality: int, scale: float) -> View:
    differences = ["" if one is None else _uri(_heat(one, limit), quality) for one in part.differences]
    return View(tuple(_uri(layer, quality) for layer in part.layers), tuple(differences), part.layers[0].shape[:2], scale)


def _reduced(values: np.ndarray) -> np.ndarray:
    """Values no larger than the largest preview, so that little is held."""
    return _fit(values, SETTINGS[0].side)


def _fit(values: np.ndarray, side: int) -> np.ndarray:
    """(H, W[, C]), downscaled by the mean of areas to at most `side`; never upscaled."""
    factor = side / max(values.shape[:2])
    if factor >= 1:
        return np.ascontiguousarray(values)
    height, width = (max(1, round(extent * factor)) for extent in values.shape[:2])
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)).reshape(height, width, *values.shape[2:])


def _eight_bits(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8))


def _heat(difference: np.ndarray, limit: float) -> np.ndarray:
    """(h, w) differences -> (h, w, 3) colours: black for 0, light yellow for `limit` and above."""
    colours = cv2.applyColorMap(_eight_bits(difference / limit), cv2.COLORMAP_INFERNO)
    return np.asarray(colours[:, :, ::-1])


def _uri(picture: np.ndarray, quality: int) -> str:
    buffer = io.BytesIO()
    flat = picture[:, :, 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    Image.fromarray(np.ascontiguousarray(flat)).save(buffer, format="WEBP", quality=quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def chosen(count: int, most: int, *, evenly: bool = False) -> list[int]:
    """Which of `count` figures get previews: the first third and the last third of `most`, and the rest evenly between; or all evenly."""
    if count <= most:
        return list(range(count))
    if evenly:
        return [index * count // most for index in range(most)]
    first, between, last = _thirds(most)
    inner = [first + (2 * index + 1) * (count - first - last) // (2 * between) for index in range(between)]
    return [*range(first), *inner, *range(count - last, count)]


def _thirds(most: int) -> tuple[int, int, int]:
    """How many are the first, between and the last."""
    first, last = (most + 2) // 3, (most + 1) // 3
    return first, most - first - last, last


def describe(chosen_count: int, total: int, order: str, *, evenly: bool = False) -> str:
    """Says which pictures have previews."""
    if chosen_count == total:
        return f"Previews of all {total} pictures, {order}."
    if evenly:
        return f"Previews of {chosen_count} of {total} pictures, evenly chosen, {order}. The table has all of them."
    first, between, last = _thirds(chosen_count)
    parts = f"the first {first}, the last {last}, and {between} evenly between"
    return f"Previews of {chosen_count} of {total} pictures, {order}: {parts}. The table has all of them."
