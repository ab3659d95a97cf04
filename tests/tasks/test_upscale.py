"""Super-resolution end to end: sizes, scales, formats, metadata."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import tifffile
import torch
from PIL import Image
from pydicom.data import get_testdata_file

import restore
from restore import images, weights
from restore.api import step
from restore.images.noise_model import NoiseLevel
from restore.inference.back_projection import back_project
from restore.inference.loading import InferenceOptions
from restore.inference.upscaler import Upscaler
from restore.networks import ModelSpec, RestorationNetwork
from restore.networks.resample import enlarge
from restore.pipeline.step import Image as StepImage
from restore.runtime import Runtime
from restore.tasks.upscale import _name

Make = Callable[..., torch.nn.Module]
Smooth = Callable[..., np.ndarray]


@pytest.fixture
def twice(tiny: Make, tmp_path: Path, tiny_variants: dict[str, dict[str, Any]]) -> Path:
    """Weights that upscale a gray or colour picture by two."""
    path = tmp_path / "twice.safetensors"
    settings = {"channels": 3, **tiny_variants["upscaler"]}
    weights.save(path, tiny("upscaler", 3).state_dict(), {"task": "upscale", "network": "upscaler", "settings": settings})
    return path


def _upscale(source: Path, out: Path, file: Path, **options: Any) -> Path:
    report = restore.run("upscale", source, out, weights=file, options=options, precision="fp32")
    assert not report.failed, [record.error for record in report.records]
    (record,) = report.records
    assert record.output is not None
    return record.output


def _eight(picture: np.ndarray) -> np.ndarray:
    return (picture * 255).round().astype(np.uint8)


@pytest.mark.parametrize("scale", [None, 2, 1.5, 1.01])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_a_png_is_upscaled_and_keeps_its_mode(twice: Path, tmp_path: Path, smooth: Smooth, scale: float | None, mode: str) -> None:
    size = round(21 * (scale or 2)), round(33 * (scale or 2))
    image = Image.fromarray(_eight(smooth(21, 33, 3))).convert(mode)
    if mode in {"RGBA", "LA"}:
        image.putalpha(Image.fromarray(_eight(smooth(21, 33, 1, seed=3)[:, :, 0])))
    image.save(tmp_path / "a.png", dpi=(300, 300))
    with Image.open(_upscale(tmp_path / "a.png", tmp_path / "out", twice, **({"scale": scale} if scale else {}))) as result:
        assert result.size == size[::-1]
        assert result.mode == ("RGB" if mode == "P" else mode)
        same = result.mode == image.mode and result.size == image.size and np.array_equal(result, image)  # then it is a copy of the file
        assert result.info["dpi"][0] == pytest.approx(300 if same else 300 * (scale or 2), rel=1e-3)
        plain = image.resize(size[::-1], Image.Resampling.BICUBIC) if mode != "P" else None
        if mode in {"RGBA", "LA"} and plain is not None:
            apart = np.abs(np.asarray(result)[..., -1].astype(int) - np.asarray(plain)[..., -1])
            assert apart.max() <= 1  # alpha by the cubic kernel


def test_strength_0_is_the_cubic_kernel(twice: Path, tmp_path: Path, smooth: Smooth) -> None:
    Image.fromarray(_eight(smooth(40, 40, 1)[:, :, 0])).save(tmp_path / "a.png")
    with Image.open(_upscale(tmp_path / "a.png", tmp_path / "out", twice, strength=0)) as result, Image.open(tmp_path / "a.png") as given:
        expected = np.asarray(given.resize((80, 80), Image.Resampling.BICUBIC)).astype(int)
        assert np.abs(np.asarray(result) - expected)[4:-4, 4:-4].max() <= 1


def test_a_jpeg_has_its_new_resolution(twice: Path, tmp_path: Path, smooth: Smooth) -> None:
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x010F] = 72.0, 72.0, "maker"
    Image.fromarray(_eight(smooth(20, 30, 3))).save(tmp_path / "a.jpg", dpi=(72, 72), exif=exif)
    with Image.open(_upscale(tmp_path / "a.jpg", tmp_path / "out", twice)) as result:
        assert result.size == (60, 40)
        assert result.info["dpi"] == (144, 144)
        assert float(result.getexif()[0x011A]) == 144
        assert result.getexif()[0x010F] == "maker"


@pytest.mark.parametrize("layout", [{}, {"compression": "deflate", "predictor": 2}, {"tile": (16, 16)}, {"planarconfig": "separate"}])
def test_a_tiff_of_16_bits_is_upscaled_page_by_page(twice: Path, tmp_path: Path, smooth: Smooth, layout: dict[str, Any]) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for seed in range(2):
            page = (smooth(37, 50, 3, seed=seed) * 65535).astype(np.uint16)
            writer.write(page, photometric="rgb", resolution=(200, 100), resolutionunit=2, metadata=None, **layout)
    with tifffile.TiffFile(_upscale(tmp_path / "a.tif", tmp_path / "out", twice)) as file:
        assert len(file.pages) == 2
        for page in file.pages:
            assert page.shape == (74, 100, 3) if "planarconfig" not in layout else (3, 74, 100)
            assert page.dtype == np.uint16
            assert [page.tags[code].value[0] / page.tags[code].value[1] for code in (282, 283)] == [400, 200]
    pixels = images.read(tmp_path / "out" / "a.tif").frame(1).normalized()
    plain = images.read(tmp_path / "a.tif").frame(1).normalized()
    assert np.corrcoef(pixels[::2, ::2].ravel(), plain.ravel())[0, 1] > 0.7


@pytest.mark.parametrize("suffix", ["bmp", "pgm", "webp"])
def test_other_formats_are_upscaled(twice: Path, tmp_path: Path, smooth: Smooth, suffix: str) -> None:
    picture = _eight(smooth(20, 30, 1)[:, :, 0])
    Image.fromarray(picture if suffix != "webp" else np.repeat(picture[:, :, None], 3, 2)).save(tmp_path / f"a.{suffix}", lossless=True)
    with Image.open(_upscale(tmp_path / f"a.{suffix}", tmp_path / "out", twice)) as result:
        assert result.size == (60, 40)


def test_dicom_keeps_its_size_in_the_body(twice: Path, tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("CT_small.dcm")))
    before, after = pydicom.dcmread(source), pydicom.dcmread(_upscale(source, tmp_path / "out", twice))
    assert (after.Rows, after.Columns) == (2 * before.Rows, 2 * before.Columns)
    assert after.pixel_array.shape == (after.Rows, after.Columns)
    assert [float(v) for v in after.PixelSpacing] == pytest.approx([float(v) / 2 for v in before.PixelSpacing])
    # the picture's corner stays where it was: half an old pixel before the first old centre, half a new one before the first new
    spacing, finer = float(before.PixelSpacing[0]), float(after.PixelSpacing[0])
    for axis in range(2):
        old, new = float(before.ImagePositionPatient[axis]), float(after.ImagePositionPatient[axis])
        assert new - finer / 2 == pytest.approx(old - spacing / 2, abs=1e-4)
    assert after.ImageType[0] == "DERIVED"
    assert after.SOPInstanceUID != before.SOPInstanceUID


def test_a_dicom_overlay_is_upscaled_with_its_picture(twice: Path, tmp_path: Path) -> None:
    ds = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    plane = np.zeros((ds.Rows, ds.Columns), np.uint8)
    plane[10:30, 40:45] = 1
    for number, kind, value in ((0x10, "US", ds.Rows), (0x11, "US", ds.Columns), (0x40, "CS", "G"), (0x50, "SS", [1, 1]),
                                (0x100, "US", 1), (0x102, "US", 0)):  # fmt: skip
        ds.add_new((0x6000, number), kind, value)
    ds.add_new((0x6000, 0x3000), "OW", np.packbits(plane, bitorder="little").tobytes())
    ds.save_as(tmp_path / "overlaid.dcm")
    after = pydicom.dcmread(_upscale(tmp_path / "overlaid.dcm", tmp_path / "out", twice))
    np.testing.assert_array_equal(after.overlay_array(0x6000), plane.repeat(2, 0).repeat(2, 1))
    assert list(after[0x6000, 0x50].value) == [1, 1]


def test_the_preview_shows_before_and_after_at_one_size(twice: Path, tmp_path: Path, smooth: Smooth) -> None:
    Image.fromarray(_eight(smooth(20, 30, 3))).save(tmp_path / "a.png")
    options = restore.pipeline.batch.BatchOptions(preview=tmp_path / "sheet.png")
    restore.run("upscale", tmp_path / "a.png", tmp_path / "out", weights=twice, batch=options)
    assert (tmp_path / "sheet.png").is_file()


def test_the_api_upscales_arrays_with_their_alpha(twice: Path, smooth: Smooth) -> None:
    restorer = restore.load(twice, precision="fp32")
    picture = _eight(smooth(21, 34, 4))
    result = restorer(picture)
    assert (result.shape, result.dtype) == ((42, 68, 4), np.uint8)
    assert restorer(picture[:, :, 0]).shape == (42, 68)
    assert restorer(torch.rand(2, 3, 8, 9)).shape == (2, 3, 16, 18)


def test_tiled_is_whole(twice: Path, smooth: Smooth) -> None:
    picture = smooth(300, 200, 3) + 0.05 * np.random.default_rng(0).standard_normal((300, 200, 3)).astype(np.float32)
    whole, tiled = (restore.load(twice, precision="fp32", tile=tile).upscale(picture)[0] for tile in (0, 128))
    assert np.abs(whole - tiled).max() <= 1e-4


@pytest.mark.parametrize(
    ("asked", "scale", "name"),
    [(None, 2.0, "upscale-x2"), (None, 1.3, "upscale-x2"), (None, 3.0, "upscale-x4"), ("faithful", 4.0, "upscale-x4"),
     ("photo", 2.0, "upscale-x4-photo"), ("mine.safetensors", 2.0, "mine.safetensors")],
)  # fmt: skip
def test_the_smallest_sufficient_network_is_chosen(asked: str | None, scale: float, name: str) -> None:
    assert _name(asked, scale) == name


@pytest.mark.parametrize(
    ("options", "word"),
    [({"scale": 1}, "above 1"), ({"scale": 8}, "at most 4"), ({"scale": 3}, "upscale 2 times"), ({"strength": 2}, "strength"),
     ({"colour": 1}, "no option colour")],
)  # fmt: skip
def test_invalid_combinations_are_refused_at_once(twice: Path, options: dict[str, Any], word: str, fp32: Any) -> None:
    with pytest.raises(ValueError, match=word):
        step("upscale", weights=twice, options=options, inference=InferenceOptions(fp32))


class _Blank(RestorationNetwork):
    """Upscales by two; in half precision the result is constant."""

    spec = ModelSpec(1, 1, receptive_field=4, scale=2)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        larger = enlarge(picture.float(), 2)
        return 0.5 - larger if picture.dtype != torch.float32 else torch.zeros_like(larger)


def test_a_constant_result_in_half_precision_is_redone() -> None:
    runtime = Runtime(torch.device("cpu"), torch.bfloat16)
    flat = np.zeros((16, 16, 1), np.float32)
    flat[4:12, 4:12] = 1  # exact in half precision, so that the answer there is constant to the bit
    result, trace = Upscaler(_Blank(), options=InferenceOptions(runtime, tile=0)).upscale(flat)
    assert result.std() > 0.1
    assert any("constant" in text for text in trace.redone)


def test_the_best_quality_averages_eight_runs_and_projects_back(twice: Path, fp32: Runtime, photograph: Smooth) -> None:
    picture = photograph(40, 52, 3)
    default, fast, best = (
        step("upscale", weights=twice, options={"quality": quality}, inference=InferenceOptions(fp32))
        for quality in ("default", "fast", "best")
    )
    np.testing.assert_array_equal(fast(StepImage(picture)).pixels, default(StepImage(picture)).pixels)
    averaged = Upscaler.load(twice, InferenceOptions(fp32, ensemble=8)).upscale(picture)[0]
    np.testing.assert_allclose(best(StepImage(picture)).pixels, back_project(picture, averaged, 2), atol=1e-6)
    assert "quality" not in default.settings()
    assert best.settings()["quality"] == "best"


def _noisy(clean: np.ndarray, sigma: float) -> np.ndarray:
    """With white noise of `sigma` of 255, in 8 bits."""
    noisy = clean + np.random.default_rng(0).normal(0, sigma / 255, clean.shape)
    return np.rint(255 * np.clip(noisy, 0, 1)).astype(np.float32) / 255


@pytest.mark.parametrize("sigma", [0, 2, 7])
@pytest.mark.parametrize("channels", [1, 3])
def test_noise_that_it_would_amplify_is_warned_of(twice: Path, fp32: Runtime, smooth: Smooth, sigma: float, channels: int) -> None:
    upscale = step("upscale", weights=twice, inference=InferenceOptions(fp32))
    warnings = upscale(StepImage(_noisy(smooth(192, 192, channels), sigma))).warnings
    assert len(warnings) == (sigma > 2.5)
    expected = re.compile(r"its noise \(sigma [67]\.\d of 255\) will be amplified: run `restore denoise` first")
    assert all(expected.fullmatch(text) for text in warnings)


@pytest.mark.parametrize("seed", range(3))
def test_texture_is_no_noise_to_warn_of(twice: Path, fp32: Runtime, photograph: Smooth, seed: int) -> None:
    upscale = step("upscale", weights=twice, inference=InferenceOptions(fp32))
    assert upscale(StepImage(_noisy(photograph(192, 192, 3, seed), 0))).warnings == ()


def test_noise_is_not_warned_of_without_a_network_or_after_denoising(twice: Path, fp32: Runtime, smooth: Smooth) -> None:
    given = _noisy(smooth(192, 192, 3), 7)
    cubic = step("upscale", weights=twice, options={"strength": 0.0}, inference=InferenceOptions(fp32))
    assert cubic(StepImage(given)).warnings == ()
    plain = step("upscale", weights=twice, inference=InferenceOptions(fp32))
    assert plain(StepImage(given)).warnings != ()
    assert plain(StepImage(given, removed=NoiseLevel.gaussian(7))).warnings == ()
