"""XMP packets that are larger than a JPEG segment: split into a main packet and parts of an extension, and put together again.

XMP specification, part 3 (2020), 1.1.3.1: the main packet names the extension by the MD5 of its text, and each part has that name, the
length of the whole and its own place.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Sequence

XMP, EXTENSION = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
LARGEST = 65_000
"""Bytes of a packet in one segment."""
_PART = 65_400
_NOTE = re.compile(rb"""xmpNote:HasExtendedXMP="[^"]{0,99}"|<xmpNote:HasExtendedXMP>[^<]{0,99}</xmpNote:HasExtendedXMP>""")
_BEGIN, _END = b"<?xpacket begin", b"<?xpacket end"


def payloads(packet: bytes) -> list[bytes]:
    """The payloads of the APP1 segments that hold an XMP packet of any size. Padding goes where the packet would be too large with it."""
    if len(packet) > LARGEST:
        packet = _without_padding(packet)
    if len(packet) <= LARGEST:
        return [XMP + packet]
    whole = _bare(packet)
    name = hashlib.md5(whole, usedforsecurity=False).hexdigest().upper().encode()
    main = (
        b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        b'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="' + name + b'"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
    starts = range(0, len(whole), _PART)
    return [XMP + main, *(EXTENSION + name + struct.pack(">II", len(whole), at) + whole[at : at + _PART] for at in starts)]


def whole(main: bytes, segments: Sequence[bytes]) -> bytes:
    """The main packet with the properties of its extension, which the payloads of APP1 segments hold; as it is where parts are missing."""
    parts: dict[int, bytes] = {}
    length = -1
    for payload in segments:
        body = payload.removeprefix(EXTENSION)
        if len(body) < len(payload) and len(body) > 40 and body[:32] in main:
            length, at = struct.unpack_from(">II", body, 32)
            parts[at] = body[40:]
    extension = b"".join(parts[at] for at in sorted(parts))
    found, into = _properties(extension), _properties(main)
    if len(extension) != length or found is None or into is None or _names(extension, found) > _names(main, into):
        return main
    return _NOTE.sub(b"", main[: into.stop] + extension[found] + main[into.stop :])


def _without_padding(packet: bytes) -> bytes:
    """The packet without the blanks before its end, which are there for editors."""
    end = packet.rfind(_END)
    return packet.rstrip() if end < 0 else packet[:end].rstrip() + b"\n" + packet[end:]


def _bare(packet: bytes) -> bytes:
    """The packet without the instructions around it."""
    start, end = packet.find(_BEGIN), packet.rfind(_END)
    inner = packet[packet.find(b">", start) + 1 if start >= 0 else 0 : end if end >= 0 else len(packet)]
    return inner.strip()


def _properties(packet: bytes) -> slice | None:
    """Where the content of the first rdf:RDF lies; None where there is none. (Patterns would take forever for a hostile packet.)"""
    start = packet.find(b"<rdf:RDF")
    inner, end = packet.find(b">", start) + 1, packet.rfind(b"</rdf:RDF>")
    return slice(inner, end) if start >= 0 and 0 < inner <= end else None


def _names(packet: bytes, inner: slice) -> int:
    """How many namespaces the element before `inner` declares."""
    return packet[packet.rfind(b"<rdf:RDF", 0, inner.start) : inner.start].count(b"xmlns:")
