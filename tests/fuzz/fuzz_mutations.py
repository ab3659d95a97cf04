"""Mutants of valid files: field values, segments and plain bytes turned over, all from one random source."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from functools import cache
from random import Random

from fuzz_anatomy import Anatomy, Field, dissect, mend
from fuzz_samples import Sample, kinds

WEIGHTS = {"tiff": 8, "jpeg": 4, "png": 4, "webp": 2, "dicom bundled": 2}
"""How often a kind is drawn; 1 where it is not named."""
_SIDES = ((20000, 20000), (16383, 16383), (65535, 7000), (1, 65535), (65535, 1), (30, 19), (18, 29), (20, 31), (40, 60), (5000, 5000))
_HUGE = (60000, 65535, 20000, 1 << 16, 0x7FFFFFFF, 0x3FFFFFFF, 100000, 4096)


def mutant(kind: str, random: Random) -> tuple[Sample, bytes]:
    """A sample of that kind and what became of it; equal for an equal state of `random`."""
    sample = random.choice(kinds()[kind])
    data = sample.data
    inside = _INSIDE.get(kind) if random.random() < 0.5 else None
    if inside is not None:
        return sample, inside(data, random)
    for turn in range(random.choice((1, 1, 1, 2, 2, 3, 5))):
        data = _mutated(data, dissect(kind, data) if turn else _anatomy(sample), random)
    return sample, mend(kind, data) if random.random() < 0.9 else data


@cache
def _anatomy(sample: Sample) -> Anatomy:
    return dissect(sample.kind, sample.data)


def drawn_kinds() -> list[str]:
    """Every kind, as often as it is to be drawn in one round."""
    return [kind for kind in kinds() for _ in range(WEIGHTS.get(kind, 1))]


def _mutated(data: bytes, anatomy: Anatomy, random: Random) -> bytes:
    draw = random.random()
    if draw < 0.1 and anatomy.sides:
        return _resized(data, anatomy, random)
    if draw < 0.55 and anatomy.fields:
        return _field(data, random.choice(anatomy.fields), random)
    if draw < 0.75 and anatomy.segments:
        return _segments(data, anatomy, random)
    return random.choice(_PLAIN)(data, random)


def _resized(data: bytes, anatomy: Anatomy, random: Random) -> bytes:
    """Another size, in some of the places that say it; a string of decimal digits may grow, so from the last place on."""
    height, width = random.choice(_SIDES)
    for pair in sorted(anatomy.sides, key=lambda pair: -pair[0].at):
        if random.random() < 0.7:
            for side, value in sorted(zip(pair, (height, width), strict=True), key=lambda entry: -entry[0].at):
                data = _put(data, side, value)
    return data


def _put(data: bytes, field: Field, value: int) -> bytes:
    if field.order == "t":
        new = b"%d" % value
    else:
        new = (value & ((1 << 8 * field.size) - 1)).to_bytes(field.size, "little" if field.order == "<" else "big")
    return data[: field.at] + new + data[field.at + field.size :]


def _field(data: bytes, field: Field, random: Random) -> bytes:
    if field.order == "t":
        digits = data[field.at : field.at + field.size]
        old = int(digits) if re.fullmatch(rb"-?\d+", digits) else 0
        return _put(data, field, random.choice((0, 1, -1, old + 1, old - 1, 65535, 65536, 20000, 10**6, 10**10, old * 2)))
    order = "little" if field.order == "<" else "big"
    old, top = int.from_bytes(data[field.at : field.at + field.size], order), (1 << 8 * field.size) - 1  # type: ignore[arg-type]
    values = (
        *(0, 1, 2, 3, top, top >> 1, (top >> 1) + 1, top - 1, old + 1, old - 1, old * 2, old // 2),
        old ^ (1 << random.randrange(8 * field.size)),
        *(random.randrange(17), len(data), len(data) - 1, random.randrange(len(data) + 1), random.choice(_HUGE), random.randrange(top + 1)),
    )
    return _put(data, field, random.choice(values))


def _segments(data: bytes, anatomy: Anatomy, random: Random) -> bytes:
    start, end = random.choice(anatomy.segments)
    piece = data[start:end]
    match random.randrange(6):
        case 0:
            return data[:start] + data[end:]
        case 1:
            return data[:end] + piece * random.choice((1, 1, 2, 50)) + data[end:]
        case 2:
            return data[: random.randrange(start, end)] + data[end:]
        case 3:
            return data[: random.randrange(start, end)]
        case 4:
            first, second = sorted((random.choice(anatomy.segments), (start, end)))
            if first[1] > second[0]:
                return data[:start] + bytes(len(piece)) + data[end:]
            middle = data[first[1] : second[0]]
            return data[: first[0]] + data[slice(*second)] + middle + data[slice(*first)] + data[second[1] :]
        case _:
            return data[:start] + random.randbytes(len(piece)) + data[end:]


def _flipped(data: bytes, random: Random) -> bytes:
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        if out:
            out[random.randrange(len(out))] ^= 1 << random.randrange(8)
    return bytes(out)


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _zeroed(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    length = min(len(data) - start, random.choice((1, 4, 16, 64, 512, 4096)))
    return data[:start] + random.choice((b"\0", b"\xff")) * length + data[start + length :]


def _inserted(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.randbytes(random.choice((1, 2, 4, 64))) + data[at:]


_PLAIN: tuple[Callable[[bytes, Random], bytes], ...] = (_flipped, _flipped, _cut, _zeroed, _inserted)


def _inside_png(data: bytes, random: Random) -> bytes:
    """The rows behind the compression of a PNG: filter types, too many of them, too few."""
    at, end = data.find(b"IDAT"), data.rfind(b"IEND")
    length = int.from_bytes(data[at - 4 : at], "big")
    rows = bytearray(zlib.decompress(data[at + 4 : at + 4 + length]))
    rows = bytearray(_cut(rows, random) if random.random() < 0.4 else _flipped(rows, random))
    if random.random() < 0.3:
        rows += bytes(random.choice((1, 1000, 1 << 22)))
    packed = zlib.compress(bytes(rows))
    out = data[: at - 4] + len(packed).to_bytes(4, "big") + b"IDAT" + packed + bytes(4) + data[end - 4 :]
    return mend("png", out)


def _inside_deflated(data: bytes, random: Random) -> bytes:
    """The data set behind the compression of a deflated DICOM file; now and then with much more behind it than the file shows."""
    head = 144 + int.from_bytes(data[140:144], "little")
    body = zlib.decompressobj(-15).decompress(data[head:])  # what is written may end a byte early
    for _ in range(random.choice((1, 1, 2, 3))):
        whole = _EXPLICIT + body
        body = _mutated(whole, dissect("dicom explicit", whole), random)[len(_EXPLICIT) :]
    if random.random() < 0.1:
        body += bytes(1 << 26)
    packer = zlib.compressobj(1, wbits=-15)  # the fastest: what is behind the compression matters
    return data[:head] + packer.compress(body) + packer.flush()


_EXPLICIT = bytes(128) + b"DICM"
"""What stands before a data set, so that it can be taken apart as a file."""
_INSIDE = {"png": _inside_png, "dicom deflated": _inside_deflated}
