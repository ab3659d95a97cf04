"""GIF of a single picture: a palette of at most 256 colours; one may be transparent. Layout by the GIF89a specification.

An unchanged picture is the same file. Kept when the pixels change: gray (all of its 256 values), transparency, interlacing, comments,
the shape of a pixel, and the blocks of applications, such as XMP and an ICC profile.
A changed colour picture keeps its colours where there are at most 256 of them; else it gets the 256 that fit it best, and a warning says
so (`--format png` keeps all). Pictures of other formats become GIF where they have at most 256 colours, or are gray, and no pixel is half
transparent. Animations are refused.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import GifImagePlugin, Image

from restore.images import compression_bounds, decoding
from restore.images.codecs.base import Capabilities, Codec, only_frame
from restore.images.errors import ImageError, Limits, as_image_error, check_size, image_error, quiet
from restore.images.frame import Frame
from restore.images.mappings import plain
from restore.images.metadata import ImageHeader, Metadata, Provenance

_EXTENSION, _PICTURE, _END = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL, _COMMENT, _APPLICATION = 0xF9, 0xFE, 0xFF
_ICC, _XMP, _XMP_TRAILER = b"ICCRGBG1012", b"XMP DataXMP", 258
"""The names of what applications keep, and the bytes after an XMP packet that let decoders skip it (Adobe's XMP specification, part 3)."""
_NOT_GRAY = 0, 0, 1
"""An unused colour, so that a colour picture whose pixels are gray stays a colour picture."""
_PLACES = np.array([65536, 256, 1], np.uint32)
"""What makes one number of a colour."""
_COLOURS = "a GIF holds 256 colours: where a changed picture has more, the nearest ones are written; --format png keeps all"


@dataclass
class Layout:
    """What the blocks of a file say.

    Attributes:
        size: (height, width) of the screen.
        place: (left, top, width, height) of the picture on it.
        pictures: how many there are.
        coded: bytes of the first one's code.
        interlaced: whether its rows are.
        transparent: the index that is transparent, or None.
        comment: all comments.
        applications: the blocks of applications, as they are.
        icc, xmp: those of them that other formats have too.
        aspect: the shape of a pixel, as coded; 0 where the file does not say.
        gray: whether all colours are gray.
        complete: whether the file ends with its trailer.
    """

    size: tuple[int, int]
    place: tuple[int, int, int, int] = (0, 0, 0, 0)
    pictures: int = 0
    coded: int = 0
    interlaced: bool = False
    transparent: int | None = None
    comment: bytes = b""
    applications: bytes = b""
    icc: bytes | None = None
    xmp: bytes | None = None
    aspect: int = 0
    gray: bool = True
    complete: bool = False


def _blocks(data: bytes, at: int) -> tuple[bytes, int]:
    """The content of a chain of sub-blocks, and where it ends; IndexError where it breaks off."""
    parts = []
    while size := data[at]:
        if at + 1 + size > len(data):
            raise IndexError
        parts.append(data[at + 1 : at + 1 + size])
        at += 1 + size
    return b"".join(parts), at + 1


def _is_gray(table: bytes) -> bool:
    colours = np.frombuffer(table, np.uint8).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _table(data: bytes, at: int, flags: int) -> tuple[bytes, int]:
    """A colour table, where the flags say that there is one, and where it ends."""
    size = 3 << (flags & 7) + 1 if flags & 0x80 else 0
    return data[at : at + size], at + size


def read_layout(data: bytes) -> Layout:
    """Walk through the blocks; IndexError or struct.error where they break off."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    found = Layout((height, width), aspect=data[12])
    common, at = _table(data, 13, flags)
    while at < len(data) and data[at] != _END:
        if data[at] == _EXTENSION:
            content, end = _blocks(data, at + 2)
            if data[at + 1] == _COMMENT:
                found.comment += content
            elif data[at + 1] == _GRAPHIC_CONTROL and not found.pictures and len(content) >= 4:
                found.transparent = content[3] if content[0] & 1 else None
            elif data[at + 1] == _APPLICATION:
                _application(data[at:end], content, found)
            at = end
        elif data[at] == _PICTURE:
            at = _picture(data, at, common, found)
        else:
            raise IndexError
    found.complete = at < len(data)
    return found


def _application(block: bytes, content: bytes, found: Layout) -> None:
    """Note the block of an application, whose parts without their lengths are `content`."""
    found.applications += block
    if content.startswith(_ICC):
        found.icc = content[len(_ICC) :] or None
    elif content.startswith(_XMP):  # which has no parts: the packet lies there as it is
        found.xmp = block[3 + len(_XMP) : -_XMP_TRAILER] or None


def _picture(data: bytes, at: int, common: bytes, found: Layout) -> int:
    """Note the picture whose descriptor is at `at`; where it ends."""
    left, top, width, height, flags = struct.unpack_from("<4HB", data, at + 1)
    table, start = _table(data, at + 10, flags)
    found.pictures += 1
    content, end = _blocks(data, start + 1)
    if found.pictures == 1:
        found.place, found.coded, found.interlaced = (left, top, width, height), len(content), flags & 0x40 > 0
        found.gray = _is_gray(table or common)
    return end


class GifSource:
    """One GIF file."""

    copies = True

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self._layout = path, layout
        texts = (("Comment", layout.comment.decode("utf-8", "replace")),) if layout.comment else ()
        always, coloured = ((), (_COLOURS,)) if layout.gray else ((_COLOURS,), ())
        metadata = Metadata(layout.icc, None, layout.xmp, texts=texts)
        self.header = ImageHeader("gif", layout.size, 8, metadata=metadata, warnings=always, coloured_warnings=coloured)

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "GIF"):
            height, width = self.header.size
            has_alpha = self._layout.transparent is not None or self._layout.place != (0, 0, width, height)
            coded = decoding.call(decode, self.path, has_alpha, samples=4 * height * width, coded=self._layout.coded)
            if has_alpha:  # the screen around a smaller picture shows what lies behind it; Pillow gives it the palette's first colour
                left, top, across, down = self._layout.place
                inner = np.zeros((height, width), bool)
                inner[top : top + down, left : left + across] = True
                coded = np.where(inner[:, :, None], coded, np.uint8(0))
            if self._layout.gray:
                coded = coded[..., [0, 3]] if has_alpha else coded[..., 0]
            stored = coded.copy()  # with the strides of a plane, even of a single pixel
            return Frame(stored, plain(stored))

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        _write(path, only_frame(frames, self.path), self._layout)


def decode(path: Path, has_alpha: bool) -> np.ndarray:
    """(H, W, 3|4) uint8; for a decoding process. Raises what Pillow raises."""
    with quiet, GifImagePlugin.GifImageFile(path) as image:
        image.load()
        return np.array(image.convert("RGBA" if has_alpha else "RGB"))


def _indexed(colours: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) uint8 -> N indices and the palette of at most `most` colours (K, 3): the colours themselves, or the best ones."""
    words = colours.astype(np.uint32) @ _PLACES
    own, indices = np.unique(words, return_inverse=True)
    if len(own) <= most:
        return indices, np.stack([own >> 16, own >> 8 & 255, own & 255], -1).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(colours[None])).quantize(most, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    table = np.array(picture.getpalette(), np.uint8).reshape(-1, 3)
    return np.asarray(picture)[0], table


def _write(path: Path, stored: np.ndarray, layout: Layout) -> None:
    """Write (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) uint8; alpha below 128 is transparent."""
    height, width = stored.shape[:2]
    count = 1 if stored.ndim == 2 else stored.shape[2]
    samples = stored.reshape(height * width, count)
    opaque = samples[:, -1] >= 128 if count in (2, 4) else np.ones(len(samples), bool)
    indices = np.full(len(samples), 255)
    if count <= 2 and opaque.all():
        table, indices = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1), samples[:, 0]
    else:
        colours = samples[:, :3] if count >= 3 else np.repeat(samples[:, :1], 3, 1)
        table = np.zeros((1, 3), np.uint8)
        if opaque.any():
            indices[opaque], table = _indexed(colours[opaque], 256 if opaque.all() else 255)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(table)] = table
    if count >= 3 and len(table) < 255:
        palette[len(table)] = _NOT_GRAY
    if not opaque.all():  # the colour under transparency, which is one in a file that was not changed there
        palette[255] = samples[int(opaque.argmin()), : 3 if count >= 3 else 1]
    image = Image.frombytes("P", (width, height), indices.astype(np.uint8).tobytes())
    image.putpalette(palette.tobytes())
    options: dict[str, object] = {"optimize": False, "interlace": layout.interlaced, "comment": layout.comment}
    if not opaque.all():
        options["transparency"] = 255
    coded = io.BytesIO()
    image.save(coded, "GIF", **options)
    path.write_bytes(_with_applications(coded.getvalue(), layout))


