"""What travels when a picture changes its format: texts, EXIF, colours; what can't is refused, not dropped."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from restore.images import ImageError, read
from restore.images.codecs.jpeg import extended_xmp
from restore.images.codecs.jpeg.header import APP1, read_segments
from restore.images.codecs.png.chunks import chunk, layout
from restore.images.codecs.png.text_chunks import raw_exif, texts

RGB = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
TEXTS = (("Title", "A house"), ("Author", "J\u00fcrgen"), ("Comment", "two\nlines"), ("Description", "\u5bb6"))


def convert(source: Path, out: Path, target: str) -> None:
    picture = read(source)
    picture.save(out, (picture.frame(i).stored for i in range(picture.frames)), format=target)


def png_with(path: Path, *chunks: tuple[bytes, bytes], picture: np.ndarray = RGB) -> None:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    data = stream.getvalue()
    path.write_bytes(data[:33] + b"".join(chunk(*c) for c in chunks) + data[33:])


def exif() -> bytes:
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x8298] = "A maker", "A model", "(c) me"
    below = block.get_ifd(0x8769)
    below[0x829A], below[0x927C], below[0x9003] = 0.004, b"a maker provenance", "2001:02:03 04:05:06"
    gps = block.get_ifd(0x8825)
    gps[1], gps[2] = "N", (47.0, 30.0, 12.5)
    return block.tobytes()


@pytest.mark.parametrize("way", [("jpeg", "tiff"), ("png", "tiff"), ("webp", "tiff"), ("tiff", "png"), ("tiff", "webp")])
def test_exif_comes_back_from_where_it_went(way: tuple[str, str], tmp_path: Path) -> None:
    first, second = way
    there, back, source = tmp_path / "b", tmp_path / "c", tmp_path / "a"
    start = "jpeg" if first == "tiff" else first
    Image.fromarray(RGB).save(source, start, exif=exif(), **({"lossless": True} if start == "webp" else {}))
    with Image.open(source) as image:
        wanted = image.getexif()
        below, gps = dict(wanted.get_ifd(0x8769)), dict(wanted.get_ifd(0x8825))
    convert(source, there, "tiff")
    convert(there, back, second if first == "tiff" else start)
    for path in (there, back):
        with Image.open(path) as image:
            found = image.getexif()
            assert (found[0x010F], found[0x0110], found[0x8298]) == ("A maker", "A model", "(c) me")
            assert dict(found.get_ifd(0x8769)) == below
            assert dict(found.get_ifd(0x8825)) == gps
    with tifffile.TiffFile(there) as file:
        assert file.pages[0].tags[34665].value["ExposureTime"] == 0.004
        assert file.pages[0].tags[34853].value["GPSLatitudeRef"] == "N"


def test_texts_of_png(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    for index, (keyword, text) in enumerate(TEXTS):
        if keyword in ("Title", "Comment"):
            info.add_text(keyword, text, zip=index == 0)
        else:
            info.add_itxt(keyword, text, zip=index == 1)
    Image.fromarray(RGB).save(tmp_path / "a.png", pnginfo=info)
    assert texts(layout(tmp_path / "a.png")) == TEXTS
    convert(tmp_path / "a.png", tmp_path / "b.tif", "tiff")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        tags = file.pages[0].tags
        assert tags[315].value == "J\u00fcrgen"
        assert file.pages[0].description == "Title: A house\ntwo\nlines\n\u5bb6"
    convert(tmp_path / "b.tif", tmp_path / "c.png", "png")
    assert ("Description", "Title: A house\ntwo\nlines\n\u5bb6") in texts(layout(tmp_path / "c.png"))
    convert(tmp_path / "a.png", tmp_path / "d.jpg", "jpeg")
    data = (tmp_path / "d.jpg").read_bytes()
    for comment in ("Title: A house", "Author: J\u00fcrgen", "two\nlines", "Description: \u5bb6"):
        assert struct.pack(">BBH", 0xFF, 0xFE, len(comment.encode()) + 2) + comment.encode() in data
    convert(tmp_path / "d.jpg", tmp_path / "e.png", "png")
    assert ("Comment", "two\nlines") in texts(layout(tmp_path / "e.png"))


def test_xmp_of_png(tmp_path: Path) -> None:
    for packed in (False, True):
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", "<x>\u00e4</x>", zip=packed)
        Image.fromarray(RGB).save(tmp_path / "a.png", pnginfo=info)
        for target in ("tiff", "jpeg", "webp"):
            convert(tmp_path / "a.png", tmp_path / "b", target)
            with Image.open(tmp_path / "b") as image:
                assert image.info["xmp"] == "<x>\u00e4</x>".encode()
            convert(tmp_path / "b", tmp_path / "c", "png")
            with Image.open(tmp_path / "c") as image:
                assert image.info["xmp"] == "<x>\u00e4</x>".encode()


def seen(path: Path) -> np.ndarray:
    """What a colour-managed viewer shows, as sRGB."""
    with Image.open(path) as image:
        image.load()
        icc = image.info.get("icc_profile")
        if not icc:
            return np.asarray(image.convert("RGB")).astype(int)
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        made = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), renderingIntent=1, outputMode="RGB")
        return np.asarray(made).astype(int)


def srgb(linear: np.ndarray) -> np.ndarray:
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


SRGB_CHRM = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
WIDE = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
P3_TO_SRGB = np.array([[1.22494, -0.22494, 0.0], [-0.04206, 1.04206, 0.0], [-0.01964, -0.07864, 1.09828]])


@pytest.mark.parametrize("target", ["tiff", "jpeg", "webp"])
@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.6])
@pytest.mark.parametrize("gray", [False, True])
def test_gamma_becomes_a_profile(target: str, gamma: float, gray: bool, tmp_path: Path) -> None:
    picture = (RGB // 2 + 64) if not gray else RGB[..., 0]
    png_with(tmp_path / "a.png", (b"gAMA", struct.pack(">I", round(1e5 / gamma))), picture=picture)
    if gray and target == "webp":
        return
    convert(tmp_path / "a.png", tmp_path / "b", target)
    wanted = srgb((picture / 255.0) ** gamma)
    wanted = wanted[..., None].repeat(3, -1) if gray else wanted
    if target == "jpeg":
        assert np.abs(seen(tmp_path / "b") - wanted).mean() < 8
    else:
        assert np.abs(seen(tmp_path / "b") - wanted)[wanted > 60].max() <= 4  # a colour engine is coarse in gray's shadows


@pytest.mark.parametrize("said", ["cHRM", "cICP"])
def test_primaries_become_a_profile(said: str, tmp_path: Path) -> None:
    muted = RGB // 4 + 90
    png_with(tmp_path / "a.png", (b"cHRM", WIDE) if said == "cHRM" else (b"cICP", bytes([12, 13, 0, 1])), picture=muted)
    convert(tmp_path / "a.png", tmp_path / "b.tif", "tiff")
    x = muted / 255.0
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    assert np.abs(seen(tmp_path / "b.tif") - srgb(linear @ P3_TO_SRGB.T)).max() <= 3


@pytest.mark.parametrize("chunks", [
    [(b"gAMA", struct.pack(">I", 45455))], [(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", SRGB_CHRM)], [(b"sRGB", b"\0")],
    [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100000))], [(b"cICP", bytes([1, 13, 0, 1]))], [],
])  # fmt: skip
def test_what_is_srgb_needs_no_profile(chunks: list[tuple[bytes, bytes]], tmp_path: Path) -> None:
    png_with(tmp_path / "a.png", *chunks)
    for target in ("tiff", "webp", "bmp", "pgm"):
        convert(tmp_path / "a.png", tmp_path / "b", target)
        with Image.open(tmp_path / "b") as image:
            assert "icc_profile" not in image.info and np.array_equal(np.asarray(image), RGB)


@pytest.mark.parametrize("codes", [(9, 16, 0, 1), (9, 18, 0, 1), (1, 13, 1, 1), (1, 13, 0, 0), (10, 17, 0, 1)])
@pytest.mark.parametrize("target", ["tiff", "jpeg", "webp", "bmp"])
def test_colours_that_no_profile_describes_are_refused(codes: tuple[int, ...], target: str, tmp_path: Path) -> None:
    png_with(tmp_path / "a.png", (b"cICP", bytes(codes)))
    with pytest.raises(ImageError, match=r"can't describe the picture's colours.*cICP"):
        convert(tmp_path / "a.png", tmp_path / "b", target)
    read(tmp_path / "a.png").save(tmp_path / "b", [255 - read(tmp_path / "a.png").frame(0).stored])
    assert layout(tmp_path / "b").find(b"cICP") == bytes(codes)


def test_pgm_refuses_colours_that_need_a_profile(tmp_path: Path) -> None:
    png_with(tmp_path / "a.png", (b"gAMA", struct.pack(">I", 100000)))
    with pytest.raises(ImageError, match="colour profile"):
        convert(tmp_path / "a.png", tmp_path / "b", "pgm")


@pytest.mark.parametrize("kind", ["gray", "rgb", "rgba"])
def test_bmp_embeds_profiles(kind: str, tmp_path: Path) -> None:
    picture = {"gray": RGB[..., 0], "rgb": RGB, "rgba": np.dstack([RGB, RGB[..., 0]])}[kind]
    png_with(tmp_path / "a.png", (b"gAMA", struct.pack(">I", 100000)), picture=picture)
    convert(tmp_path / "a.png", tmp_path / "b.bmp", "bmp")
    with Image.open(tmp_path / "b.bmp") as image:
        assert np.array_equal(np.asarray(image), picture)
    bmp = read(tmp_path / "b.bmp")
    assert np.array_equal(bmp.frame(0).stored, picture)
    icc = bmp._source.header.metadata.icc
    assert icc is not None and icc == read(tmp_path / "a.png")._source.header.metadata.icc
    changed = 255 - bmp.frame(0).stored
    bmp.save(tmp_path / "c.bmp", [changed])
    again = read(tmp_path / "c.bmp")
    assert again._source.header.metadata.icc == icc and np.array_equal(again.frame(0).stored, changed)
    convert(tmp_path / "c.bmp", tmp_path / "d.tif", "tiff")
    with Image.open(tmp_path / "d.tif") as image:
        assert image.info["icc_profile"] == icc
    data = (tmp_path / "b.bmp").read_bytes()
    assert struct.unpack_from("<I", data, 2)[0] == len(data) and data.endswith(icc)


def test_data_after_the_end_of_a_png(tmp_path: Path) -> None:
    png_with(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes() + b"a film")
    assert read(tmp_path / "a.png").warnings == ["data after its end (6 bytes) are not kept where pixels change"]


def test_a_profile_goes_before_gamma(tmp_path: Path) -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    png_with(tmp_path / "a.png", (b"iCCP", b"x\0\0" + zlib.compress(icc)), (b"gAMA", struct.pack(">I", 100000)))
    convert(tmp_path / "a.png", tmp_path / "b.tif", "tiff")
    with Image.open(tmp_path / "b.tif") as image:
        assert image.info["icc_profile"] == icc


BANDS = {
    "five bands": (np.dstack([RGB, RGB[..., :2]]), "rgb", [0, 0]),
    "near infrared": (np.dstack([RGB, RGB[..., :1]]), "rgb", [0]),
    "alpha and infrared": (np.dstack([RGB, RGB[..., :2]]), "rgb", [2, 0]),
    "infrared and alpha": (np.dstack([RGB, RGB[..., :2]]), "rgb", [0, 2]),
    "gray and one": (RGB[..., :2], "minisblack", [0]),
    "eight bands": (np.dstack([RGB, RGB, RGB[..., :2]]), "minisblack", [0] * 7),
}


@pytest.mark.parametrize("kind", BANDS)
@pytest.mark.parametrize("target", ["png", "webp", "jpeg", "bmp", "pgm"])
def test_bands_that_are_no_alpha_are_refused(kind: str, target: str, tmp_path: Path) -> None:
    data, photometric, extra = BANDS[kind]
    tifffile.imwrite(tmp_path / "a.tif", data, photometric=photometric, planarconfig="contig", extrasamples=extra, metadata=None)
    with pytest.raises(ImageError, match=r"can't hold \d of this picture's \d bands, which are neither colour nor alpha; choose tiff"):
        convert(tmp_path / "a.tif", tmp_path / "b", target)


def test_bands_that_are_alpha_become_it(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([RGB, RGB[..., :1]]), photometric="rgb", extrasamples=[2], metadata=None)
    convert(tmp_path / "a.tif", tmp_path / "b.png", "png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png")), np.dstack([RGB, RGB[..., :1]]))


RGB_PROFILE = {"whitepoint": [0.3127, 0.329, 1], "primaries": [0.64, 0.33, 1, 0.21, 0.71, 1, 0.15, 0.06, 1]}


@pytest.mark.parametrize("kind", ["palette", "jpeg", "tiff"])
def test_gray_samples_get_a_gray_profile(kind: str, tmp_path: Path) -> None:
    """A PNG of gray samples may not have an RGB profile; the gray one has the same curve."""
    ramp, icc = np.repeat(np.arange(256, dtype=np.uint8)[None], 40, 0), imagecodecs.cms_profile("rgb", gamma=1.8, **RGB_PROFILE)
    source, out = tmp_path / "a", tmp_path / "b.png"
    if kind == "palette":
        image = Image.fromarray(ramp, "P")
        image.putpalette(bytes(np.repeat(np.arange(256, dtype=np.uint8), 3)))
        image.save(source, "PNG", icc_profile=icc)
    elif kind == "jpeg":
        Image.fromarray(ramp).save(source, "JPEG", quality=100, icc_profile=icc)
    else:
        tifffile.imwrite(source, ramp, iccprofile=icc)
    picture = read(source)
    stored = picture.frame(0).stored.copy()
    stored[0, 0] ^= 128
    picture.save(out, [stored], format="png")
    with Image.open(out) as image:
        assert image.mode == "L" and np.array_equal(np.asarray(image), stored)
        assert image.info["icc_profile"][16:20] == b"GRAY"
        linear = imagecodecs.cms_profile("gray", whitepoint=(0.3127, 0.329, 1.0), gamma=1.0)
        light = imagecodecs.cms_transform(ramp[:1], image.info["icc_profile"], linear, colorspace="gray", outcolorspace="gray")
    assert np.abs(light / 255 - (np.arange(256) / 255) ** 1.8).max() < 0.01
    picture = read(out)
    picture.save(tmp_path / "c.png", [stored[::-1]])
    with Image.open(tmp_path / "c.png") as image, Image.open(out) as before:
        assert image.info["icc_profile"] == before.info["icc_profile"]


@pytest.mark.parametrize("keyword", ["exif", "APP1"])
@pytest.mark.parametrize("named", [b"Exif\0\0", b""])
@pytest.mark.parametrize("name", [b"zTXt", b"tEXt"])
@pytest.mark.parametrize("tag", [3, 6])
def test_orientation_in_a_raw_profile_is_applied_once(keyword: str, named: bytes, name: bytes, tag: int, tmp_path: Path) -> None:
    """As ImageMagick and ExifTool write EXIF into PNG."""
    picture = np.random.default_rng(0).integers(0, 256, (30, 44, 3), dtype=np.uint8)
    block = Image.Exif()
    block[0x0112], block[0x010E], block[0x011A] = tag, "title", 72.0
    data = named + block.tobytes().removeprefix(b"Exif\0\0")
    text = f"\nexif\n{len(data):8}\n{data.hex()}\n".encode()
    payload = f"Raw profile type {keyword}".encode() + (b"\0\0" + zlib.compress(text) if name == b"zTXt" else b"\0" + text)
    png_with(tmp_path / "a.png", (name, payload), picture=picture)
    opened = read(tmp_path / "a.png")
    frame = opened.frame(0).stored
    assert np.array_equal(frame, np.rot90(picture, 2) if tag == 3 else np.rot90(picture, -1))
    large = frame.repeat(2, 0).repeat(2, 1)
    for path, stored, scale in ((tmp_path / "b.png", frame, 1), (tmp_path / "c.png", large, 2)):
        opened.save(path, [stored], scale=scale)
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image), stored)
            made = Image.Exif()
            made.load(b"Exif\0\0" + (raw_exif(layout(path)) or b""))
            assert (made.get(0x0112, 1), made[0x010E], made[0x011A]) == (1, "title", 72.0 * scale)
        assert np.array_equal(read(path).frame(0).stored, stored)


def test_xmp_in_a_raw_profile_follows(tmp_path: Path) -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">title</x:xmpmeta>'
    text = f"\nxmp\n{len(packet):8}\n{packet.hex()}\n".encode()
    png_with(tmp_path / "a.png", (b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(text)))
    picture = read(tmp_path / "a.png")
    picture.save(tmp_path / "b.jpg", [picture.frame(0).stored], format="jpeg")
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.info["xmp"] == packet


PROPERTIES = '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>%s</dc:title></rdf:Description>'
PACKET = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">%s</rdf:RDF></x:xmpmeta>%s<?xpacket end="w"?>'
)


def test_metadata_larger_than_a_segment_of_jpeg(tmp_path: Path) -> None:
    """XMP becomes an extension, comments several segments, and a warning tells of EXIF, for which there is no way."""
    title, comment = "ä" * 50_000, "ü" * 80_000
    long, padded = PACKET % (PROPERTIES % title, ""), PACKET % (PROPERTIES % "short", " " * 70_000)
    for name, packet in (("long", long), ("padded", padded)):
        chunks = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet.encode()), (b"iTXt", b"Comment\0\0\0\0\0" + comment.encode())
        png_with(tmp_path / f"{name}.png", *chunks)
        picture = read(tmp_path / f"{name}.png")
        picture.save(tmp_path / f"{name}.jpg", [picture.frame(0).stored], format="jpeg")
        back = read(tmp_path / f"{name}.jpg")
        back.save(tmp_path / f"{name}-back.png", [back.frame(0).stored], format="png")
        kept = layout(tmp_path / f"{name}-back.png")
        found = next(c.data for c in kept.before if c.data.startswith(b"XML:com.adobe.xmp")).decode()
        assert (title if name == "long" else ">short<") in found and "HasExtendedXMP" not in found
        assert "".join(text for _, text in texts(kept)) == comment and not picture.warnings
    with (tmp_path / "long.jpg").open("rb") as file:
        segments = [payload for marker, payload in read_segments(file.read, tmp_path / "long.jpg").kept if marker == APP1]
    assert len(segments) == 3 and b"HasExtendedXMP" in segments[0]
    png_with(tmp_path / "exif.png", (b"eXIf", exif() + bytes(70_000)))
    picture = read(tmp_path / "exif.png")
    picture.save(tmp_path / "exif.jpg", [picture.frame(0).stored], format="jpeg")
    assert "EXIF block of 70," in picture.warnings[0]


@pytest.mark.parametrize("filler", [b" ", b"<?xpacket", b"<rdf:RDF", b"xmpNote:HasExtendedXMP", b"\n<"])
def test_a_hostile_packet_takes_no_time(filler: bytes) -> None:
    """Each is read a few times from end to end: a pattern that starts anew at each place would take hours."""
    packet = b"<a>" + filler * (4_000_000 // len(filler)) + b"</a>"
    made = extended_xmp.payloads(packet)
    assert len(made) > 60 and extended_xmp.whole(made[0][len(extended_xmp.XMP) :], made[1:]) is not None
