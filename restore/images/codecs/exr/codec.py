"""OpenEXR: half and float samples; gray, RGB, alpha; scan lines and tiles of one part. Layout by "OpenEXR File Layout" (openexr.com).

The picture is R, G, B and A; Y and A; or the only channel. Where they have a layer's name in front, and there is one such layer, it is
that. Kept: every attribute, channel names and types, compression, tiles, all other channels (depth, masks; nearest neighbours where the
picture is enlarged), windows and resolution. Samples are linear light and have no white: see `mappings.ranged`. Colours are stored
multiplied by alpha (`premultiplied`). NaN and infinite samples stay.
Not kept when the pixels change: reduced levels of tiled files. A result in another format gets an ICC profile of linear light.
Pictures of other formats become linear light (new_file.py).
Refused: several parts, deep pixels, subsampled or luminance-chroma pictures, several layers without a main one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np

from restore.images import colour_profiles, compression_bounds, decoding
from restore.images.codecs.base import Capabilities, Codec, only_frame
from restore.images.codecs.exr import new_file
from restore.images.errors import Limits, as_image_error, check_size, image_error
from restore.images.frame import Frame
from restore.images.mappings import ranged
from restore.images.metadata import ImageHeader, Metadata, Provenance
from restore.images.packages import Package
from restore.images.premultiplied import premultiplied

_MAGIC = b"\x76\x2f\x31\x01"
_OPENEXR = Package("OpenEXR", "exr")
_DEEP, _PARTS = 0x800, 0x1000
_UINT, _HALF, _FLOAT = 0, 1, 2
_SIZES = {_UINT: 4, _HALF: 2, _FLOAT: 4}
_BOUNDS = {0: 1, 1: 64, 2: 1032, 3: 1032, 5: 1032}
"""Bytes a byte by compression: none, run lengths, zlib of one or several lines, and of 24-bit floats. See `compression_bounds`."""
_LOSSY = (5, 6, 7, 8, 9)
_LONGEST_HEADER = 1 << 22
_WAYS = (("R", "G", "B", "A"), ("R", "G", "B"), ("Y", "A"), ("Y",))


@dataclass(frozen=True)
class Channel:
    """One channel: its type (0 uint, 1 half, 2 float) and sampling."""

    name: str
    kind: int
    sampling: tuple[int, int]


@dataclass
class Layout:
    """What the header says.

    Attributes:
        flags: of the version field.
        attributes: name -> its value's bytes.
        channels: in the file's order.
    """

    flags: int
    attributes: dict[str, bytes] = field(default_factory=dict)
    channels: list[Channel] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the data window."""
        left, top, right, bottom = struct.unpack("<4i", self.attributes["dataWindow"])
        return bottom - top + 1, right - left + 1

    @property
    def compression(self) -> int:
        """The number of its kind."""
        return self.attributes["compression"][0]

    def picture(self) -> tuple[str, ...]:
        """The names of the channels that are the picture, alpha last; none where that is not clear."""
        names = [channel.name for channel in self.channels]
        layers = sorted({name.rpartition(".")[0] for name in names})
        for way in _WAYS:
            found = [layer for layer in layers if all(_joined(layer, part) in names for part in way)]
            if "" in found or len(found) == 1:
                return tuple(_joined("" if "" in found else found[0], part) for part in way)
            if found:
                return ()
        return (names[0],) if len(names) == 1 else ()


def _joined(layer: str, name: str) -> str:
    return f"{layer}.{name}" if layer else name