def _with_applications(data: bytes, layout: Layout) -> bytes:
    """A new file with the blocks of applications and the shape of a pixel that the old one had."""
    if not layout.applications and not layout.aspect:
        return data
    flags = data[10]
    start = _table(data, 13, flags)[1]
    return b"GIF89a" + data[6:12] + bytes([layout.aspect]) + data[13:start] + layout.applications + data[start:]


class GifCodec(Codec):
    """GIF of one picture."""

    name = "gif"
    suffixes = (".gif",)
    capabilities = Capabilities(bits=8, profiles=False, longest_side=65535)

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as GIF does."""
        return head.startswith((b"GIF87a", b"GIF89a"))

    def open(self, path: Path, limits: Limits) -> GifSource:
        """Read the blocks; ImageError as `read` says."""
        data = path.read_bytes()
        try:
            layout = read_layout(data)
        except (IndexError, struct.error, ValueError) as error:
            raise image_error(path, "truncated or damaged GIF (its blocks break off); copy it again") from error
        if layout.pictures > 1:
            raise image_error(path, f"an animated GIF ({layout.pictures} pictures); save its frames as PNG first")
        if not layout.pictures or not layout.coded:
            raise image_error(path, "damaged GIF (it holds no picture); export it again")
        check_size(path, *layout.size, limits.max_pixels)
        left, top, width, height = layout.place
        if left + width > layout.size[1] or top + height > layout.size[0] or not width or not height:
            raise image_error(path, "damaged GIF (its picture lies outside its screen); export it again")
        compression_bounds.check(path, "LZW", width * height, layout.coded)
        return GifSource(path, layout)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format; ImageError where it has more colours or degrees of transparency."""
        stored = only_frame(frames, path)
        if why := _cannot_be_indexed(stored):
            raise ImageError(f"{why}; choose png")
        comment = "\n".join(text for keyword, text in header.metadata.texts if keyword == "Comment")
        _write(path, stored, Layout((stored.shape[0], stored.shape[1]), comment=comment.encode()))


def _cannot_be_indexed(stored: np.ndarray) -> str:
    """Why a palette cannot hold the samples; empty where it can."""
    count = 1 if stored.ndim == 2 else stored.shape[2]
    samples = stored.reshape(-1, count)
    opaque = np.ones(len(samples), bool)
    if count in (2, 4):
        if not np.isin(samples[:, -1], (0, 255)).all():
            return "gif holds no half transparent pixels, this picture has some"
        opaque = samples[:, -1] == 255
    colours = samples[opaque, : 3 if count >= 3 else 1]
    found, most = len(np.unique(colours.astype(np.uint32) @ _PLACES[: colours.shape[1]])), 256 if opaque.all() else 255
    return f"gif holds {most} colours here, this picture has {found:,}" if found > most else ""
