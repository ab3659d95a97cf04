"""How many samples so many bytes of a codec can hold: what claims more is refused before anything is decoded.

The best that each codec can do with a blank page, which is what decides whether a header may be believed:

==============  ===================  ================================================================================================
codec           samples a byte       why
==============  ===================  ================================================================================================
deflate, PNG    1032 bytes           a copy of 258 bytes takes two bits at least (RFC 1951, 3.2.5): 1032; zlib reaches 1029
LZW             1364 bytes           until the table of 4096 is full the n-th code of 9 to 12 bits stands for n bytes: 7.37 MB in 5404 bytes
                                     (TIFF 6.0, section 13)
PackBits, RLE   64 bytes             two bytes for at most 128 (TIFF 6.0, section 9; DICOM PS3.5, annex G)
JPEG            512                  a block of 64 takes a bit at least, in the first scan of a progressive picture; a baseline one two
JPEG lossless   8                    a sample takes a bit at least (ITU-T T.81, annex H)
JPEG-LS         262,144              a bit of run mode stands for 32,768 samples at most (ITU-T T.87, A.7)
CCITT group 3   1720                 twelve bits for a run of 2560 at most (ITU-T T.4)
                width x 4 / 7        with two dimensions: a row like the one above it takes one bit behind its 13 (the same, 4.2)
CCITT group 4   8 x width            a row like the one above it takes one bit (ITU-T T.6)
Zstandard       43,691 bytes         three bytes of a block's header, or more, for at most 131,072 (RFC 8878, 3.1.1.2)
VP8 (WebP)      131,072              some flags of 0.006 bits each for 256 samples (RFC 6386, 7)
others          4,194,304            JPEG 2000, lossless WebP, JPEG XL, LERC, LZMA: a blank page takes some dozens of bytes whatever its
                                     size, one of 100 megapixels 38 in WebP; this bound is none of the codec's own
==============  ===================  ================================================================================================

Where samples are of several bytes, the byte-oriented codecs' bounds are those of bytes. Pictures of up to SMALL samples are let through:
they cost little, and what is missing of them is noticed when they are decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from restore.images.errors import ImageError

SMALL = 4_000_000
UNBOUNDED = 4_194_304
SAMPLES_A_BYTE: Mapping[str, int] = {
    "uncompressed samples": 1,
    "deflate": 1032,
    "LZW": 1364,
    "PackBits": 64,
    "JPEG": 512,
    "lossless JPEG": 8,
    "JPEG-LS": 262_144,
    "CCITT group 3": 1720,
    "Zstandard": 43_691,
    "VP8": 131_072,
}
"""By the codec's name; those without compression and of PackBits, deflate, LZW and Zstandard are bytes a byte."""
SALVAGED = 64
"""How many times as many samples may be missing, but for the rest, where a user wants what is there."""


def check(path: Path, codec: str, samples: int, coded: int, *, bound: int | None = None, salvage: bool = False) -> None:
    """Refuse a picture of more samples than its bytes can hold.

    Args:
        path: for the message.
        codec: a name of SAMPLES_A_BYTE, or of another codec.
        samples: that the header claims; bytes for the codecs that code bytes.
        coded: bytes of coded pixels.
        bound: samples a byte, where they follow from the picture.
        salvage: whether the user wants what is there of a picture with missing pixels.

    Raises:
        ImageError: it claims more.
    """
    most = (bound or SAMPLES_A_BYTE.get(codec, UNBOUNDED)) * (SALVAGED if salvage else 1)
    if samples > max(SMALL, most * coded):
        raise ImageError(
            f"{path.name}: damaged (the header claims {samples:,} samples, but its {coded:,} bytes of {codec} can hold "
            f"{most * coded:,} at most); copy it again"
        )
