"""The pictures that `same_output.py` works on: small, made from seeds and from `data/`, the same files for both trees."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import tifffile
from PIL import Image

HEIGHT, WIDTH = 72, 90
BUNDLED = (
    "CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_padded.dcm", "ExplVR_BigEnd.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_gdcm_KY.dcm", "SC_rgb_jls_lossy_line.dcm", "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_rle.dcm", "SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_small_odd.dcm", "SC_ybr_full_422_uncompressed.dcm",
    "JPEGLSNearLossless_16.dcm", "rtdose_1frame.dcm", "JPEG2000.dcm", "image_dfl.dcm",
)  # fmt: skip
"""Files inside the pydicom package: every transfer syntax, colour model and sample size that it bundles in small pictures."""


def smooth(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    """A picture (H, W, C) float64 in [0, 1]: waves, edges and Gaussian noise of 8 of 255."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 32
    planes = []
    for _ in range(channels):
        a, b, phase = rng.uniform(0.5, 2), rng.uniform(0.5, 2), rng.uniform(0, 6)
        planes.append(0.5 + 0.25 * np.cos(a * x + b * y + phase) + 0.15 * np.sign(np.sin(b * x - a * y)))
    return np.clip(np.stack(planes, 2) + rng.normal(0, 8 / 255, (height, width, channels)), 0, 1)


def integers(channels: int, seed: int, bits: int = 8, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """The same as unsigned integers of `bits` bits, (H, W) where there is one channel."""
    pixels = np.rint(smooth(height, width, channels, seed) * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)
    return pixels[:, :, 0] if channels == 1 else pixels


def make(folder: Path, data: Path) -> None:
    """Fill `folder` with everything that the cases name.

    Args:
        folder: a new folder.
        data: the checkout's `data/`.
    """
    makers: dict[str, Callable[[Path], None]] = {
        "png": _png, "jpeg": _jpeg, "tiff": _tiff, "others": _others, "few": _few, "dicom": _dicom, "broken": _broken,
        "scratched": _scratched, "holes": _holes, "train": _train, "pairs": _pairs,
    }  # fmt: skip
    for name, maker in makers.items():
        (folder / name).mkdir(parents=True)
        maker(folder / name)
    _masks(folder)
    _real(folder, data)


def _png(folder: Path) -> None:
    Image.fromarray(integers(1, 1) > 127).save(folder / "gray1.png")
    Image.fromarray(integers(3, 2)).quantize(64).save(folder / "palette.png")
    for bits in (8, 16):
        for channels, name in ((1, "gray"), (2, "gray-alpha"), (3, "rgb"), (4, "rgba")):
            (folder / f"{name}{bits}.png").write_bytes(imagecodecs.png_encode(integers(channels, 10 + channels, bits)))


def _jpeg(folder: Path) -> None:
    gray, colour, inks = integers(1, 20), integers(3, 21), integers(4, 22)
    Image.fromarray(gray).save(folder / "gray.jpg", quality=90)
    Image.fromarray(colour).save(folder / "rgb.jpg", quality=90, dpi=(300, 300))
    Image.fromarray(colour).save(folder / "rgb-444.jpg", quality=95, subsampling=0, progressive=True)
    Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes()).save(folder / "cmyk.jpg", quality=90)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(colour).save(folder / "turned.jpg", quality=90, exif=exif)


def _tiff(folder: Path) -> None:
    for bits in (8, 16):
        tifffile.imwrite(folder / f"gray{bits}.tif", integers(1, 30, bits), resolution=(300, 300))
        tifffile.imwrite(folder / f"rgb{bits}.tif", integers(3, 31, bits), photometric="rgb", compression="deflate")
    tifffile.imwrite(folder / "rgba8.tif", integers(4, 32), photometric="rgb", extrasamples=["unassalpha"])
    tifffile.imwrite(folder / "tiled16.tif", integers(1, 33, 16), tile=(32, 32), compression="lzw", predictor=True)
    tifffile.imwrite(folder / "big-endian16.tif", integers(1, 34, 16), byteorder=">", rowsperstrip=7)
    tifffile.imwrite(folder / "inverted.tif", integers(1, 35), photometric="miniswhite")
    values = smooth(HEIGHT, WIDTH, 1, 36)[:, :, 0].astype(np.float32)
    tifffile.imwrite(folder / "float.tif", values)
    hot = values * 500
    hot[3, 4], hot[5, 5], hot[6, 6] = np.nan, np.inf, -np.inf
    tifffile.imwrite(folder / "float-hot.tif", hot)
    tifffile.imwrite(folder / "signed16.tif", (values * 3000 - 1000).astype(np.int16))
    with tifffile.TiffWriter(folder / "pages.tif") as writer:
        writer.write(integers(1, 37), contiguous=False)
        writer.write(integers(1, 38, 16), contiguous=False, compression="deflate")
        writer.write(integers(3, 39), contiguous=False, photometric="rgb", compression="lzw")


