"""Small files of the formats that other libraries write: OpenCV, Pillow, NumPy and those of the extras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import imagecodecs
import nibabel
import numpy as np
import OpenEXR
import pillow_heif
import tifffile
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
OPACITY = _random.choice([0.0, 0.25, 1.0], (HEIGHT, WIDTH)).astype(np.float32)
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


def exr(compression: int = 3, **channels: np.ndarray) -> Callable[[Path], None]:
    """Written by OpenEXR."""

    def make(path: Path) -> None:
        header = {
            "compression": OpenEXR.Compression(compression),
            "type": OpenEXR.scanlineimage,
            "comments": "a comment",
            "xDensity": 300.0,
        }
        with OpenEXR.File(header, channels) as file:
            file.write(str(path))

    return make


def nifti(volume: np.ndarray, *, version: int = 1, slope: float | None = None, order: str = "<") -> Callable[[Path], None]:
    """Written by nibabel: (columns, rows, slices[, times])."""

    def make(path: Path) -> None:
        kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
        affine = np.array([[-2.0, 0.1, 0, 40], [0.1, 2, 0, -30], [0, 0, 3, 5], [0, 0, 0, 1]])
        header = kind.header_class(endianness=order)
        header["descrip"] = b"a volume"
        header.set_data_dtype(volume.dtype)
        image = kind(volume, affine, header)
        image.set_qform(affine, 1)
        image.header.set_slope_inter(slope, None if slope is None else 5)
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"an extension"))
        nibabel.save(image, path)

    return make


def heif(mode: str, image: np.ndarray, **options: object) -> Callable[[Path], None]:
    """Written by pillow-heif (libheif and x265)."""
    return lambda path: pillow_heif.from_bytes(mode, (WIDTH, HEIGHT), image.tobytes()).save(path, **options)


def dng(path: Path, orientation: int = 1) -> None:
    """A sensor's mosaic of red, green and blue under a plain lens, as DNG 1.4; written by tifffile."""
    y, x = np.mgrid[: MOSAIC[0], : MOSAIC[1]]
    light = np.stack([8000 + 300 * y + 0 * x, 20000 + 100 * x + 0 * y, 40000 - 200 * y + 0 * x], -1)
    channel = np.array([[0, 1], [1, 2]])[y % 2, x % 2]
    mosaic = np.take_along_axis(light, channel[..., None], -1)[..., 0].astype(np.uint16)
    unit = (1, 1)
    matrix = [n for row in XYZ_TO_SRGB for value in row for n in (round(value * 10000), 10000)]
    tags = [
        (50706, 1, 4, bytes([1, 4, 0, 0]), True), (50707, 1, 4, bytes([1, 1, 0, 0]), True), (50708, 2, 0, "A camera", True),
        (33421, 3, 2, (2, 2), True), (33422, 1, 4, bytes([0, 1, 1, 2]), True), (50714, 4, 1, 0, True), (50717, 4, 1, 65535, True),
        (50721, 10, 9, tuple(matrix), True), (50728, 5, 3, unit * 3, True), (50778, 3, 1, 21, True),
        (271, 2, 0, "A maker", True), (272, 2, 0, "A camera", True), (274, 3, 1, orientation, True),
    ]  # fmt: skip
    tifffile.imwrite(path, mosaic, photometric=32803, extratags=tags, metadata=None, subfiletype=0)


def stream(encode: Callable[..., object], image: np.ndarray, *arguments: object, **options: object) -> Callable[[Path], None]:
    """Written by a library of imagecodecs (OpenJPEG, libjxl, libavif)."""
    return lambda path: path.write_bytes(bytes(encode(image, *arguments, **options))) and None


J2K, JP2 = {"codecformat": "j2k", "reversible": True}, {"codecformat": "jp2", "reversible": True}


def indexed(alpha: bool = False) -> Image.Image:
    """A picture of sixteen colours."""
    return Image.fromarray(RGBA8 if alpha else RGB8).quantize(16)


