"""Small pictures of every format and kind, made here, and the ways the tests take them through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import format_samples
import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from restore.images import Picture, read
from restore.images.codecs import bmp
from restore.images.codecs.png import chunks

HEIGHT, WIDTH = 19, 30
_random = np.random.default_rng(7)


def noise(*channels: int, dtype: type = np.uint8) -> np.ndarray:
    """(HEIGHT, WIDTH[, channels]) integers over the whole range of the type."""
    limit = np.iinfo(dtype)
    return _random.integers(limit.min, limit.max, (HEIGHT, WIDTH, *channels), dtype=dtype, endpoint=True)


G8, LA8, RGB8, RGBA8 = noise(), noise(2), noise(3), noise(4)
G16, RGB16, RGBA16 = noise(dtype=np.uint16), noise(3, dtype=np.uint16), noise(4, dtype=np.uint16)
G8[4, 4] = 7  # the transparent colour of some
_slope = np.add.outer(np.arange(HEIGHT) * 5, np.arange(WIDTH) * 4).astype(np.uint8)
SMOOTH = np.stack([_slope, 255 - _slope, _slope // 2], -1)
"""What lossy codings keep about right."""
PLANES = np.moveaxis(RGB8, -1, 0).copy()
LA16 = noise(2, dtype=np.uint16)
FLOAT = _random.normal(0.5, 0.1, (HEIGHT, WIDTH)).astype(np.float32)
HOT = _random.normal(500, 200, (HEIGHT, WIDTH)).astype(np.float32)
HOT[3, 4], HOT[5, 5], HOT[6, 6], HOT[7, 7] = np.nan, np.inf, -np.inf, 1e30


def pillow(image: np.ndarray, mode: str | None = None, **options: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        picture = Image.fromarray(image)
        if mode == "P":
            picture = picture.quantize(16)
        elif mode == "CMYK":
            picture = Image.frombytes("CMYK", (WIDTH, HEIGHT), image.tobytes())
        picture.save(path, path.suffix[1:].replace("jpg", "jpeg").replace("tif", "tiff"), **options)

    return make


def tiff(image: np.ndarray, **options: object) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, image, **options)


def raw(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


def png(image: np.ndarray) -> Callable[[Path], None]:
    return raw(bytes(imagecodecs.png_encode(image)))


def pages(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(G8, contiguous=False, resolution=(300, 300))
        writer.write(G16, contiguous=False, compression="deflate", predictor=True)
        writer.write(RGB8, contiguous=False, photometric="rgb", compression="lzw")


def gray_png(depth: int) -> Callable[[Path], None]:
    """A gray PNG of 2 or 4 bits, which Pillow reads but doesn't write."""

    def make(path: Path) -> None:
        layout = chunks.Layout(WIDTH, HEIGHT, depth, chunks.GRAY, interlaced=False)
        chunks.write(path, layout, G8 >> (8 - depth))

    return make


def _header(kind: int, *more: int) -> bytes:
    return f"P{kind}\n# a comment\n{WIDTH} {HEIGHT}\n".encode() + b"".join(b"%d\n" % v for v in more)


def _digits(image: np.ndarray) -> bytes:
    return b" ".join(b"%d" % v for v in image.ravel().tolist()) + b"\n"


