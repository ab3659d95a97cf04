"""Small versions of a picture's layers and of their differences, as data URIs within a budget of bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image

from restore import images
from restore.html_report.model import Figure
from restore.images import Picture
from restore.parallel import PixelBudget

_BLOCK, _WORST = 16, 6
"""The largest difference is sought in squares of _WORST blocks of _BLOCK pixels."""
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
    """

    layers: tuple[str, ...]
    differences: tuple[str, ...]
    size: tuple[int, int]


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
    """The layers of a part of a picture by index: 8-bit pictures, and float differences to the base (none for the base)."""

    layers: dict[int, np.ndarray] = field(default_factory=dict)
    differences: dict[int, np.ndarray] = field(default_factory=dict)

    def changed(self, change: Callable[[np.ndarray], np.ndarray]) -> _Part:
        """All arrays changed alike."""
        return _Part(
            {index: change(one) for index, one in self.layers.items()}, {index: change(one) for index, one in self.differences.items()}
        )


@dataclass
class _Sources:
    """What previews are made from: the whole, as large as the largest preview, and the largest crop.

    Attributes:
        size: (height, width) of the picture.
        frames: number of its frames.
        middle: (row, column) of the crop's middle.
    """

    size: tuple[int, int]
    frames: int
    middle: tuple[int, int]
    whole: _Part = field(default_factory=_Part)
    crop: _Part = field(default_factory=_Part)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The crop's position as (left, top, right, bottom)."""
        return square(self.middle, LARGEST_CROP, self.size)

    def add(self, index: int, pixels: np.ndarray, difference: np.ndarray | None) -> None:
        """Add a layer (H, W, C) and its difference (H, W) to the base."""
        left, top, right, bottom = self.box
        for part, region in ((self.whole, np.s_[:, :]), (self.crop, np.s_[top:bottom, left:right])):
            part.layers[index] = _eight_bits(_fit(pixels[region], SETTINGS[0].side))
            if difference is not None:
                part.differences[index] = _fit(difference[region], SETTINGS[0].side)


def preview(figure: Figure, share: int, first: int, budget: PixelBudget) -> tuple[Preview, int]:
    """The previews of a figure within `share` bytes, or the smallest ones.

    Args:
        figure: its files are read.
        share: bytes on the page.
        first: index in SETTINGS to start with, such as that of the figure before.
        budget: for the pixels that are decoded at a time.

    Returns:
        The preview and the index in SETTINGS that was used.

    Raises:
        Exception: whatever a damaged file may raise.
    """
    sources = _read(figure, budget)
    for index in range(first, len(SETTINGS)):
        made = _made(sources, SETTINGS[index])
        if made.bytes <= share or index == len(SETTINGS) - 1:
            return made, index
    raise AssertionError("SETTINGS has no entry from `first` on")


def _read(figure: Figure, budget: PixelBudget) -> _Sources:
    """The layers, one by one: only the base and one other are held as floats."""
    pictures = [images.read(layer.path, salvage=True) for layer in figure.layers]
    with budget.hold(2 * max(picture.size[0] * picture.size[1] for picture in pictures)):
        return _sources(figure, pictures)


def _sources(figure: Figure, pictures: Sequence[Picture]) -> _Sources:
    first = pictures[figure.base].frame(0)
    base = first.displayed()
    found: _Sources | None = None
    for index in range(len(pictures)):
        if index == figure.base:
            continue
        pixels = pictures[index].frame(0).on_scale_of(first).displayed()
        if found is None:
            base = upscaled(base, *pixels.shape[:2])
        if pixels.shape[:2] != base.shape[:2]:
            raise ValueError(f"{figure.layers[index].path} has another size")
        difference = np.abs(pixels - like(base, pixels)).mean(axis=2)
        found = found or _Sources(base.shape[:2], pictures[figure.base].frames, worst(difference))
        found.add(index, pixels, difference)
    assert found is not None
    found.add(figure.base, base, None)
    return found


def worst(difference: np.ndarray) -> tuple[int, int]:
    """The middle (row, column) of the square with the largest mean difference: (H, W) float, squares of some 96 pixels."""
    height, width = difference.shape
    rows, columns = -(-height // _BLOCK), -(-width // _BLOCK)
    padded = np.zeros((rows * _BLOCK, columns * _BLOCK), np.float32)
    padded[:height, :width] = difference
    blocks = padded.reshape(rows, _BLOCK, columns, _BLOCK).sum(axis=(1, 3))
    sums = np.pad(blocks, ((1, 0), (1, 0))).cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    high, wide = min(rows, _WORST), min(columns, _WORST)
    windows = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    row, column = (int(index) for index in np.unravel_index(int(windows.argmax()), windows.shape))
    return row * _BLOCK + high * _BLOCK // 2, column * _BLOCK + wide * _BLOCK // 2


def square(middle: tuple[int, int], side: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The square around a point, moved into a picture of `size` (height, width) -> (left, top, right, bottom)."""
    top, left = (max(0, min(at - side // 2, extent - side)) for at, extent in zip(middle, size, strict=True))
    return left, top, min(size[1], left + side), min(size[0], top + side)


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


def _made(sources: _Sources, setting: Setting) -> Preview:
    is_reduced = max(sources.size) > setting.side
    whole = sources.whole.changed(lambda values: _fit(values, setting.side))
    box = square(sources.middle, setting.crop, sources.size)
    left, top = (inner - outer for inner, outer in zip(box[:2], sources.box[:2], strict=True))
    crop = sources.crop.changed(lambda values: values[top : top + setting.crop, left : left + setting.crop])
    parts = [whole, crop] if is_reduced else [whole]
    limit = max(float(np.quantile(values, 0.998)) for part in parts for values in part.differences.values())
    limit = max(1, int(np.ceil(limit * 255 - 0.01))) / 255
    views = [_view(part, limit, setting.quality) for part in parts]
    return Preview(views[0], views[1] if is_reduced else None, box, sources.size, sources.frames, limit)


def _view(part: _Part, limit: float, quality: int) -> View:
    layers = [part.layers[index] for index in sorted(part.layers)]
    differences = [part.differences.get(index) for index in sorted(part.layers)]
    maps = ["" if one is None else _uri(_heat(one, limit), quality) for one in differences]
    return View(tuple(_uri(layer, quality) for layer in layers), tuple(maps), layers[0].shape[:2])


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
