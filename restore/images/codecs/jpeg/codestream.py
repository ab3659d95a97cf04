"""A JPEG's compressed stream: where the first picture ends, what follows it, and which rows are present."""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import JpegImagePlugin

from restore.images.decoding_process import messages
from restore.images.luma import luma

END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_ZEROS = 16
"""This many zero bytes at the end of a file without an end marker were never written."""
_CORRUPT = re.compile(r"Corrupt JPEG data: (.*)|(Premature end of JPEG file)")
_EXTRANEOUS = re.compile(r"([0-9]+) extraneous bytes before marker 0xd9")
PADDING = 64
"""This many equal bytes before the end marker are a camera's padding, not lost data."""
_FILLERS = (bytes(range(1, 128)) * 4, b"\x5a\x33\xc1" * 200, b"\x00\x11\xf0" * 200)


@dataclass(frozen=True)
class Stream:
    """The first picture of a file.

    Attributes:
        data: from the start up to its end marker, which is left out.
        ended: whether the marker was there.
        trailer: what follows it.
        complete: whether the scans name every coefficient of every component.
    """

    data: bytes
    ended: bool
    trailer: bytes
    complete: bool

    @property
    def as_file(self) -> bytes:
        """The picture as a complete file."""
        return self.data + END

    @property
    def size(self) -> int:
        """How many bytes of the file the picture takes."""
        return len(self.data) + (len(END) if self.ended else 0)


def first_picture(data: bytes, components: tuple[bytes, ...], *, progressive: bool) -> Stream:
    """Find the first picture in a file's bytes."""
    at = _after_header(data)
    end = data.find(END, at)
    # several times quicker than a walk: between scans only tables stand, which hold no such bytes, unless there is a comment
    if end >= 0 and all(data.find(marker, at, end) < 0 for marker in (b"\xff\xd8", b"\xff\xfe")):
        return Stream(data[:end], True, data[end + 2 :], True)
    scans = [_scan(data, at)]
    while True:
        found = _MARKER.search(data, at)
        if found is None:
            break
        marker = found[0][-1]
        if marker == 0xD9:
            return Stream(data[: found.start()], True, data[found.end() :], True)
        if marker == 0xD8:
            return Stream(data[: found.start()], False, data[found.start() :], _complete(scans, components, progressive))
        at = found.end()
        if marker in (0xDA, 0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)):
            length = int.from_bytes(data[at : at + 2], "big")
            if at + length > len(data):
                data = data[: found.start()]
                break
            if marker == 0xDA:
                scans.append(_scan(data, at))
            at += length
    kept = data.rstrip(b"\0")
    kept = (kept if len(data) - len(kept) >= _ZEROS else data).rstrip(b"\xff")
    return Stream(kept, False, b"", _complete(scans, components, progressive))


def _after_header(data: bytes) -> int:
    """The offset of the length of the first scan's header."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF or data[at + 1] in (0xFF, 0x00, 0x01, *range(0xD0, 0xD9)):
            at += 1
        elif data[at + 1] == 0xDA:
            return at + 2
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return len(data)


def _scan(data: bytes, at: int) -> bytes:
    length = int.from_bytes(data[at : at + 2], "big")
    return data[at + 2 : at + length]


def _complete(scans: list[bytes], components: tuple[bytes, ...], progressive: bool) -> bool:
    """Whether the scans code every coefficient of every component to its last bit."""
    missing = {(part[0], k) for part in components for k in (range(64) if progressive else (0,))}
    for scan in scans:
        count = scan[0] if scan else 0
        if len(scan) < 4 + 2 * count:
            continue
        first, last, bits = scan[1 + 2 * count], scan[2 + 2 * count], scan[3 + 2 * count]
        if bits & 15 == 0 or not progressive:
            missing -= {(scan[1 + 2 * i], k) for i in range(count) for k in (range(first, last + 1) if progressive else (0,))}
    return not missing


def decoded(data: bytes) -> tuple[np.ndarray, str]:
    """(H, W[, 3|4]) uint8 of a picture with its end marker, and Pillow's name of the colours. What is missing is gray."""
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        image.load()
        return np.array(image), image.mode


def checked(data: bytes) -> tuple[np.ndarray, str, str]:
    """`decoded`, and libjpeg's message on damaged data (empty for none): it goes on after such data."""
    stored, mode = decoded(data)
    return stored, mode, complaint(data)


def complaint(data: bytes) -> str:
    """libjpeg's message on a JPEG's damaged data; empty for none, and where messages are not caught (see `decoding_process`).

    OpenCV lets libjpeg print messages. Decoding at an eighth of the size takes a fifth of the time.
    """
    messages.take()
    if not data.endswith(END):  # without one OpenCV gives up before libjpeg says anything
        data += END
    cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION)
    found = _CORRUPT.search(messages.take())
    if found is None:
        return ""
    message = found[1] or found[2]
    spare = _EXTRANEOUS.fullmatch(message.strip())
    if spare is not None and int(spare[1]) <= PADDING and len(set(data[: -len(END)][-int(spare[1]) :])) == 1:
        return ""
    return message.strip()


def first_missing(stream: Stream, unit: int) -> int | None:
    """The first incomplete row, a multiple of `unit` (the rows that are coded together); None where all are complete.

    Bytes behind the data change only pixels that the data do not decide. So the stream is decoded with several ends and compared.
    """
    if not stream.complete:
        return 0
    plain, _ = decoded(stream.as_file)
    rows = np.zeros(len(plain), bool)
    for filler in _FILLERS:
        other, _ = decoded(stream.data + filler + END)
        rows |= (plain != other).reshape(len(plain), -1).any(1)
    if not rows.any():
        return None
    row = int(rows.argmax())
    # colours are interpolated across the border between two units, so the row before a missing one differs as well
    return (row + 1) // unit * unit if row % unit == unit - 1 else row // unit * unit


def may_break_off(stored: np.ndarray, unit: int, *, progressive: bool) -> bool:
    """Whether the last corner looks as if the data ended early in spite of an end marker.

    Missing pixels of a baseline picture have medium luminance and colours interpolated from the row above; those of a progressive picture
    have constant luminance.
    """
    corner = stored[max(len(stored) - 2, (len(stored) - 1) // unit * unit) :, -2:].astype(np.float32)
    if progressive:
        block = stored[(len(stored) - 1) // 8 * 8 :, (stored.shape[1] - 1) // 8 * 8 :]
        return bool(np.ptp(_luminance(block.astype(np.float32))) <= 1)
    return bool((np.abs(_luminance(corner) - 128) <= 1.5).all())


def _luminance(picture: np.ndarray) -> np.ndarray:
    if picture.ndim == 2:
        return picture
    return luma(picture) if picture.shape[2] == 3 else picture.mean(2)