MOSAIC = 64, 96
XYZ_TO_SRGB = ((3.2405, -1.5371, -0.4985), (-0.9693, 1.8760, 0.0416), (0.0556, -0.2040, 1.0572))
"""IEC 61966-2-1: a camera of sRGB's own primaries."""

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
    "rgb-half.exr": exr(RGB=LIGHT.astype(np.float16)),
    "rgba-float.exr": exr(2, RGBA=np.dstack([LIGHT * OPACITY[..., None], OPACITY])),
    "gray-half.exr": exr(0, Y=FLOAT.astype(np.float16), Z=FLOAT),
    "depth.exr": exr(1, Z=FLOAT),
    "volume-int16.nii": nifti(STACK.transpose(2, 1, 0)),
    "volume-float-be.nii.gz": nifti(np.stack([FLOAT, FLOAT * 2]).transpose(2, 1, 0), order=">"),
    "series-uint8.nii": nifti(np.stack([G8, G8 // 2] * 2).reshape(2, 2, HEIGHT, WIDTH).transpose(3, 2, 1, 0), version=2),
    "slice-uint16.nii": nifti(G16.T),
    "rgb8.nii": nifti(np.ascontiguousarray(RGB8.transpose(1, 0, 2)).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0][..., None]),
    "rgb8.heic": heif("RGB", RGB8, quality=-1, chroma=444, matrix_coefficients=0),
    "rgba8.heic": heif("RGBA", RGBA8, quality=-1, chroma=444, matrix_coefficients=0),
    "rgb10.heic": heif("RGB;16", RGB16, quality=-1, chroma=444, matrix_coefficients=0),
    "gray16.j2k": stream(imagecodecs.jpeg2k_encode, G16, 0, **J2K),
    "gray12.jp2": stream(imagecodecs.jpeg2k_encode, G16 >> 4, 0, bitspersample=12, **JP2),
    "signed16.j2k": stream(imagecodecs.jpeg2k_encode, STACK[0], 0, **J2K),
    "rgb8.jp2": pillow(RGB8, "JPEG2000", irreversible=False, tile_size=(16, 16), num_resolutions=3),
    "rgba16.jp2": stream(imagecodecs.jpeg2k_encode, RGBA16, 0, **JP2),
    "la8.jp2": pillow(LA8, "JPEG2000", irreversible=False),
    "gray8.avif": stream(imagecodecs.avif_encode, G8, 100),
    "gray12.avif": stream(imagecodecs.avif_encode, G16 >> 4, 100, bitspersample=12),
    "rgb8.avif": stream(imagecodecs.avif_encode, RGB8, 100),
    "rgba10.avif": stream(imagecodecs.avif_encode, RGBA16 >> 6, 100, bitspersample=10),
    "gray16.jxl": stream(imagecodecs.jpegxl_encode, G16, lossless=True),
    "gray12.jxl": stream(imagecodecs.jpegxl_encode, G16 >> 4, lossless=True, bitspersample=12),
    "rgba8.jxl": stream(imagecodecs.jpegxl_encode, RGBA8, lossless=True, usecontainer=True),
    "la16.jxl": stream(imagecodecs.jpegxl_encode, noise(2, dtype=np.uint16), lossless=True),
    "half.jxl": stream(imagecodecs.jpegxl_encode, LIGHT.astype(np.float16), lossless=True),
    "float.jxl": stream(imagecodecs.jpegxl_encode, FLOAT, lossless=True),
    "gray.gif": pillow(G8, "GIF", interlace=0),
    "gray-alpha.gif": pillow(Image.fromarray(G8 // 4 * 4), "GIF", transparency=8, comment=b"a comment"),
    "bilevel.gif": pillow(Image.fromarray(G8 > 127), "GIF"),
    "palette.gif": pillow(indexed(), "GIF", interlace=1),
    "palette-alpha.gif": pillow(indexed(), "GIF", transparency=3),
    "gray8.npy": npy(G8),
    "one-channel.npy": npy(G16[..., None]),
    "stack-one-channel-f.npy": npy(np.asfortranarray(STACK[..., None])),
    "bool.npy": npy(G8 > 127),
    "rgba16-be.npy": npy(RGBA16.astype(">u2")),
    "float64-f.npy": npy(np.asfortranarray(FLOAT.astype(np.float64))),
    "stack-int16.npy": npy(STACK),
    "stack-rgb-f.npy": npy(np.asfortranarray(np.stack([RGB8, RGB8[::-1]]))),
}
"""Kinds whose changed pixels come back bit for bit."""

LOSSY: dict[str, Callable[[Path], None]] = {
    "lossy.jp2": pillow(SMOOTH, "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[4]),
    "lossy-420.avif": pillow(SMOOTH, "AVIF", quality=80, subsampling="4:2:0"),
    "lossy-alpha.avif": pillow(np.dstack([SMOOTH, SMOOTH[..., 0]]), "AVIF", quality=85, subsampling="4:4:4"),
    "lossy.jxl": stream(imagecodecs.jpegxl_encode, SMOOTH, distance=1.5),
    "lossy-alpha.jxl": stream(imagecodecs.jpegxl_encode, np.dstack([SMOOTH, SMOOTH[..., 0]]), distance=1.0),
    "jpeg.jxl": stream(imagecodecs.jpegxl_encode_jpeg, imagecodecs.jpeg8_encode(SMOOTH, 85)),
    "gray8.heic": heif("L", SMOOTH[..., 0], quality=80),
    "rgb8-420.heic": heif("RGB", SMOOTH, quality=80, chroma=420),
}
"""Kinds whose identity is exact, and whose changed pixels come back about right."""

READ_ONLY: dict[str, Callable[[Path], None]] = {"camera.dng": dng}
"""Kinds whose results have another format."""
