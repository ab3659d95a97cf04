"""Each lossy format codes a changed picture at the quality of its file, and finer where it must."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image

from restore.images import read
from restore.images.codecs.avif import container
from restore.images.codecs.heif import hevc
from restore.images.codecs.jpegxl import frame, header
from restore.images.codecs.jpegxl.codec import unwrapped
from restore.images.codecs.webp import vp8
from restore.images.matched_quality import LEAST, TRIES, Scale, matched_quality

SIDE = 160
SCALE = Scale(coarsest=0, finest=100, first=50, growth=0.05)


def scene() -> np.ndarray:
    """(SIDE, SIDE, 3) uint8 with edges, slopes and texture of all frequencies, as photographs have."""
    random = np.random.default_rng(5)
    spectrum = np.fft.rfft2(random.normal(0, 1, (SIDE, SIDE)))
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]) + 1 / SIDE
    texture = np.fft.irfft2(spectrum / frequency, (SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE]
    gray = 120 + 30 * texture / texture.std() + 40 * (np.hypot(y - 60, x - 90) < 45)
    return np.clip(np.stack([gray, gray * 0.9 + x / 10, gray * 0.8 + y / 10], -1), 0, 255).astype(np.uint8)


def _pillow(kind: str) -> Callable[[int], bytes]:
    def coded(quality: int) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(scene()).save(stream, kind, quality=quality)
        return stream.getvalue()

    return coded


def _heic(quality: int) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_bytes("RGB", (SIDE, SIDE), scene().tobytes()).save(stream, quality=quality, chroma=420)
    return stream.getvalue()


def _tiff(quality: int) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, scene(), photometric="rgb", compression="jpeg", compressionargs={"level": quality}, subsampling=(2, 2))
    return stream.getvalue()


CODERS: dict[str, tuple[Callable[[int], bytes], tuple[int, ...]]] = {
    "j2k": (lambda level: bytes(imagecodecs.jpeg2k_encode(scene(), level, codecformat="j2k", reversible=False)), (30, 38, 46)),
    "jxl": (lambda tenths: bytes(imagecodecs.jpegxl_encode(scene(), distance=tenths / 10)), (30, 10, 5)),
    "heic": (_heic, (30, 50, 80)),
    "webp": (_pillow("WEBP"), (30, 60, 90)),
    "avif": (_pillow("AVIF"), (40, 70, 90)),
    "jpg": (_pillow("JPEG"), (30, 75, 95)),
    "tif": (_tiff, (30, 75, 95)),
}
"""How a lossy format is coded by its own encoder, and three qualities, the finest last."""


@pytest.mark.parametrize("suffix", CODERS)
def test_a_changed_picture_has_the_quality_of_its_file(suffix: str, tmp_path: Path) -> None:
    code, qualities = CODERS[suffix]
    source, out = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    sizes = []
    for quality in qualities:
        source.write_bytes(code(quality))
        picture = read(source)
        stored = picture.frame(0).stored
        given = stored.copy()
        given[SIDE // 2, SIDE // 2] ^= 16
        picture.save(out, [given])
        sizes.append(_coded_bytes(out))
        assert 0.85 < sizes[-1] / _coded_bytes(source) < 1.15, quality
        loss, own = _error(given, read(out).frame(0).stored), _error(stored, scene())
        assert loss < own  # no coarser than the first coding was
    assert sizes == sorted(sizes) and sizes[-1] > 1.5 * sizes[0]


def _coded_bytes(path: Path) -> int:
    if path.suffix != ".tif":
        return path.stat().st_size
    with tifffile.TiffFile(path) as file:
        return sum(file.pages[0].databytecounts)


def _error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a.astype(float) - b) ** 2))


@pytest.mark.parametrize("suffix", CODERS)
def test_a_result_that_must_be_finer_is(suffix: str, tmp_path: Path) -> None:
    code, qualities = CODERS[suffix]
    source, same, finer = (tmp_path / f"{name}.{suffix}" for name in "abc")
    source.write_bytes(code(qualities[0]))
    picture = read(source)
    given = np.roll(picture.frame(0).stored, 3, 1)
    picture.save(same, [given])
    picture.save(finer, [given], finer=True)
    errors = [_error(given, read(path).frame(0).stored) for path in (same, finer)]
    assert errors[1] < 0.5 * errors[0]


def test_the_distance_of_jpeg_xl_is_that_of_its_encoder() -> None:
    for distance in (0.06, 0.3, 1, 2.5, 6, 15):
        codestream, _ = unwrapped(bytes(imagecodecs.jpegxl_encode(scene(), distance=distance)))
        found = frame.distance(codestream, header.read(codestream))
        assert found == pytest.approx(distance, rel=0.03)
    for image in (scene()[..., 0], np.dstack([scene(), scene()[..., 0]]), np.tile(scene(), (3, 3, 1))):
        codestream, _ = unwrapped(bytes(imagecodecs.jpegxl_encode(image, distance=2)))
        assert frame.distance(codestream, header.read(codestream)) == pytest.approx(2, rel=0.03)
    codestream, _ = unwrapped(bytes(imagecodecs.jpegxl_encode(scene(), lossless=True)))
    assert frame.distance(codestream, header.read(codestream)) is None


def test_a_jpeg_in_jpeg_xl_keeps_its_size(tmp_path: Path) -> None:
    source, out = tmp_path / "a.jxl", tmp_path / "b.jxl"
    for quality in (50, 90):
        source.write_bytes(bytes(imagecodecs.jpegxl_encode_jpeg(_pillow("JPEG")(quality))))
        picture = read(source)
        picture.save(out, [picture.frame(0).stored ^ 1])
        codestream, _ = unwrapped(source.read_bytes())
        assert 0.85 < out.stat().st_size / len(codestream) < 1.25


@pytest.mark.parametrize("own", [3.0, 20.0, 47.0, 80.0, 99.0])
def test_the_search_ends_at_the_size_of_the_file(own: float) -> None:
    tried: list[float] = []

    def size_of(quality: float) -> int:
        tried.append(quality)
        return round(1e5 * math.exp(0.02 * quality + 0.0004 * quality**2))

    target = size_of(own)
    found = matched_quality(size_of, target, SCALE)
    assert len(tried) - 1 <= TRIES and LEAST <= size_of(found) / target < 1.2


def test_a_size_that_no_quality_has() -> None:
    assert matched_quality(lambda quality: 10, 1000, SCALE) == SCALE.finest
    assert matched_quality(lambda quality: 1000, 10, SCALE) == SCALE.coarsest
    assert matched_quality(lambda quality: 0, 0, SCALE) == SCALE.first


def _mutants(data: bytes, count: int) -> Iterator[bytes]:
    """Copies with some of the first bytes changed, or cut short."""
    random = np.random.default_rng(3)
    for index in range(count):
        mutant = bytearray(data)
        for at in random.integers(0, min(len(mutant), 90), 3):
            mutant[at] = random.integers(0, 256)
        yield bytes(mutant[: random.integers(0, 120)] if index % 4 == 0 else mutant)


def test_broken_headers_tell_no_quality_or_one_in_range() -> None:
    webp = _pillow("WEBP")(60)
    pixels = webp[webp.index(b"VP8 ") + 8 :]
    found = [vp8.quantiser(mutant) for mutant in _mutants(pixels, 300)]
    assert None in found and all(value is None or 0 <= value <= 127 for value in found)
    file = container.read(_heic(50))
    (setup,), coded = file.properties_of(file.primary, b"hvcC"), file.content(file.primary)
    assert hevc.quantiser(setup, coded) == 22
    found = [hevc.quantiser(mutant, coded) for mutant in _mutants(setup, 300)]
    found += [hevc.quantiser(setup, mutant) for mutant in _mutants(coded, 300)]
    assert None in found and all(value is None or value <= 51 for value in found)
    codestream, _ = unwrapped(bytes(imagecodecs.jpegxl_encode(scene(), distance=2)))
    plain = header.read(codestream)
    distances = [frame.distance(mutant, plain) for mutant in _mutants(codestream, 300)]
    assert None in distances and all(value is None or frame.FINEST <= value <= frame.COARSEST for value in distances)
