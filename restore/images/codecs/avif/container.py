"""The items of an AVIF file and their properties (ISO/IEC 23008-12), read from a file and written with metadata added.

The encoder of imagecodecs writes none of ICC profile, EXIF and XMP. `with_metadata` puts them into what it has written.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import count

from restore.images.iso_media import Box, box, boxes, full_box

_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0")
XMP_TYPE = b"application/rdf+xml\0"


@dataclass
class Item:
    """One item: a picture or a block of metadata.

    Attributes:
        kind: "av01", "grid", "Exif", "mime", ...
        content_type: of a mime item.
        places: (construction method, offset, length) of each part.
        properties: (index into the file's properties, from 1; whether it is essential).
    """

    kind: bytes
    content_type: bytes = b""
    places: list[tuple[int, int, int]] = field(default_factory=list)
    properties: list[tuple[int, bool]] = field(default_factory=list)


@dataclass
class Container:
    """What the `meta` box of a file says.

    Attributes:
        data: of the whole file.
        references: (kind, from, to) between items.
        properties: boxes, in order.
    """

    data: bytes
    primary: int = 0
    items: dict[int, Item] = field(default_factory=dict)
    references: list[tuple[bytes, int, tuple[int, ...]]] = field(default_factory=list)
    properties: list[Box] = field(default_factory=list)
    handler: bytes = b""
    idat: bytes = b""

    def content(self, number: int) -> bytes:
        """The bytes of an item."""
        sources = {0: self.data, 1: self.idat}
        return b"".join(sources[method][offset : offset + length] for method, offset, length in self.items[number].places)

    def properties_of(self, number: int, kind: bytes) -> list[bytes]:
        """The contents of an item's properties of one kind."""
        found = (self.properties[index - 1] for index, _ in self.items[number].properties if 0 < index <= len(self.properties))
        return [one.content(self.data) for one in found if one.kind == kind]

    def metadata(self, kind: bytes, content_type: bytes = b"") -> bytes | None:
        """What an item of metadata of the primary picture holds."""
        describing = {item for reference, item, to in self.references if reference == b"cdsc" and self.primary in to}
        for number, item in self.items.items():
            if number in describing and item.kind == kind and item.content_type == content_type:
                return self.content(number)
        return None

    @property
    def first_coded(self) -> int:
        """The primary picture, or the first tile if it is a grid of tiles."""
        tiles = (to[0] for kind, item, to in self.references if kind == b"dimg" and item == self.primary and to and to[0] in self.items)
        return next(tiles, self.primary)

    @property
    def alpha(self) -> int | None:
        """The item that is the primary picture's alpha."""
        for kind, item, to in self.references:
            is_auxiliary = kind == b"auxl" and self.primary in to and item in self.items
            if is_auxiliary and any(content[4:].startswith(_ALPHA) for content in self.properties_of(item, b"auxC")):
                return item
        return None


def read(data: bytes) -> Container:
    """Parse a file.

    Raises:
        ValueError, struct.error, IndexError: it is damaged.
    """
    found = Container(data)
    outer = {one.kind: one for one in boxes(data)}
    if b"meta" not in outer:
        raise ValueError("it has no meta box")
    parts = {one.kind: one for one in boxes(data, outer[b"meta"].start + 4, outer[b"meta"].end)}
    found.handler = parts[b"hdlr"].content(data) if b"hdlr" in parts else b""
    if b"idat" in parts:
        found.idat = parts[b"idat"].content(data)
    if not {b"pitm", b"iinf", b"iloc", b"iprp"} <= parts.keys():
        raise ValueError("it lists no items")
    pitm = parts[b"pitm"].content(data)
    found.primary = struct.unpack_from(">I" if pitm[0] else ">H", pitm, 4)[0]
    _read_items(found, parts[b"iinf"])
    _read_places(found, parts[b"iloc"].content(data))
    if b"iref" in parts:
        _read_references(found, parts[b"iref"])
    for part in boxes(data, parts[b"iprp"].start, parts[b"iprp"].end):
        if part.kind == b"ipco":
            found.properties = list(boxes(data, part.start, part.end))
        elif part.kind == b"ipma":
            _read_associations(found, part.content(data))
    if found.primary not in found.items:
        raise ValueError("it has no primary picture")
    return found


def _read_items(found: Container, part: Box) -> None:
    head = 4 + (4 if found.data[part.start] else 2)
    for one in boxes(found.data, part.start + head, part.end):
        content = one.content(found.data)
        version = content[0]
        if one.kind != b"infe" or version < 2:
            continue
        number, at = (struct.unpack_from(">H", content, 4)[0], 8) if version == 2 else (struct.unpack_from(">I", content, 4)[0], 10)
        kind, rest = content[at : at + 4], content[at + 4 :]
        _, _, content_type = rest.partition(b"\0")
        found.items[number] = Item(kind, content_type.split(b"\0")[0] + b"\0" if kind == b"mime" else b"")


def _number(content: bytes, at: int, size: int) -> int:
    if at + size > len(content):
        raise ValueError("its list of places breaks off")
    return int.from_bytes(content[at : at + size], "big")


def _read_places(found: Container, content: bytes) -> None:
    """The `iloc` box (ISO/IEC 14496-12, 8.11.3)."""
    version, sizes = content[0], struct.unpack_from(">H", content, 4)[0]
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 2 if version < 2 else 4
    total, at = _number(content, 6, wide), 6 + wide
    for _ in range(total):
        number, at = _number(content, at, wide), at + wide
        method = 0
        if version in (1, 2):
            method, at = _number(content, at, 2) & 15, at + 2
        base, at = _number(content, at + 2, base_size), at + 2 + base_size
        extents, at = _number(content, at, 2), at + 2
        for _ in range(extents):
            at += index_size if version in (1, 2) else 0
            offset, length = _number(content, at, offset_size), _number(content, at + offset_size, length_size)
            at += offset_size + length_size
            held = len(found.idat) if method == 1 else len(found.data)
            if method > 1 or base + offset + length > held:
                raise ValueError("an item lies outside the file")
            if number in found.items:
                found.items[number].places.append((method, base + offset, length))


def _read_references(found: Container, part: Box) -> None:
    wide = 4 if found.data[part.start] else 2
    for one in boxes(found.data, part.start + 4, part.end):
        content = one.content(found.data)
        item, total = _number(content, 0, wide), _number(content, wide, 2)
        to = tuple(_number(content, wide + 2 + index * wide, wide) for index in range(total))
        found.references.append((one.kind, item, to))


def _read_associations(found: Container, content: bytes) -> None:
    version, flags = content[0], content[3]
    wide, (total,), at = (2 if version < 1 else 4), struct.unpack_from(">I", content, 4), 8
    for _ in range(min(total, 65536)):
        number, at = _number(content, at, wide), at + wide
        entries, at = _number(content, at, 1), at + 1
        for _ in range(entries):
            size = 2 if flags & 1 else 1
            value, at = _number(content, at, size), at + size
            essential = value >> (8 * size - 1)
            if number in found.items:
                found.items[number].properties.append((value & (1 << (8 * size - 1)) - 1, bool(essential)))


def with_metadata(encoded: bytes, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> bytes:
    """An encoded file with an ICC profile, EXIF (from its TIFF header on) and XMP; the file itself where there are none."""
    if not (icc or exif or xmp):
        return encoded
    found = read(encoded)
    items = {number: (item, found.content(number)) for number, item in found.items.items()}
    properties = [box(one.kind, one.content(encoded)) for one in found.properties]
    references = list(found.references)
    if icc:
        properties.append(box(b"colr", b"prof", icc))
        items[found.primary][0].properties.append((len(properties), False))
    free = count(max(items) + 1)
    blocks = ((b"Exif", b"", exif and bytes(4) + exif), (b"mime", XMP_TYPE, xmp))
    for kind, content_type, block in blocks:
        if block:
            number = next(free)
            items[number] = (Item(kind, content_type), block)
            references.append((b"cdsc", number, (found.primary,)))
    ftyp = next(one for one in boxes(encoded) if one.kind == b"ftyp")
    head = box(b"ftyp", ftyp.content(encoded))
    for start in (0, len(head) + len(_meta(found, items, properties, references, 0)) + 8):
        meta = _meta(found, items, properties, references, start)
    return head + meta + box(b"mdat", *(content for _, content in items.values()))


def _meta(
    found: Container,
    items: dict[int, tuple[Item, bytes]],
    properties: list[bytes],
    references: list[tuple[bytes, int, tuple[int, ...]]],
    start: int,
) -> bytes:
    """The `meta` box of a file whose items follow each other from offset `start` on."""
    entries, places, associations, at = [], [], [], start
    for number, (item, content) in items.items():
        entries.append(full_box(b"infe", struct.pack(">HH4s", number, 0, item.kind), b"\0", item.content_type, version=2))
        places.append(struct.pack(">HHHII", number, 0, 1, at, len(content)))
        at += len(content)
        if item.properties:
            indices = bytes(index | essential << 7 for index, essential in item.properties)
            associations.append(struct.pack(">HB", number, len(indices)) + indices)
    refs = [box(kind, struct.pack(f">HH{len(to)}H", item, len(to), *to)) for kind, item, to in references]
    iprp = box(b"iprp", box(b"ipco", *properties), full_box(b"ipma", struct.pack(">I", len(associations)), *associations))
    return full_box(
        b"meta",
        box(b"hdlr", found.handler),
        full_box(b"pitm", struct.pack(">H", found.primary)),
        full_box(b"iloc", struct.pack(">HH", 0x4400, len(places)), *places),
        full_box(b"iinf", struct.pack(">H", len(entries)), *entries),
        *([full_box(b"iref", *refs)] if refs else []),
        iprp,
    )
