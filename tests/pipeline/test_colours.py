"""A step may give gray files colours: the contract over all codecs, with a step that needs no network."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from restore.images import colour_profiles, read
from restore.images.colouring import in_colour
from restore.images.colouring import levels as levels_of
from restore.images.luma import luma, on_grid, with_chroma
from restore.pipeline import batch
from restore.pipeline.batch import BatchOptions
from restore.pipeline.chain import Chain
from restore.pipeline.step import Image as StepImage
from restore.pipeline.step import Result, Step

sys.path.append(str(Path(__file__).resolve().parents[1] / "images"))
from picture_samples import ALL, G8, LOSSLESS, RGB8, SMOOTH, pillow, tiff

GAMMA18 = bytes(imagecodecs.cms_profile("gray", whitepoint=(0.3127, 0.329, 1.0), gamma=1.8))
BANDS = np.stack([G8, G8, G8], -1)
NO_COLOURS = {"gray12.avif", "slice-uint16.nii", "volume-float-be.nii.gz", "volume-int16.nii"}
"""Gray files whose format holds no colours of that depth."""
UNEVEN = {"float32-hot.tif", "float64-hot.tif"}
"""Pixels that are no numbers or far beyond white, which stay as they are."""


class Tint(Step[None]):
    """Adds a fixed chroma, and keeps the luma."""

    name = "tint"
    colours = True
    finer_coding = False

    def __init__(self, chroma: tuple[float, float] = (-0.1, 0.15)) -> None:
        self.chroma = chroma

    def settings(self) -> dict[str, object]:
        return {"chroma": self.chroma}

    def __call__(self, image: StepImage, analysis: None = None, sidecars: object = None) -> Result:
        gray = luma(image.pixels)
        levels = image.info.levels
        if levels:
            gray = np.asarray(np.rint(gray * np.float32(levels)) / levels, np.float32)
        coloured = with_chroma(gray, np.broadcast_to(np.float32(self.chroma), (*gray.shape, 2)))
        return Result(coloured if levels is None else on_grid(coloured, gray, levels))


class Identity(Step[None]):
    name = "identity"

    def settings(self) -> dict[str, object]:
        return {}

    def __call__(self, image: StepImage, analysis: None = None, sidecars: object = None) -> Result:
        return Result(image.pixels)


def coloured(source: Path, out: Path, step: Step[None] | None = None, **options: object) -> Path:
    """The result of one file."""
    report = batch.run(step or Tint(), [source], out, BatchOptions(**options))
    (record,) = report.records
    assert record.status == "done", record.error
    assert record.output is not None
    return record.output


@pytest.fixture
def made(tmp_path: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """Makes a file in a folder of its own."""

    def make(name: str, write: Callable[[Path], None]) -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        write(path)
        return path

    return make


@pytest.mark.parametrize("name", sorted(NO_COLOURS))
def test_a_depth_that_a_format_holds_in_gray_only_is_refused(name: str, made: Callable[..., Path], tmp_path: Path) -> None:
    (record,) = batch.run(Tint(), [made(name, ALL[name])], tmp_path / "out").records
    assert "can't hold colours of" in record.error and "choose --format" in record.error


@pytest.mark.parametrize("name", sorted(ALL.keys() - NO_COLOURS))
def test_every_kind_of_file_becomes_colour_and_keeps_its_luma(name: str, made: Callable[..., Path], tmp_path: Path) -> None:
    source = made(name, ALL[name])
    before, after = read(source), read(coloured(source, tmp_path / "out"))
    assert (after.format, after.frames, after.size) == (before.format, before.frames, before.size)
    for index in range(before.frames):
        old, new = before.frame(index), after.frame(index)
        assert new.mapping.channels == 3
        assert new.stored.dtype == in_colour(old).stored.dtype
        if old.alpha is not None and old.mapping.alpha_channel is not None:
            assert np.array_equal(in_colour(old).alpha, new.alpha)
        if name in UNEVEN or old.stored.dtype.kind in "if" or old.stored.dtype.itemsize > 2:
            continue
        gray, colour = old.displayed(), new.displayed()
        if ((gray > 0.2) & (gray < 0.8)).any():  # black and white have no room for colour
            assert np.ptp(colour, axis=2).max() > 0.02
        levels = levels_of(old)
        difference = np.abs(np.rint(luma(colour) * levels) - np.rint(luma(gray) * levels))
        if name in LOSSLESS and "cmyk" not in name:
            shown = new.alpha is None or name.startswith("key") is False
            assert difference.max() == 0 or not shown
        else:
            assert np.median(difference) <= 10  # pure noise, coded with loss


@pytest.mark.parametrize("name", ["float32.tif", "float16.tif", "int16.tif", "uint32.tif"])
def test_floats_and_wide_integers_keep_their_luma(name: str, made: Callable[..., Path], tmp_path: Path) -> None:
    source = made(name, ALL[name])
    before, after = read(source).frame(0), read(coloured(source, tmp_path / "out")).frame(0)
    assert after.stored.dtype == before.stored.dtype
    old, new = before.stored.astype(np.float64), after.stored.astype(np.float64) @ [0.299, 0.587, 0.114]
    inside = (before.normalized()[..., 0] >= 0) & (before.normalized()[..., 0] <= 1)
    span = np.ptp(old[inside])
    rounding = 0.5 if before.stored.dtype.kind in "iu" else span * (1e-3 if name == "float16.tif" else 2e-6)
    assert np.abs(new - old).max() <= rounding + span * 2e-7


def test_pixels_that_are_no_numbers_stay(made: Callable[..., Path], tmp_path: Path) -> None:
    source = made("hot.tif", ALL["float32-hot.tif"])
    before, after = read(source).frame(0).stored, read(coloured(source, tmp_path / "out")).frame(0).stored
    for place in [(3, 4), (5, 5), (6, 6), (7, 7)]:
        np.testing.assert_array_equal(after[place], np.repeat(before[place], 3))


def test_a_step_that_adds_no_colour_gives_equal_channels(made: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("gray8.png", "gray16.png", "gray8.bmp", "p5.pgm", "gray16-be.tif", "float32.tif"):
        after = read(coloured(made(name, ALL[name]), tmp_path / "out", Tint((0.0, 0.0)))).frame(0).stored
        before = read(tmp_path / "in" / name).frame(0).stored
        np.testing.assert_array_equal(after, np.repeat(before[..., None], 3, 2))


def test_names_follow_where_a_suffix_means_gray(made: Callable[..., Path], tmp_path: Path) -> None:
    assert coloured(made("a.pgm", ALL["p5.pgm"]), tmp_path / "out").name == "a.ppm"
    assert coloured(made("b.pbm", ALL["p1.pbm"]), tmp_path / "out").name == "b.ppm"
    assert coloured(made("c.png", ALL["gray8.png"]), tmp_path / "out", format="pgm").name == "c.ppm"
    assert (tmp_path / "out" / "a.ppm").read_bytes().startswith(b"P6")
    assert (tmp_path / "out" / "b.ppm").read_bytes().startswith(b"P3")


def test_a_rerun_skips_what_is_done(made: Callable[..., Path], tmp_path: Path) -> None:
    source = made("a.pgm", ALL["p5.pgm"])
    coloured(source, tmp_path / "out")
    assert [record.status for record in batch.run(Tint(), [source], tmp_path / "out").records] == ["skipped"]


@pytest.mark.parametrize("target", ["png", "tiff", "jpeg", "webp", "bmp"])
def test_another_format_gets_the_colours_too(target: str, made: Callable[..., Path], tmp_path: Path) -> None:
    result = read(coloured(made("a.png", pillow(SMOOTH[..., 0])), tmp_path / "out", format=target)).frame(0)
    assert result.mapping.channels == 3
    assert np.median(np.abs(luma(result.displayed()) - SMOOTH[..., 0] / 255)) < 0.01
    assert np.ptp(result.displayed(), axis=2).max() > 0.02


def test_sixteen_bits_and_floats_keep_them_in_another_format(made: Callable[..., Path], tmp_path: Path) -> None:
    assert read(coloured(made("a.png", ALL["gray16.png"]), tmp_path / "out", format="tiff")).frame(0).stored.dtype == np.uint16
    result = read(coloured(made("b.tif", ALL["float32-hot.tif"]), tmp_path / "out", format="png")).frame(0)
    assert (result.stored.dtype, result.stored.shape[2]) == (np.uint16, 3)


def test_a_jpeg_keeps_its_quantisation_and_its_gray_values(made: Callable[..., Path], tmp_path: Path) -> None:
    source = made("a.jpg", pillow(np.tile(SMOOTH[..., 0], (3, 3)), quality=60, comment=b"a note"))
    result = coloured(source, tmp_path / "out")
    with Image.open(source) as first, Image.open(result) as second:
        assert second.mode == "RGB"
        assert first.quantization[0] == second.quantization[0]
        assert second.info["comment"] == b"a note"
        second.draft("L", second.size)  # the luma as it is coded
        assert np.abs(np.asarray(first, int) - np.asarray(second.convert("L"), int)).max() <= 2


def _shown(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        return np.asarray(ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_a_gray_profile_becomes_a_colour_profile_of_the_same_curve(name: str, made: Callable[..., Path], tmp_path: Path) -> None:
    source = made(name, pillow(SMOOTH[..., 0], icc_profile=GAMMA18, **({"quality": 98} if name == "a.jpg" else {})))
    result = coloured(source, tmp_path / "out", Tint((0.0, 0.0)))
    before, after = _shown(source), _shown(result)
    assert np.abs(before.astype(int) - after).max() <= (4 if name == "a.jpg" else 2)
    assert np.abs(before[..., 0].astype(int) - SMOOTH[..., 0]).max() > 10


def test_a_profile_of_srgbs_curve_is_left_out(made: Callable[..., Path], tmp_path: Path) -> None:
    profile = colour_profiles.profile(colour_profiles.Colours(), gray=True)
    with Image.open(coloured(made("a.png", pillow(G8, icc_profile=profile)), tmp_path / "out")) as image:
        assert "icc_profile" not in image.info


def test_metadata_stay(made: Callable[..., Path], tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "A house")
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "A maker", 6
    source = made("a.png", pillow(G8, dpi=(300, 300), pnginfo=info, exif=exif))
    with Image.open(coloured(source, tmp_path / "out")) as image:
        assert image.size == (G8.shape[0], G8.shape[1])  # upright
        assert image.text["Title"] == "A house"
        assert round(image.info["dpi"][0]) == 300
        assert (image.getexif()[0x010F], image.getexif()[0x0112]) == ("A maker", 1)
    page = made("a.tif", tiff(G8, resolution=(300, 300), description="a house", software="scanner"))
    with tifffile.TiffFile(coloured(page, tmp_path / "out")) as file:
        tags = file.pages[0].tags
        assert (tags["ImageDescription"].value, tags["Software"].value, tags["XResolution"].value) == ("a house", "scanner", (300, 1))


def test_bands_that_are_neither_gray_nor_alpha_are_refused(made: Callable[..., Path], tmp_path: Path) -> None:
    source = made("a.tif", tiff(BANDS, photometric="minisblack", planarconfig="contig", extrasamples=["unspecified", "unspecified"]))
    (record,) = batch.run(Tint(), [source], tmp_path / "out").records
    assert record.status == "failed"
    assert "2 of its 3 bands are neither gray nor alpha" in record.error


@pytest.mark.parametrize("steps", [[Tint(), Identity()], [Identity(), Tint()]])
def test_a_chain_gives_colours_where_one_of_its_steps_does(steps: list[Step[None]], made: Callable[..., Path], tmp_path: Path) -> None:
    assert Chain(steps).colours
    single = read(coloured(made("a.png", pillow(G8)), tmp_path / "one")).frame(0).stored
    chained = read(coloured(tmp_path / "in" / "a.png", tmp_path / "two", Chain(steps))).frame(0).stored
    np.testing.assert_array_equal(single, chained)


def test_colour_files_keep_their_structure(made: Callable[..., Path], tmp_path: Path) -> None:
    source = made("a.tif", tiff(RGB8, photometric="rgb", tile=(16, 16), compression="deflate"))
    with tifffile.TiffFile(coloured(source, tmp_path / "out")) as file:
        assert file.pages[0].is_tiled
    first = made("b.jpg", pillow(SMOOTH, quality=70, subsampling=2))
    with Image.open(first) as old, Image.open(coloured(first, tmp_path / "out")) as new:
        assert old.quantization == new.quantization
