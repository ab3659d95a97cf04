"""Files that claim what they do not hold, and files of which something is missing or overwritten: refused, quickly and in little memory."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from dicom_samples import dataset, save, wrap
from PIL import Image
from pydicom.filereader import read_dataset, read_preamble
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from restore.images import ImageError, read

_random = np.random.default_rng(3)
_SMOOTH = np.cumsum(_random.integers(-2, 3, (64, 96)), 1).astype(np.uint8)


def _jpeg(picture: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def _rle(picture: np.ndarray) -> bytes:
    segment = imagecodecs.packbits_encode(picture)
    return struct.pack("<16I", 1, 64, *[0] * 14) + segment + b"\0" * (len(segment) % 2)


ENCODED: dict[str, tuple[str, Callable[[np.ndarray], bytes]]] = {
    "JPEG": (JPEGBaseline8Bit, _jpeg),
    "JPEG-LS": (JPEGLSLossless, lambda picture: bytes(imagecodecs.jpegls_encode(picture))),
    "JPEG 2000": (JPEG2000Lossless, lambda picture: bytes(imagecodecs.jpeg2k_encode(picture, level=0, reversible=True, codecformat="j2k"))),
    "RLE": (RLELossless, _rle),
}


def _refused(path: Path, match: str, *, salvage: bool = False) -> None:
    with pytest.raises(ImageError, match=match) as caught:
        picture = read(path, salvage=salvage)
        picture.frame(0)
    assert str(caught.value).startswith(f"{path.name}: ")


@pytest.mark.parametrize("name", ENCODED)
def test_dicom_whose_stream_is_as_its_header_says(name: str, tmp_path: Path) -> None:
    syntax, encode = ENCODED[name]
    path = save(wrap(dataset(_SMOOTH), [encode(_SMOOTH)], syntax), tmp_path / "a.dcm")
    difference = np.abs(read(path).frame(0).stored.astype(int) - _SMOOTH)
    assert difference.max() <= (20 if name == "JPEG" else 0)


@pytest.mark.parametrize("padding", [b"\0\0", b"\xff", b"\xff\0"])
@pytest.mark.parametrize("name", ["JPEG", "JPEG-LS"])
def test_padding_behind_a_stream_is_no_damage(name: str, padding: bytes, tmp_path: Path) -> None:
    syntax, encode = ENCODED[name]
    path = save(wrap(dataset(_SMOOTH), [encode(_SMOOTH) + padding], syntax), tmp_path / "a.dcm")
    assert read(path).frame(0).stored.shape == _SMOOTH.shape


@pytest.mark.parametrize("shape", [(32, 96), (64, 4000)])
@pytest.mark.parametrize("name", [name for name in ENCODED if name != "RLE"])
def test_dicom_whose_stream_is_of_another_size(name: str, shape: tuple[int, int], tmp_path: Path) -> None:
    syntax, encode = ENCODED[name]
    path = save(wrap(dataset(np.zeros(shape, np.uint8)), [encode(_SMOOTH)], syntax), tmp_path / "a.dcm")
    _refused(path, "the encoded picture is 96 x 64 with 1 sample.* the header says")


def _claiming(name: str, height: int, width: int) -> bytes:
    """A stream of the small picture whose header says another size."""
    stream = bytearray(ENCODED[name][1](_SMOOTH))
    if name == "JPEG 2000":
        struct.pack_into(">II", stream, 8, width, height)
    else:
        at = stream.index(b"\xff\xf7" if name == "JPEG-LS" else b"\xff\xc0")
        struct.pack_into(">HH", stream, at + 5, height, width)
    return bytes(stream)


@pytest.mark.parametrize("name", ["JPEG", "JPEG-LS", "JPEG 2000"])
def test_dicom_whose_stream_claims_a_giant(name: str, tmp_path: Path) -> None:
    ds = wrap(dataset(_SMOOTH), [_claiming(name, 60000, 60000)], ENCODED[name][0])
    _refused(save(ds, tmp_path / "a.dcm"), "60000 x 60000")


@pytest.mark.parametrize("name", ["JPEG", "JPEG-LS", "JPEG 2000"])
def test_dicom_whose_header_and_stream_agree_on_more_than_there_is(name: str, tmp_path: Path) -> None:
    """libjpeg takes any bytes for JPEG-LS and makes up the rest of the picture."""
    ds = wrap(dataset(np.zeros((960, 1920), np.uint8)), [_claiming(name, 960, 1920)], ENCODED[name][0])
    _refused(save(ds, tmp_path / "a.dcm"), "a.dcm: .*(damaged|truncated|none of the installed decoders)")


def test_rle_whose_segments_are_not_those_of_the_header(tmp_path: Path) -> None:
    _refused(save(wrap(dataset(_SMOOTH.astype(np.uint16)), [_rle(_SMOOTH)], RLELossless), tmp_path / "a.dcm"), "1 segments, .* needs 2")
    astray = struct.pack("<16I", 1, 6400, *[0] * 14) + _rle(_SMOOTH)[64:]
    _refused(save(wrap(dataset(_SMOOTH), [astray], RLELossless), tmp_path / "b.dcm"), "outside it")
    giant = dataset(np.zeros((3000, 3000), np.uint8))
    _refused(save(wrap(giant, [_rle(_SMOOTH)], RLELossless), tmp_path / "c.dcm"), "claims 9,000,000 samples")


@pytest.mark.parametrize("name", ["JPEG", "JPEG-LS", "JPEG 2000", "RLE"])
@pytest.mark.parametrize("part", [0.5, 0.8])
def test_dicom_whose_stream_ends_early(name: str, part: float, tmp_path: Path) -> None:
    syntax, encode = ENCODED[name]
    stream = encode(_SMOOTH)
    path = save(wrap(dataset(_SMOOTH), [stream[: int(part * len(stream)) // 2 * 2]], syntax), tmp_path / "a.dcm")
    _refused(path, "a.dcm: .*(damaged|truncated|none of the installed decoders)")


def _deflated(path: Path, *, pixels: int, before: int = 0, behind: int = 0) -> Path:
    """A deflated file with `pixels` zeros for pixels, a private element of `before` zeros before them, and `behind` zeros behind."""
    ds = dataset(_SMOOTH)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    save(ds, path)
    with path.open("rb") as file:
        read_preamble(file, True)
        read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
        start = file.tell()
    data = path.read_bytes()
    elements = zlib.decompress(data[start:], -zlib.MAX_WBITS)
    elements = elements[: elements.rindex(b"\xe0\x7f\x10\0")]
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    body = packer.compress(elements)
    for mark, size in ((b"\x31\0\x01\x10OB\0\0", before), (b"\xe0\x7f\x10\0OB\0\0", pixels)):
        if size:
            body += packer.compress(mark + struct.pack("<I", size))
            body += b"".join(packer.compress(b"\0" * min(1 << 20, size - done)) for done in range(0, size, 1 << 20))
    body += packer.compress(bytes(behind))
    path.write_bytes(data[:start] + body + packer.flush())
    return path


def test_deflated_dicom_is_inflated_no_further_than_it_can_need(tmp_path: Path) -> None:
    sound = _deflated(tmp_path / "sound.dcm", pixels=_SMOOTH.size)
    assert not read(sound).frame(0).stored.any()
    for name, pixels, before in (("pixels.dcm", 200 << 20, 0), ("element.dcm", _SMOOTH.size, 100 << 20)):
        path = _deflated(tmp_path / name, pixels=pixels, before=before)
        tracemalloc.start()
        _refused(path, "deflated data become more than")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 300 << 20


@pytest.mark.parametrize("deflated", [False, True])
def test_zeros_behind_a_data_set_are_padding(deflated: bool, tmp_path: Path) -> None:
    """pydicom takes every eight of them for an element: thirty megabytes keep it busy for half a minute."""
    path = tmp_path / "a.dcm"
    if deflated:
        _deflated(path, pixels=_SMOOTH.size, behind=30 << 20)
    else:
        save(dataset(_SMOOTH), path)
        path.write_bytes(path.read_bytes() + bytes(30 << 20))
    picture = read(path)
    np.testing.assert_array_equal(picture.frame(0).stored, 0 if deflated else _SMOOTH)
    picture.save(tmp_path / "b.dcm", [picture.frame(0).stored])
    assert read(tmp_path / "b.dcm").frame(0).stored.shape == _SMOOTH.shape


def test_dicom_of_endless_elements(tmp_path: Path) -> None:
    save(dataset(_SMOOTH), tmp_path / "a.dcm")
    data = (tmp_path / "a.dcm").read_bytes()
    at = data.rindex(b"\xe0\x7f\x10\0")
    (tmp_path / "a.dcm").write_bytes(data[:at] + b"\x31\0\x01\x10UN\0\0\0\0\0\0" * 200_000 + data[at:])
    _refused(tmp_path / "a.dcm", "elements")


def test_deflated_dicom_that_breaks_off(tmp_path: Path) -> None:
    path = _deflated(tmp_path / "a.dcm", pixels=_SMOOTH.size)
    path.write_bytes(path.read_bytes()[:-40])
    _refused(path, "break off")


BLANK: dict[str, Callable[[Path, np.ndarray], object]] = {
    "png": lambda path, page: Image.fromarray(page).save(path, "PNG", compress_level=9),
    "jpeg": lambda path, page: Image.fromarray(page).save(path, "JPEG", optimize=True),
    "progressive": lambda path, page: Image.fromarray(page).save(path, "JPEG", progressive=True, optimize=True),
    "webp": lambda path, page: Image.fromarray(page).convert("RGB").save(path, "WEBP", lossless=True, method=0),
    "vp8": lambda path, page: Image.fromarray(page).convert("RGB").save(path, "WEBP", quality=1, method=0),
    **{
        name: lambda path, page, name=name: tifffile.imwrite(path, page, compression=name, rowsperstrip=len(page))
        for name in ("packbits", "lzw", "zlib", "zstd", "jpeg2000", "lerc")
    },
    "group4": lambda path, page: Image.fromarray(page).convert("1").save(path, "TIFF", compression="group4"),
    "group3": lambda path, page: Image.fromarray(page).convert("1").save(path, "TIFF", compression="group3"),
}


@pytest.mark.parametrize("name", BLANK)
def test_a_blank_page_is_believed(name: str, tmp_path: Path) -> None:
    page = np.full((2400, 2500), 255, np.uint8)
    BLANK[name](tmp_path / "a", page)
    frame = read(tmp_path / "a").frame(0)
    assert frame.stored.shape[:2] == page.shape and frame.displayed().min() > 0.99


def test_claims_that_no_codec_can_keep(tmp_path: Path) -> None:
    jpeg, png, webp = tmp_path / "a.jpg", tmp_path / "a.png", tmp_path / "a.webp"
    jpeg.write_bytes(_jpeg(_SMOOTH).replace(struct.pack(">HH", 64, 96), struct.pack(">HH", 21000, 21000), 1))
    for salvage in (False, True):
        _refused(jpeg, "claims", salvage=salvage)
    head = struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0)
    idat = zlib.compress(b"\0" * 1000)
    parts = [(b"IHDR", head), (b"IDAT", idat), (b"IEND", b"")]
    png.write_bytes(
        b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    )
    _refused(png, "claims")
    data = b"VP8L" + struct.pack("<I", 14) + b"\x2f" + struct.pack("<I", 16382 | 16382 << 14) + bytes(9)  # as the hostile one of 34 bytes
    webp.write_bytes(b"RIFF" + struct.pack("<I", len(data) + 4) + b"WEBP" + data)
    _refused(webp, "claims 268,402,689 samples, but its .* bytes of lossless WebP")
    for compression in ("lzw", "packbits", "zlib"):
        path = tmp_path / f"{compression}.tif"
        tifffile.imwrite(path, _SMOOTH, compression=compression, metadata=None)
        with tifffile.TiffFile(path, mode="r+") as file:
            for code in (256, 257, 278):
                file.pages[0].tags[code].overwrite(20000)
        for salvage in (False, True):
            _refused(path, "claims", salvage=salvage)


def test_webp_whose_header_and_data_disagree(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    Image.fromarray(np.repeat(_SMOOTH[:, :, None], 3, 2)).save(path, "WEBP", icc_profile=b"x" * 128)
    at = path.read_bytes().index(b"VP8X") + 12
    data = bytearray(path.read_bytes())
    data[at : at + 6] = (9999).to_bytes(3, "little") + (9999).to_bytes(3, "little")
    path.write_bytes(data)
    _refused(path, "its header says 10000 x 10000 pixels, its data are 96 x 64")


_PICTURE = np.clip(_random.normal(128, 40, (256, 256, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 64}], ids=["baseline", "progressive", "restarts"])
@pytest.mark.parametrize("how", ["zeroed to its end", "zeroed in the middle", "a part lost", "a marker in it"])
def test_jpeg_whose_decoder_warns(how: str, options: dict[str, object], tmp_path: Path) -> None:
    path, sound = tmp_path / "a.jpg", _jpeg(_PICTURE, **options)
    path.write_bytes(sound)
    assert read(path).frame(0).stored.shape == _PICTURE.shape
    middle = len(sound) // 2
    damaged = {
        "zeroed to its end": sound[:middle] + bytes(len(sound) - middle - 2) + sound[-2:],
        "zeroed in the middle": sound[:middle] + bytes(4000) + sound[middle + 4000 :],
        "a part lost": sound[:middle] + sound[middle + 3000 :],
        "a marker in it": sound[:middle] + b"\xff\xd3" + sound[middle + 2 :],
    }
    path.write_bytes(damaged[how])
    _refused(path, "(truncated|damaged) JPEG .*--salvage")
    picture = read(path, salvage=True)
    picture.frame(0)
    assert picture.warnings


def test_padding_before_a_jpegs_end_is_no_damage(tmp_path: Path) -> None:
    path, sound = tmp_path / "a.jpg", _jpeg(_PICTURE)
    for padding in (b"\0" * 7, b"\xff" * 3):
        path.write_bytes(sound[:-2] + padding + sound[-2:])
        picture = read(path)
        picture.frame(0)
        assert not picture.warnings


@pytest.mark.parametrize("compression", ["packbits", "lzw", "zlib", "zstd", "lzma", "jpeg", "jpeg2000", "lerc"])
@pytest.mark.parametrize("rows", [16, 64])
def test_tiff_whose_strip_ends_early(compression: str, rows: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _SMOOTH, compression=compression, rowsperstrip=rows, metadata=None)
    assert read(path).frame(0).stored.shape == _SMOOTH.shape
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages[0].tags[279]
        sizes = (*tag.value[:-1], tag.value[-1] // 2)
        tag.overwrite(sizes if len(sizes) > 1 else sizes[0])
    _refused(path, "a.tif: damaged or unsupported TIFF")


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_fax_that_ends_early(compression: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(_SMOOTH > 128).save(path, "TIFF", compression=compression)
    assert np.array_equal(read(path).frame(0).displayed()[:, :, 0] > 0.5, _SMOOTH > 128)
    with tifffile.TiffFile(path) as file:
        offset, size = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    data = bytearray(path.read_bytes())
    data[offset + size // 2 : offset + size] = bytes(size - size // 2)
    path.write_bytes(data)
    _refused(path, "they end early")


def test_tiff_that_lists_too_few_segments(tmp_path: Path) -> None:
    for compression in (None, "zlib"):
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, _SMOOTH, compression=compression, rowsperstrip=8, metadata=None)
        with tifffile.TiffFile(path, mode="r+") as file:
            for code in (273, 279):
                tag = file.pages[0].tags[code]
                tag.overwrite(tag.value[:5], dtype=tag.dtype)
        _refused(path, "rows are missing, from row 41 of 64")
        assert not read(path, salvage=True).frame(0).stored[40:].any()


def test_tiff_whose_planes_are_neither_together_nor_apart(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([_SMOOTH] * 3), compression="lzw")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages[0].tags[284].overwrite(0)
    _refused(tmp_path / "a.tif", "PlanarConfiguration 0")


def test_tiff_whose_strips_lie_over_each_other(tmp_path: Path) -> None:
    for compression in (None, "packbits"):
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, _SMOOTH, compression=compression, rowsperstrip=16, metadata=None)
        with tifffile.TiffFile(path, mode="r+") as file:
            tag = file.pages[0].tags[273]
            first = tag.value[0]
            tag.overwrite((first, first + 5, first + 10, first + 15))
        _refused(path, "over each other")


def test_tiff_whose_strips_are_one_is_as_its_writer_meant(tmp_path: Path) -> None:
    """Blank strips that share their bytes."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 96), np.uint8), rowsperstrip=16, metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages[0].tags[273]
        tag.overwrite((tag.value[0],) * 4)
    assert not read(path).frame(0).stored.any()


@pytest.mark.parametrize("salvage", [False, True])
def test_an_uncompressed_tiff_of_more_samples_a_pixel_than_its_bytes_can_hold(salvage: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.int16), metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for tag, value in ((256, 16383), (257, 16383), (277, 32767), (278, 16383)):
            file.pages[0].tags[tag].overwrite(value)
    _refused(path, "claims 17,589,501,820,926 samples", salvage=salvage)