def read_layout(data: bytes) -> Layout:
    """Parse a header; ValueError or struct.error where it breaks off."""
    found, at = Layout(struct.unpack_from("<I", data, 4)[0]), 8
    while data[at : at + 1] != b"\0":
        end = data.index(b"\0", at)
        name = data[at:end].decode("latin-1")
        at = data.index(b"\0", end + 1) + 1
        (size,) = struct.unpack_from("<i", data, at)
        if size < 0 or at + 4 + size > len(data):
            raise ValueError("its header breaks off")
        found.attributes[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    listed, at = found.attributes.get("channels", b"\0"), 0
    while listed[at : at + 1] not in (b"\0", b""):
        end = listed.index(b"\0", at)
        kind, across, down = struct.unpack_from("<i4xii", listed, end + 1)
        found.channels.append(Channel(listed[at:end].decode("latin-1"), kind, (across, down)))
        at = end + 17
    return found


class ExrSource:
    """One OpenEXR file."""

    copies = True

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self._names = path, layout.picture()
        self._colours = 3 if len(self._names) >= 3 else 1
        self._alpha = len(self._names) - 1 if len(self._names) in (2, 4) else None
        kinds = [channel.kind for channel in layout.channels if channel.name in self._names]
        self._dtype = np.dtype(np.float16 if set(kinds) == {_HALF} else np.float32)
        density = layout.attributes.get("xDensity", b"")
        dpi = struct.unpack("<f", density)[0] if len(density) == 4 else 0.0
        metadata = Metadata(_profile(layout, self._names), dpi=(dpi, dpi) if 0 < dpi < 1e6 else None)
        has_levels = len(layout.attributes.get("tiles", b"")) == 9 and layout.attributes["tiles"][8] & 15 > 0
        warnings = ("its reduced levels are not kept where pixels change",) if has_levels else ()
        lossy = layout.compression in _LOSSY
        self.header = ImageHeader("exr", layout.size, 8 * self._dtype.itemsize, lossy=lossy, metadata=metadata, warnings=warnings)

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "OpenEXR"):
            height, width = self.header.size
            samples = height * width * max(4, len(self._names))
            planes = decoding.call(decode, self.path, self._names, samples=samples, coded=self.path.stat().st_size)
            if any(plane.shape != (height, width) for plane in planes):
                raise image_error(self.path, "damaged OpenEXR (its pixels have another size than its header says); export it again")
            stored = np.stack([plane.astype(self._dtype) for plane in planes], -1)
            if self._alpha is not None:
                return Frame(stored, premultiplied(stored, self._colours, self._alpha, None, inverted=False))
            stored = stored[..., 0].copy() if len(planes) == 1 else stored
            return Frame(stored, ranged(stored, self._colours, inverted=False, alpha_channel=None))

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        stored = only_frame(frames, self.path)
        planes = stored[..., None] if stored.ndim == 2 else stored
        names = _WAYS[1 if planes.shape[-1] == 3 else 0] if provenance.coloured and self._colours == 1 else self._names
        with as_image_error(self.path, "OpenEXR"):
            _write(self.path, path, {name: planes[..., index] for index, name in enumerate(names)}, set(self._names), provenance.scale)


def _profile(layout: Layout, names: tuple[str, ...]) -> bytes | None:
    """The ICC profile of linear light with the file's primaries; None where the picture shows no light, or none describes it."""
    if names[0].rpartition(".")[2] not in ("R", "Y"):
        return None
    red_green_blue_white = layout.attributes.get("chromaticities", b"")
    colours = colour_profiles.Colours(gamma=1.0)
    if len(red_green_blue_white) == 32:
        places = struct.unpack("<8f", red_green_blue_white)
        if not all(0 < place < 1 for place in places):
            return None
        colours = colour_profiles.Colours((*places[6:], *places[:6]), gamma=1.0)
    try:
        return colour_profiles.profile(colours, gray=len(names) < 3)
    except (ValueError, RuntimeError):
        return None


