"""The table of formats: each row keeps its contract, and one file and one row add a format."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import picture_samples as samples
import pytest

from restore.images import CODECS, TARGETS, ImageError, codecs, read
from restore.images.codecs.base import PixelLayout
from restore.images.metadata import ImageHeader

ROOT = Path(__file__).resolve().parents[3]
BY_SUFFIX = {"tga"}
"""Formats without a mark of their own."""


@pytest.mark.parametrize("name", samples.ALL)
def test_one_codec_is_certain_of_each_sample(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    samples.ALL[name](path)
    head = path.read_bytes()[:512]
    certain = [codec.name for codec in CODECS.values() if codec.is_certain(head)]
    format = read(path).format
    assert certain == ([] if format in BY_SUFFIX else [format])
    assert codecs.recognized(path, head) is CODECS[format] and CODECS[format].without_pixels(path) is None


@pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))
def test_no_codec_is_certain_of_other_files(codec: codecs.Codec) -> None:
    for head in (b"", b"P", b"P1 is the first, P2 the second.\n", b"BMW and other cars\n" * 9, bytes(512), b"RIFF\0\0\0\0AVI LIST"):
        assert not codec.is_certain(head)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "name", ["gray8.png", "gray16.png", "la8.png", "rgba8.png", "pages.tif", "float32.tif", "rgb8.bmp", "cmyk.jpg", "palette.png"]
)
def test_what_a_format_cannot_hold_is_refused_before_anything_is_written(name: str, target: str, tmp_path: Path) -> None:
    path, out = tmp_path / name, tmp_path / "out"
    samples.ALL[name](path)
    picture = read(path)
    why = CODECS[target].cannot_hold(picture._source.header)
    try:
        picture.save(out, [picture.frame(i).stored for i in range(picture.frames)], format=target)
    except ImageError as error:
        assert not out.exists() and (not why or str(error) == why)
    else:
        assert not why and read(out).format == target


def test_sides_and_bits_are_compared() -> None:
    layout = PixelLayout(size=(10, 70_000), samples=3, bits=8, bands=3)
    from_png = ImageHeader("png", (10, 70_000), 8)
    assert "65500 pixels a side" in CODECS["jpeg"].cannot_hold(from_png, layout)
    assert "16383 pixels a side" in CODECS["webp"].cannot_hold(from_png, layout)
    assert not CODECS["bmp"].cannot_hold(from_png, layout)
    assert "dicom" in CODECS["dicom"].cannot_hold(from_png, layout)


@pytest.mark.parametrize(("text", "name"), [("png", "png"), ("JPG", "jpeg"), (".tif", "tiff"), ("ppm", "pgm"), ("dib", "bmp")])
def test_a_format_goes_by_its_name_and_its_suffixes(text: str, name: str) -> None:
    assert codecs.format_name(text) == name


@pytest.mark.parametrize("text", ["dicom", "dcm", "raw", "", "."])
def test_other_formats_are_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="use one of png, jpeg, "):
        codecs.format_name(text)


USE = """
from pathlib import Path
import numpy as np
from PIL import Image
import restore
from restore.images import SUFFIXES, codecs, look, read
from restore.pipeline.discovery import plan

root = Path.cwd()
assert Path(restore.__file__).is_relative_to(root), restore.__file__
rgb = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
(root / "in").mkdir()
Image.fromarray(rgb).save(root / "in/a.png")
picture = read(root / "in/a.png")
picture.save(root / "in/b", [picture.frame(0).stored], format="farbfeld")
(root / "in/c.ff").write_bytes((root / "in/b").read_bytes())
assert look(root / "in/b").is_picture and ".ff" in SUFFIXES and codecs.format_name("FF") == "farbfeld"
made = read(root / "in/c.ff")
assert (made.format, made.size, made.bits) == ("farbfeld", (5, 7), 16)
frame = made.frame(0)
assert np.array_equal(frame.stored[..., :3], rgb * np.uint16(257)) and (frame.alpha == 65535).all()
assert np.array_equal(frame.encode(frame.normalized()), frame.stored)
made.save(root / "back.png", [frame.stored], format="png")
assert np.array_equal(read(root / "back.png").frame(0).stored, frame.stored)
targets = [str(job.target.relative_to(root)) for job in plan([root / "in"], root / "out", ".ff").jobs]
assert targets == ["out/a.ff", "out/b.ff", "out/c.ff"], targets
"""


def test_one_file_and_one_row_add_a_format(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "restore", tmp_path / "restore", ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path / "restore" / "images" / "codecs"
    shutil.copy(ROOT / "tests" / "recipes" / "farbfeld.py", folder)
    table = (folder / "__init__.py").read_text()
    row = "        PnmCodec(),\n"
    assert row in table
    table = table.replace(row, row + "        FarbfeldCodec(),\n")
    line = "from restore.images.codecs.farbfeld import FarbfeldCodec"
    (folder / "__init__.py").write_text(table.replace("\nCODECS", f"\n{line}\n\nCODECS", 1))
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + USE
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_documentation_lists_every_format() -> None:
    rows = [line.split("|")[1:4] for line in (ROOT / "docs" / "files.md").read_text().splitlines() if line.startswith("| `")]
    listed = {name.strip(" `"): (tuple(suffixes.split()), holds.strip()) for name, suffixes, holds in rows}
    assert list(listed) == list(CODECS)
    for name, (suffixes, holds) in listed.items():
        can = CODECS[name].capabilities
        assert suffixes == CODECS[name].suffixes and bool(holds) == (can is not None)
        if can is not None:
            words = {"gray": can.gray, "alpha": can.colour_alpha, "other bands": can.other_bands, "16 bits": can.bits == 16}
            words |= {"floats": can.floats, "many pages": can.many_frames, "no colour profile": not can.profiles}
            assert {word: word in holds for word in words} == words
