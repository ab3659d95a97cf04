"""Small files of the formats that other libraries write: OpenCV, Pillow, NumPy and those of the extras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 19, 30
_random = np.random.default_rng(17)


def noise(*channels: int, dtype: type = np.uint8) -> np.ndarray:
    """(HEIGHT, WIDTH[, channels]) integers over the whole range of the type."""
    limit = np.iinfo(dtype)
    return _random.integers(limit.min, limit.max, (HEIGHT, WIDTH, *channels), dtype=dtype, endpoint=True)


G8, LA8, RGB8, RGBA8 = noise(), noise(2), noise(3), noise(4)
G16, RGB16, RGBA16 = noise(dtype=np.uint16), noise(3, dtype=np.uint16), noise(4, dtype=np.uint16)
G8[:6] = G8[:6] // 64 * 64  # runs
RGB8[:6, :20] = 9
FLOAT = _random.normal(0.5, 0.1, (HEIGHT, WIDTH)).astype(np.float32)
LIGHT = np.exp(_random.normal(0, 1, (HEIGHT, WIDTH, 3))).astype(np.float32)
"""Linear light, beyond white too."""
STACK = _random.normal(200, 90, (3, HEIGHT, WIDTH)).astype(np.int16)
_slope = np.add.outer(np.arange(HEIGHT) * 5, np.arange(WIDTH) * 4).astype(np.uint8)
SMOOTH = np.stack([_slope, 255 - _slope, _slope // 2], -1)
"""What lossy codings keep about right."""


def opencv(image: np.ndarray) -> Callable[[Path], None]:
    """Written by OpenCV, whose colours are BGR."""

    def make(path: Path) -> None:
        colours = image if image.ndim == 2 else image[..., [2, 1, 0, 3][: image.shape[2]]]
        assert cv2.imwrite(str(path), colours)

    return make


def pillow(image: Image.Image | np.ndarray, format: str, **options: object) -> Callable[[Path], None]:
    """Written by Pillow."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    return lambda path: picture.save(path, format, **options)


def npy(array: np.ndarray) -> Callable[[Path], None]:
    """Written by NumPy."""
    return lambda path: np.save(path, array)


def pam(image: np.ndarray, maxval: int, kind: str) -> Callable[[Path], None]:
    """Text and samples as Netpbm writes them."""
    depth = 1 if image.ndim == 2 else image.shape[2]
    head = f"P7\n# a comment\nWIDTH {WIDTH}\nHEIGHT {HEIGHT}\nDEPTH {depth}\nMAXVAL {maxval}\nTUPLTYPE {kind}\nENDHDR\n".encode()
    return lambda path: path.write_bytes(head + image.astype(np.uint8 if maxval < 256 else ">u2").tobytes()) and None


def indexed(alpha: bool = False) -> Image.Image:
    """A picture of sixteen colours."""
    return Image.fromarray(RGBA8 if alpha else RGB8).quantize(16)


LOSSLESS: dict[str, Callable[[Path], None]] = {
    "gray8.tga": pillow(G8, "TGA"),
    "gray8-runs.tga": pillow(G8, "TGA", compression="tga_rle"),
    "la8.tga": pillow(LA8, "TGA"),
    "rgb8-runs.tga": pillow(RGB8, "TGA", compression="tga_rle", orientation=1),
    "rgba8.tga": pillow(RGBA8, "TGA", id_section=b"a name"),
    "palette.tga": pillow(indexed(), "TGA"),
    "gray-float.pfm": opencv(FLOAT),
    "rgb-float.pfm": opencv(LIGHT),
    "gray8.pam": pam(G8, 255, "GRAYSCALE"),
    "bilevel.pam": pam(G8 // 128, 1, "BLACKANDWHITE"),
    "la12.pam": pam(noise(2, dtype=np.uint16) >> 4, 4095, "GRAYSCALE_ALPHA"),
    "rgba16.pam": pam(RGBA16, 65535, "RGB_ALPHA"),
    "rgb8.pam": opencv(RGB8),
    "gray.gif": pillow(G8, "GIF", interlace=0),
    "gray-alpha.gif": pillow(Image.fromarray(G8 // 4 * 4), "GIF", transparency=8, comment=b"a comment"),
    "bilevel.gif": pillow(Image.fromarray(G8 > 127), "GIF"),
    "palette.gif": pillow(indexed(), "GIF", interlace=1),
    "palette-alpha.gif": pillow(indexed(), "GIF", transparency=3),
    "gray8.npy": npy(G8),
    "bool.npy": npy(G8 > 127),
    "rgba16-be.npy": npy(RGBA16.astype(">u2")),
    "float64-f.npy": npy(np.asfortranarray(FLOAT.astype(np.float64))),
    "stack-int16.npy": npy(STACK),
    "stack-rgb-f.npy": npy(np.asfortranarray(np.stack([RGB8, RGB8[::-1]]))),
}
"""Kinds whose changed pixels come back bit for bit."""

LOSSY: dict[str, Callable[[Path], None]] = {}
"""Kinds whose identity is exact, and whose changed pixels come back about right."""
