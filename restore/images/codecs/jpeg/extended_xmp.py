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
_PADDING = re.compile(rb"\s+(?=<\?xpacket end=[^>]*>\s*\Z|\Z)")
_NOTE = re.compile(rb"""\s*xmpNote:HasExtendedXMP\s*=\s*["'][^"']*["']|\s*<xmpNote:HasExtendedXMP>[^<]*</xmpNote:HasExtendedXMP>""")
_PACKET = re.compile(rb"<\?xpacket[^>]*\?>")
_PROPERTIES = re.compile(rb"<rdf:RDF\b([^>]*)>(.*)</rdf:RDF>", re.DOTALL)


def payloads(packet: bytes) -> list[bytes]:
    """The payloads of the APP1 segments that hold an XMP packet of any size. Padding goes where the packet would be too large with it."""
    if len(packet) > LARGEST:
        packet = _PADDING.sub(b"\n", packet)
    if len(packet) <= LARGEST:
        return [XMP + packet]
    whole = _PACKET.sub(b"", packet).strip()
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
    found, into = _PROPERTIES.search(extension), _PROPERTIES.search(main)
    if len(extension) != length or found is None or into is None or found[1].count(b"xmlns:") > into[1].count(b"xmlns:"):
        return main
    joined = main[: into.end(2)] + found[2] + main[into.end(2) :]
    return _NOTE.sub(b"", joined)
