"""PNG's text and profile chunks: decompressing them, and building chunks from texts."""

from __future__ import annotations

import zlib

from restore.images.codecs.png.chunks import Chunk, Layout

_XMP = b"XML:com.adobe.xmp"
_RAW_EXIF = (b"Raw profile type exif", b"Raw profile type APP1")
_RAW_XMP = (b"Raw profile type xmp", b"Raw profile type APP1")
_APP1_EXIF, _APP1_XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
"""How the bytes begin where a program took them from a JPEG segment."""
_LARGEST = 1 << 24


def _inflated(data: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(data, _LARGEST)
    except zlib.error:
        return None


def profile(payload: bytes | None) -> bytes | None:
    """The ICC profile in an iCCP chunk; None where there is none or it can't be decompressed."""
    if payload is None or b"\0" not in payload:
        return None
    return _inflated(payload[payload.index(b"\0") + 2 :])


def _parts(chunk: Chunk) -> tuple[bytes, bytes, str] | None:
    """Keyword, text and the text's encoding."""
    if chunk.name not in (b"tEXt", b"zTXt", b"iTXt") or b"\0" not in chunk.data:
        return None
    keyword, rest = chunk.data.split(b"\0", 1)
    if chunk.name == b"tEXt":
        return keyword, rest, "latin-1"
    if chunk.name == b"zTXt":
        text = _inflated(rest[1:])
        return None if text is None else (keyword, text, "latin-1")
    pieces = rest[2:].split(b"\0", 2)
    if len(rest) < 2 or len(pieces) < 3:
        return None
    text = _inflated(pieces[2]) if rest[0] == 1 else pieces[2]
    return None if text is None else (keyword, text, "utf-8")


def xmp(chunk: Chunk) -> bytes | None:
    """The XMP packet in a chunk; None where there is none."""
    found = _parts(chunk) if chunk.name == b"iTXt" and chunk.data.startswith(_XMP) else None
    if found and found[0] == _XMP:
        return found[1]
    block = _raw(chunk, _RAW_XMP)
    return None if block is None else block.removeprefix(_APP1_XMP) if block.startswith((_APP1_XMP, b"<")) else None


def of_xmp(packet: bytes, instead: Chunk | None = None) -> Chunk:
    """The chunk that holds an XMP packet, in the way of the chunk that it replaces."""
    old = None if instead is None else _raw(instead, _RAW_XMP)
    if instead is None or old is None:
        return Chunk(b"iTXt", _XMP + b"\0\0\0\0\0" + packet)
    return _of_raw(instead, (_APP1_XMP if old.startswith(_APP1_XMP) else b"") + packet)


def texts(layout: Layout) -> tuple[tuple[str, str], ...]:
    """(keyword, text) of the text chunks in their order, without XMP and raw profiles."""
    found = []
    for chunk in (*layout.before, *layout.after):
        parts = _parts(chunk)
        if parts and parts[0] != _XMP and not parts[0].startswith(b"Raw profile type"):
            found.append((parts[0].decode("latin-1"), parts[1].decode(parts[2], "replace")))
    return tuple(found)


def raw_exif(layout: Layout) -> bytes | None:
    """The EXIF block that older programs write as hexadecimal text, starting at its TIFF header."""
    return next((block for chunk in (*layout.before, *layout.after) if (block := exif(chunk)) is not None), None)


def exif(chunk: Chunk) -> bytes | None:
    """The EXIF block in a text chunk, starting at its TIFF header; None where there is none."""
    block = (_raw(chunk, _RAW_EXIF) or b"").removeprefix(_APP1_EXIF)
    return block if block[:4] in (b"II*\0", b"MM\0*") else None


def of_exif(instead: Chunk, block: bytes) -> Chunk:
    """The text chunk `instead` with another EXIF block."""
    had_name = (_raw(instead, _RAW_EXIF) or b"").startswith(_APP1_EXIF)
    return _of_raw(instead, (_APP1_EXIF if had_name else b"") + block)


def _raw(chunk: Chunk, keywords: tuple[bytes, ...]) -> bytes | None:
    """The bytes that a chunk with one of these keywords holds as hexadecimal text."""
    parts = _parts(chunk)
    if parts is None or parts[0] not in keywords:
        return None
    try:
        return bytes.fromhex(b"".join(parts[1].split()[2:]).decode("ascii"))
    except ValueError:
        return None


def _of_raw(instead: Chunk, block: bytes) -> Chunk:
    """The chunk `instead` with other bytes, as ImageMagick writes them: a name, their number, and lines of 36 of them."""
    keyword = instead.data.split(b"\0", 1)[0]
    lines = b"\n".join(block[at : at + 36].hex().encode() for at in range(0, len(block), 36))
    text = b"\n%s\n%8d\n%s\n" % (keyword.rpartition(b" ")[2], len(block), lines)
    if instead.name == b"tEXt":
        return Chunk(b"tEXt", keyword + b"\0" + text)
    return Chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(text, 9))


def of_text(keyword: str, text: str) -> Chunk:
    """A text chunk; UTF-8 where Latin-1 can't hold it."""
    key = keyword.encode("latin-1", "replace")[:79] or b"Comment"
    try:
        return Chunk(b"tEXt", key + b"\0" + text.replace("\0", " ").encode("latin-1"))
    except UnicodeEncodeError:
        return Chunk(b"iTXt", key + b"\0\0\0\0\0" + text.replace("\0", " ").encode("utf-8"))