def _others(folder: Path) -> None:
    gray, colour, clear = integers(1, 40), integers(3, 41), integers(4, 42)
    Image.fromarray(colour).save(folder / "lossy.webp", quality=90)
    Image.fromarray(colour).save(folder / "lossless.webp", lossless=True)
    Image.fromarray(clear).save(folder / "alpha.webp", lossless=True, exact=True)
    Image.fromarray(gray).save(folder / "gray8.bmp")
    Image.fromarray(colour).save(folder / "rgb8.bmp", dpi=(96, 96))
    size = f"# a comment\n{WIDTH} {HEIGHT}\n".encode()
    (folder / "bits.pbm").write_bytes(b"P4\n" + size + np.packbits(gray > 127, axis=1).tobytes())
    (folder / "text.pgm").write_bytes(b"P2\n" + size + b"255\n" + b" ".join(b"%d" % value for value in gray.ravel().tolist()))
    (folder / "gray8.pgm").write_bytes(b"P5\n" + size + b"255\n" + gray.tobytes())
    (folder / "gray12.pgm").write_bytes(b"P5\n" + size + b"4095\n" + integers(1, 43, 12).astype(">u2").tobytes())
    (folder / "rgb8.ppm").write_bytes(b"P6\n" + size + b"255\n" + colour.tobytes())
    (folder / "rgb16.ppm").write_bytes(b"P6\n" + size + b"65535\n" + integers(3, 44, 16).astype(">u2").tobytes())


def _few(folder: Path) -> None:
    """One picture of each kind that networks tell apart, for the cases about options."""
    Image.fromarray(integers(1, 50)).save(folder / "gray.png")
    (folder / "gray16.png").write_bytes(imagecodecs.png_encode(integers(1, 51, 16)))
    Image.fromarray(integers(3, 52)).save(folder / "colour.jpg", quality=92)
    tifffile.imwrite(folder / "colour16.tif", integers(3, 53, 16, 61, 77), photometric="rgb")


def _dicom(folder: Path) -> None:
    source = Path(pydicom.__file__).parent / "data" / "test_files"
    for name in BUNDLED:
        shutil.copy(source / name, folder)


def _broken(folder: Path) -> None:
    for name, pixels in (("a.jpg", integers(3, 60)), ("b.png", integers(1, 61))):
        Image.fromarray(pixels).save(folder / name)
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) * 2 // 3])


def _scratched(folder: Path) -> None:
    """A gray and a colour picture with bright and dark lines and specks."""
    for name, channels in (("gray.png", 1), ("colour.png", 3)):
        pixels = integers(channels, 70 + channels, 8, 160, 160).reshape(160, 160, channels)
        pixels = (pixels // 2 + 50).astype(np.uint8)
        pixels[20:140, 41:43] = 250
        pixels[np.arange(15, 120), np.arange(50, 155)] = 5
        pixels[100:104, 20:24] = 255
        Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(folder / name)


def _holes(folder: Path) -> None:
    """Pictures of many kinds whose magenta, white or transparent square is to be filled."""
    colour, gray, clear = integers(3, 80), integers(1, 81, 16), integers(4, 82)
    colour[20:40, 30:55] = (255, 0, 255)
    clear[:, :, 3] = 255
    clear[25:45, 20:50, 3] = 0
    Image.fromarray(colour).save(folder / "colour.png")
    Image.fromarray(colour).save(folder / "colour.jpg", quality=95, subsampling=0)
    Image.fromarray(clear).save(folder / "clear.png")
    (folder / "gray16.png").write_bytes(imagecodecs.png_encode(gray))
    tifffile.imwrite(folder / "float.tif", smooth(HEIGHT, WIDTH, 1, 83)[:, :, 0].astype(np.float32))


def _masks(folder: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[18:42, 28:57] = 255
    mask[60:63, 5:80] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    Image.fromarray(255 - mask).save(folder / "mask-inverted.png")
    (folder / "masks").mkdir()
    for name in ("colour", "clear", "gray16", "float"):
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    small = np.zeros((128, 128), np.uint8)
    small[40:70, 50:90] = 255
    Image.fromarray(small).save(folder / "mask-ct.png")


def _train(folder: Path) -> None:
    for index in range(4):
        Image.fromarray(integers(3, 90 + index, 8, 72, 80)).save(folder / f"{index}.png")


def _pairs(folder: Path) -> None:
    for side, seed in (("source", 100), ("target", 200)):
        (folder / side).mkdir()
        for index in range(4):
            Image.fromarray(integers(3, seed + index, 8, 48, 60)).save(folder / side / f"{index}.png")


def _real(folder: Path, data: Path) -> None:
    """Pieces of the pictures in `data/`, and its DICOM files as they are."""
    for name in ("xray", "photos"):
        (folder / name).mkdir()
    shutil.copytree(data / "xray" / "dicom", folder / "xray-dicom")
    for path in sorted((data / "xray" / "low-dose").glob("*.png")):
        pixels = imagecodecs.png_decode(path.read_bytes())
        (folder / "xray" / path.name).write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels[200:360, 200:360])))
    chest = next(iter(sorted((data / "xray" / "chest").glob("*.jpeg"))))
    with Image.open(chest) as opened:
        opened.crop((300, 300, 460, 428)).save(folder / "xray" / "chest.jpg", quality=95)
    for path in sorted((data / "photo2paint" / "source").glob("*.jpg"))[:2]:
        with Image.open(path) as opened:
            opened.crop((100, 100, 260, 244)).save(folder / "photos" / f"{path.stem}.png")
