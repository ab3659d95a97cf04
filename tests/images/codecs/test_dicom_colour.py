"""JPEG in DICOM whose colours are not in the model that the header names: what was encoded is what comes out."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_samples import dataset, decoded, save, unchanged, wrap
from PIL import Image
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import JPEGBaseline8Bit

from restore.images import read
from restore.images.codecs.dicom.codestream_checks import jpeg_codestream


def picture(kind: int) -> np.ndarray:
    """(72, 88, 3) smooth colours with a black margin, as many pictures have one."""
    y, x = np.mgrid[:72, :88]
    red, green, blue = (
        (x * 2.9, y * 3.4, 250 - x - y),
        (y * 3.4, 30 + x, x * 1.5 + y),
        (255 - x * 2.5, 40 + y, x + y),
    )[kind]
    rgb = np.stack([red, green, blue], -1).clip(0, 255).astype(np.uint8)
    rgb[:, :20] = 0
    return rgb


def jpeg(rgb: np.ndarray, *, subsampling: str = "444", keep_rgb: bool = False) -> bytes:
    space = "RGB" if keep_rgb else "YCBCR"
    return bytes(imagecodecs.jpeg8_encode(rgb, level=97, subsampling=subsampling, colorspace="RGB", outcolorspace=space))


def marked(data: bytes, *, jfif: bool = False, adobe: int | None = None, names: tuple[int, int, int] | None = None) -> bytes:
    """The codestream with only these application segments, and its components renamed."""
    at, kept = 2, b"\xff\xd8"
    if jfif:
        kept += b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0\1\1\0\0\1\0\1\0\0"
    if adobe is not None:
        kept += b"\xff\xee" + struct.pack(">H5sHHHB", 14, b"Adobe", 100, 0, 0, adobe)
    while data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        segment = bytearray(data[at : at + 2 + length])
        if data[at + 1] in (0xC0, 0xC1, 0xC2) and names:
            segment[10], segment[13], segment[16] = names
        if not 0xE0 <= data[at + 1] <= 0xEF:
            kept += segment
        at += 2 + length
    scan = bytearray(data[at:])
    if names:
        scan[5], scan[7], scan[9] = names
    return kept + bytes(scan)


STREAMS = {
    "JFIF": (False, "444", {"jfif": True}),
    "JFIF, half the chroma": (False, "422", {"jfif": True}),
    "JFIF, a quarter of the chroma": (False, "420", {"jfif": True}),
    "Adobe's transform": (False, "444", {"adobe": 1}),
    "only fewer chroma": (False, "420", {"names": (0, 1, 2)}),
    "numbered components": (False, "444", {"names": (1, 2, 3)}),
    "Adobe without transform": (True, "444", {"adobe": 0, "names": (1, 2, 3)}),
    "components named RGB": (True, "444", {"names": (82, 71, 66)}),
    "components named rgb": (True, "444", {"names": (114, 103, 98)}),
    "RGB, numbered components": (True, "444", {"names": (1, 2, 3)}),
    "RGB, unmarked": (True, "444", {"names": (0, 1, 2)}),
}
"""How a codestream was made: without a colour transform, chroma, marks."""


UNSAID = ("RGB, numbered components", "RGB, unmarked")
"""Only the header can say what these are."""


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize(
    ("stream", "said"),
    [(s, said) for s in STREAMS for said in ("RGB", "YBR_FULL_422", "YBR_FULL") if said == "RGB" or s not in UNSAID],
)
def test_colours_are_those_that_were_encoded(stream: str, said: str, kind: int, tmp_path: Path) -> None:
    keep_rgb, subsampling, marks = STREAMS[stream]
    rgb = picture(kind)
    data = marked(jpeg(rgb, subsampling=subsampling, keep_rgb=keep_rgb), **marks)
    source, out = tmp_path / "a.dcm", tmp_path / "out"
    save(wrap(dataset(rgb, PhotometricInterpretation=said), [data], JPEGBaseline8Bit), source)
    opened, new = unchanged(source, out)
    assert new.PhotometricInterpretation == ("RGB" if keep_rgb else "YBR_FULL")
    told = [text for text in opened.warnings if f"says {said}" in text and str(new.PhotometricInterpretation) in text]
    assert bool(told) == ((said == "RGB") != keep_rgb), opened.warnings
    inside = np.s_[:, 24:] if subsampling != "444" else np.s_[:]  # at the margin's edge, chroma of fewer samples is a mix
    assert np.abs(decoded(out).astype(int) - rgb)[inside].max() < 14
    assert np.abs(opened.frame(0).normalized() - rgb / 255)[inside].max() < 0.055, "what a network sees"
    if "jfif" in marks or (said == "RGB" and keep_rgb):
        assert np.array_equal(decoded(out), decoded(source)), "pydicom, which knows these, must see the same"


@pytest.mark.parametrize("scale", [1, 1.5])
def test_chroma_that_pairs_of_pixels_share(scale: float, tmp_path: Path) -> None:
    """An odd width has no pairs: the result has chroma for each pixel."""
    height, width = 98, 90
    luma = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)
    packed = np.full((height, width // 2, 4), 128, np.uint8)
    packed[..., :2] = luma.reshape(height, -1, 2)
    ds = dataset(np.zeros((height, width, 3), np.uint8))
    ds.PhotometricInterpretation, ds.PixelData = "YBR_FULL_422", packed.tobytes()
    picture = read(save(ds, tmp_path / "a.dcm"))
    new = round(height * scale), round(width * scale)
    stored = np.full((*new, 3), 128, np.uint8)
    stored[..., 0] = np.add.outer(np.arange(new[0]), np.arange(new[1])).astype(np.uint8)
    picture.save(tmp_path / "b.dcm", [stored], scale=scale)
    made = pydicom.dcmread(tmp_path / "b.dcm")
    assert (made.Rows, made.Columns, made.PhotometricInterpretation) == (*new, "YBR_FULL" if new[1] % 2 else "YBR_FULL_422")
    assert np.array_equal(pixel_array(made, raw=True)[..., 0], stored[..., 0])


def test_the_colour_profile_follows_into_other_formats(tmp_path: Path) -> None:
    corners = {"whitepoint": [0.3127, 0.329, 1], "primaries": [0.64, 0.33, 1, 0.21, 0.71, 1, 0.15, 0.06, 1]}
    profile = imagecodecs.cms_profile("rgb", gamma=1.8, **corners)
    for number, (ds, kept) in enumerate(((dataset(np.zeros((20, 30, 3), np.uint8)), True), (dataset(np.zeros((20, 30), np.uint8)), False))):
        ds.ICCProfile = profile
        picture = read(save(ds, tmp_path / f"{number}.dcm"))
        picture.save(tmp_path / f"{number}.png", [picture.frame(0).stored], format="png")
        with Image.open(tmp_path / f"{number}.png") as image:
            assert image.info.get("icc_profile") == (profile if kept else None)


def test_gray_stored_as_rgb_stays_gray(tmp_path: Path) -> None:
    """No black, no white: read as luminance and chroma it would show colours that exist, but it is no chroma."""
    gray = np.repeat((100 + picture(0)[..., :1] // 5), 3, -1)
    source, out = tmp_path / "a.dcm", tmp_path / "out"
    save(wrap(dataset(gray), [marked(jpeg(gray, keep_rgb=True), names=(1, 2, 3))], JPEGBaseline8Bit), source)
    _, new = unchanged(source, out)
    assert new.PhotometricInterpretation == "RGB" and np.abs(decoded(out).astype(int) - gray).max() < 6


@pytest.mark.parametrize("frames", [2, 3])
def test_all_frames_of_a_film_have_one_model(frames: int, tmp_path: Path) -> None:
    pictures = [picture(index % 3) for index in range(frames)]
    source, out = tmp_path / "a.dcm", tmp_path / "out"
    save(
        wrap(dataset(np.stack(pictures)), [marked(jpeg(p), names=(1, 2, 3)) for p in pictures], JPEGBaseline8Bit),
        source,
    )
    opened = read(source)
    last = opened.frame(frames - 1).normalized()
    assert np.abs(last - pictures[-1] / 255).max() < 0.05
    _, new = unchanged(source, out)
    assert new.PhotometricInterpretation == "YBR_FULL"
    assert np.abs(decoded(out).astype(int) - np.stack(pictures)).max() < 14


@pytest.mark.parametrize("stream", ["JFIF, a quarter of the chroma", "Adobe's transform", "Adobe without transform"])
def test_other_decoders_give_the_same_colours(stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pylibjpeg there are only decoders that transform colours by their own rule."""
    keep_rgb, subsampling, marks = STREAMS[stream]
    rgb = picture(1)
    data = marked(jpeg(rgb, subsampling=subsampling, keep_rgb=keep_rgb), **marks)
    source, out = tmp_path / "a.dcm", tmp_path / "out"
    save(wrap(dataset(rgb), [data], JPEGBaseline8Bit), source)
    decoder = get_decoder(JPEGBaseline8Bit)
    others = {name: function for name, function in decoder._available.items() if name != "pylibjpeg"}
    with monkeypatch.context() as without:
        without.setattr(decoder, "_available", others)
        unchanged(source, out)
    inside = np.s_[:, 24:] if subsampling != "444" else np.s_[:]
    assert np.abs(decoded(out).astype(int) - rgb)[inside].max() < 14


def test_lossless_jpeg_is_as_the_header_says(tmp_path: Path) -> None:
    """Numbered components mean nothing there: libjpeg takes them for RGB as well."""
    head = b"\xff\xd8\xff\xc3" + struct.pack(">HBHHB", 17, 8, 4, 4, 3) + bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    assert jpeg_codestream(head).model is None and not jpeg_codestream(head).doubtful
    assert jpeg_codestream(head.replace(b"\xff\xc3", b"\xff\xc0")).doubtful


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_broken_codestream_says_nothing_or_is_refused(cut: int) -> None:
    data = jpeg(picture(0))
    assert jpeg_codestream(data[:cut]).model in (None, "YBR_FULL")