def decode(path: Path, names: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    """(H, W) of each channel, float16 or float32, for a decoding process. Raises what OpenEXR raises."""
    with _OPENEXR.load().File(str(path), separate_channels=True, num_threads=0) as file:
        if not file.parts:
            raise image_error(path, "truncated OpenEXR (its table of rows, or all rows, are missing); copy it again")
        channels = file.channels()
        return tuple(np.array(channels[name].pixels) for name in names)


def _write(source: Path, path: Path, planes: dict[str, np.ndarray], replaced: set[str], scale: float) -> None:
    """Write the source's attributes and channels to `path`, those of the picture replaced by `planes`."""
    exr = _OPENEXR.load()
    with exr.File(str(source), separate_channels=True, num_threads=0) as file:
        header, old = dict(file.header()), dict(file.channels())
        kinds = {name: channel.pixels.dtype for name, channel in old.items()}
        light = next(iter(kinds[name] for name in replaced))
        pixels = {name: np.array(channel.pixels) for name, channel in old.items() if name not in replaced}
    height, width = next(iter(planes.values())).shape
    new = {name: _nearest(plane, height, width) for name, plane in pixels.items()}
    new |= {name: np.ascontiguousarray(plane, kinds.get(name, light)) for name, plane in planes.items()}
    header.pop("channels")
    if scale != 1:
        _rescale(header, height, width, scale)
    if header.get("tiles") is not None:
        header["tiles"].mode, header["tiles"].roundingMode = exr.LevelMode.ONE_LEVEL, exr.LevelRoundingMode.ROUND_DOWN
    channels = {name: exr.Channel(plane) for name, plane in new.items()}
    with exr.File(header, channels, num_threads=0) as file:
        file.write(str(path))


def _nearest(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """A plane of (height, width) samples, nearest neighbours."""
    rows, columns = (((np.arange(new) + 0.5) * old / new).astype(np.intp) for old, new in zip(plane.shape, (height, width), strict=True))
    return np.ascontiguousarray(plane[rows[:, None], columns])


def _rescale(header: dict[str, object], height: int, width: int, scale: float) -> None:
    """Fit the windows and the resolution to pixels `scale` times as fine."""
    windows = {name: cast(tuple[np.ndarray, np.ndarray], header[name]) for name in ("dataWindow", "displayWindow")}
    data = np.array(windows["dataWindow"])
    for name, (low, high) in windows.items():
        is_data = np.array_equal((low, high), data)
        low = np.rint(low * scale).astype(np.int32)
        extent = np.array([width, height]) if is_data else np.rint((high + 1) * scale) - low
        header[name] = (low, (low + extent - 1).astype(np.int32))
    density = header.get("xDensity")
    if isinstance(density, float):
        header["xDensity"] = density * scale


class ExrCodec(Codec):
    """OpenEXR."""

    name = "exr"
    suffixes = (".exr",)
    capabilities = Capabilities(floats=True)
    needs = _OPENEXR

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as OpenEXR does."""
        return head.startswith(_MAGIC)

    def open(self, path: Path, limits: Limits) -> ExrSource:
        """Read the header; ImageError as `read` says."""
        with as_image_error(path, "OpenEXR"):
            with path.open("rb") as file:
                layout = read_layout(file.read(_LONGEST_HEADER))
            if layout.flags & (_DEEP | _PARTS):
                what = "deep pixels" if layout.flags & _DEEP else "several parts"
                raise image_error(path, f"an OpenEXR with {what}; save its picture as one flat part")
            height, width = layout.size
            coded = path.stat().st_size
            bound, names = _BOUNDS.get(layout.compression), layout.picture()
            lossy = layout.compression in _LOSSY
        check_size(path, height, width, limits.max_pixels)
        found = [channel for channel in layout.channels if channel.name in names]
        if not names or any(channel.kind not in (_HALF, _FLOAT) for channel in found):
            listed = ", ".join(channel.name for channel in layout.channels[:12])
            raise image_error(path, f"its channels ({listed}) are no gray or RGB picture of halves or floats; save one layer as R, G, B")
        if any(channel.sampling != (1, 1) or channel.kind not in _SIZES for channel in layout.channels):
            raise image_error(path, "some of its channels are subsampled; save it as R, G, B")
        row = sum(_SIZES[channel.kind] for channel in layout.channels) * width
        compression_bounds.check(path, "lossy OpenEXR" if lossy else "OpenEXR", row * height, coded, bound=bound)
        return ExrSource(path, layout)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format, in linear light; ImageError where its profile can't be applied."""
        new_file.write(_OPENEXR.load(), path, only_frame(frames, path), header.metadata)