LOSSLESS: dict[str, Callable[[Path], None]] = {
    "gray1.png": pillow(G8 > 127),
    "gray2.png": gray_png(2),
    "gray4.png": gray_png(4),
    "gray8.png": pillow(G8, dpi=(300, 300)),
    "gray16.png": png(G16),
    "la8.png": png(LA8),
    "la16.png": png(LA16),
    "rgb8.png": pillow(RGB8),
    "rgb16.png": png(RGB16),
    "rgba8.png": pillow(RGBA8),
    "rgba16.png": png(RGBA16),
    "palette.png": pillow(RGB8, "P", bits=4),
    "palette-alpha.png": pillow(RGB8, "P", transparency=3),
    "key-gray.png": pillow(G8, transparency=7),
    "key-rgb.png": pillow(RGB8, transparency=tuple(int(v) for v in RGB8[0, 0])),
    "gray1.bmp": pillow(G8 > 127),
    "gray8.bmp": pillow(G8),
    "rgb8.bmp": pillow(RGB8, dpi=(96, 96)),
    "rgba8.bmp": lambda path: bmp.write_bmp(path, RGBA8),
    "palette.bmp": pillow(RGB8, "P"),
    "lossless.webp": pillow(RGB8, lossless=True),
    "lossless-alpha.webp": pillow(RGBA8, lossless=True, exact=True),
    "p1.pbm": raw(_header(1) + _digits(G8 >> 7)),
    "p2.pgm": raw(_header(2, 200) + _digits(G8 % 201)),
    "p3.ppm": raw(_header(3, 255) + _digits(RGB8)),
    "p4.pbm": raw(_header(4) + np.packbits(G8 > 127, axis=1).tobytes()),
    "p5.pgm": raw(_header(5, 255) + G8.tobytes()),
    "p5-12bit.pgm": raw(_header(5, 4095) + (G16 >> 4).astype(">u2").tobytes()),
    "p6-16bit.ppm": raw(_header(6, 65535) + RGB16.astype(">u2").tobytes()),
    **{f"gray8-{c}.tif": tiff(G8, compression=c, rowsperstrip=5) for c in ("lzw", "deflate", "zstd", "packbits")},
    "gray8.tif": tiff(G8, rowsperstrip=5),
    "gray16-be.tif": tiff(G16, byteorder=">", rowsperstrip=4),
    "gray16-predictor.tif": tiff(G16, compression="lzw", predictor=True),
    "rgb16-predictor.tif": tiff(RGB16, photometric="rgb", compression="deflate", predictor=True, byteorder=">"),
    "rgb8-tiled.tif": tiff(RGB8, photometric="rgb", tile=(16, 16), compression="deflate"),
    "rgb8-planar.tif": tiff(PLANES, photometric="rgb", planarconfig="separate", compression="lzw"),
    "rgba8.tif": tiff(RGBA8, photometric="rgb", extrasamples=["unassalpha"]),
    "cmyk8.tif": tiff(RGBA8, photometric="separated"),
    "white8.tif": tiff(G8, photometric="miniswhite"),
    "white16.tif": tiff(G16, photometric="miniswhite", bigtiff=True),
    "bilevel.tif": tiff(G8 > 127),
    "bilevel-packbits.tif": tiff(G8 > 127, compression="packbits", photometric="miniswhite"),
    "bits12.tif": tiff(G16 >> 4, bitspersample=12),
    "int16.tif": tiff(noise(dtype=np.int16)),
    "uint32.tif": tiff(noise(dtype=np.uint32), compression="deflate"),
    "float16.tif": tiff(FLOAT.astype(np.float16)),
    "float32.tif": tiff(FLOAT, compression="deflate", predictor=True),
    "float32-hot.tif": tiff(HOT, compression="zstd"),
    "float64-hot.tif": tiff(HOT.astype(np.float64)),
    "palette.tif": pillow(RGB8, "P"),
    "pages.tif": pages,
    **format_samples.LOSSLESS,
}
"""Kinds whose changed pixels come back bit for bit."""

LOSSY: dict[str, Callable[[Path], None]] = {
    "gray.jpg": pillow(G8, quality=80),
    "rgb.jpg": pillow(RGB8, quality=70, progressive=True),
    "rgb444.jpg": pillow(RGB8, quality=95, subsampling=0),
    "kept-rgb.jpg": pillow(RGB8, keep_rgb=True),
    "cmyk.jpg": pillow(RGBA8, "CMYK", quality=90),
    "lossy.webp": pillow(RGB8),
    "lossy-alpha.webp": pillow(RGBA8),
    "group4.tif": pillow(G8 > 127, compression="group4"),
    "jpeg.tif": tiff(SMOOTH[..., 0], compression="jpeg", compressionargs={"level": 80}),
    "jpeg-ycbcr.tif": tiff(SMOOTH, compression="jpeg", compressionargs={"level": 80}, photometric="rgb", subsampling=(2, 2), tile=(16, 16)),
    "jpeg-rgb.tif": tiff(SMOOTH, compression="jpeg", compressionargs={"level": 80}, photometric="rgb", rowsperstrip=8),
    **format_samples.LOSSY,
}
"""Kinds whose identity is exact, and whose changed pixels come back about right."""

ALL = {**LOSSLESS, **LOSSY}


def normalized(path: Path) -> list[np.ndarray]:
    picture = read(path)
    return [picture.frame(i).normalized() for i in range(picture.frames)]


def stored(path: Path) -> list[np.ndarray]:
    picture = read(path)
    return [picture.frame(i).stored for i in range(picture.frames)]


def passed(picture: Picture, path: Path, change: Callable[[np.ndarray], np.ndarray] = lambda a: a) -> list[np.ndarray]:
    """Take a picture through a restorer into `path`; the frames that were given to `save`."""
    frames = [picture.frame(i) for i in range(picture.frames)]
    given = [frame.encode(change(frame.normalized())) for frame in frames]
    picture.save(path, given, description="made in a test", settings="strength=1")
    return given
