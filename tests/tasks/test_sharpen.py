"""Sharpening end to end: sharp pictures, colours, ranges, tiles and training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import restore
from restore import networks, weights
from restore.images.luma import chroma, luma
from restore.inference.loading import InferenceOptions
from restore.inference.sharpener import Sharpener
from restore.runtime import Runtime

SETTINGS: dict[str, Any] = {"channels": 1, "widths": [8, 12], "blocks": [1, 1], "condition": "blur"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Weights whose correction shows."""
    torch.manual_seed(1)  # a value between two integers may be rounded up in a file and down in an array
    network = networks.build("unet", **SETTINGS)
    tensors = {key: 3 * value if key == "tail.weight" else value for key, value in network.state_dict().items()}
    path = tmp_path / "sharpener.safetensors"
    weights.save(path, tensors, {"task": "sharpen", "network": "unet", "settings": SETTINGS})
    return path


@pytest.fixture
def scene(photograph: Callable[..., np.ndarray]) -> np.ndarray:
    """A sharp picture, (96, 120, 3) float32."""
    return photograph(96, 120, 3)


def _write_pages(path: Path, pages: list[np.ndarray]) -> None:
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page, photometric="minisblack")


def _run(source: Path, out: Path, file: Path, **rest: Any) -> Any:
    report = restore.run("sharpen", source, out, weights=file, precision="fp32", **rest)
    assert not report.failed, [record.error for record in report.records]
    return report.records[0]


def test_a_sharp_file_is_copied_and_a_blurred_one_is_not(file: Path, scene: np.ndarray, tmp_path: Path) -> None:
    for name, picture in (("sharp", scene), ("soft", cv2.GaussianBlur(scene, (0, 0), 1.5))):
        Image.fromarray(np.rint(255 * picture).astype(np.uint8)).save(tmp_path / f"{name}.png")
    record = _run(tmp_path / "sharp.png", tmp_path / "out", file)
    assert record.stats["blur"] == 0
    assert record.output.read_bytes() == (tmp_path / "sharp.png").read_bytes()
    record = _run(tmp_path / "soft.png", tmp_path / "out", file)
    assert record.stats["blur"] == pytest.approx(1.5, rel=0.3)
    assert record.output.read_bytes() != (tmp_path / "soft.png").read_bytes()
    record = _run(tmp_path / "sharp.png", tmp_path / "specified", file, options={"blur": 1.2})
    assert record.stats["blur"] == 1.2
    assert record.output.read_bytes() != (tmp_path / "sharp.png").read_bytes()


def test_the_luma_is_that_of_the_gray_picture_and_colours_are_sharpened(
    file: Path, photograph: Callable[..., np.ndarray], fp32: Runtime
) -> None:
    scene = photograph(160, 200, 3)
    model = Sharpener.load(file, InferenceOptions(fp32))
    soft = cv2.GaussianBlur(scene, (0, 0), 1.5)
    sharpened, noise, _ = model.sharpen(soft, 1.5)
    assert noise == pytest.approx(0.3, abs=0.2)
    gray, _, _ = model.sharpen(luma(soft)[:, :, None], 1.5)
    assert np.abs(gray - luma(soft)[:, :, None]).max() > 0.02
    np.testing.assert_allclose(luma(sharpened)[:, :, None], gray, atol=1e-5)
    assert np.mean((chroma(sharpened) - chroma(scene)) ** 2) < 0.6 * np.mean((chroma(soft) - chroma(scene)) ** 2)
    equal, _, _ = model.sharpen(np.repeat(luma(soft)[:, :, None], 3, axis=2), 1.5)
    np.testing.assert_allclose(equal, np.repeat(gray, 3, axis=2), atol=1e-5)


def test_the_width_and_the_strength_count(file: Path, scene: np.ndarray, fp32: Runtime) -> None:
    model = Sharpener.load(file, InferenceOptions(fp32))
    narrow, wide = model(scene, 0.8), model(scene, 2.5)
    assert np.abs(narrow - wide).max() > 1e-3
    np.testing.assert_allclose(model(scene, 2.5, strength=0.5) - scene, (wide - scene) / 2, atol=1e-5)
    np.testing.assert_array_equal(model(scene, 0.0), scene)


def test_sixteen_bits_of_twelve_are_stretched_for_the_network(file: Path, scene: np.ndarray, tmp_path: Path, fp32: Runtime) -> None:
    soft = cv2.GaussianBlur(scene[:, :, 1], (0, 0), 1.5)
    twelve = np.rint(4095 * soft).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", twelve)
    record = _run(tmp_path / "a.tif", tmp_path / "out", file, options={"blur": 1.5})
    result = tifffile.imread(record.output)
    assert result.dtype == np.uint16
    # its range is a sixteenth of 16 bits: the network sees it from black to white
    low, high = float(soft.min()), float(soft.max())
    model = Sharpener.load(file, InferenceOptions(fp32))
    expected = low + (high - low) * model.sharpen(((soft - low) / (high - low))[:, :, None], 1.5)[0][:, :, 0]
    assert np.abs(expected - soft).max() > 0.05
    assert np.abs(result / 4095 - expected).mean() < 0.15 * np.abs(expected - soft).mean()


def test_pages_of_a_film_are_sharpened_by_one_width(file: Path, photograph: Callable[..., np.ndarray], tmp_path: Path) -> None:
    soft, random = cv2.GaussianBlur(photograph(160, 200)[:, :, 0], (0, 0), 1.6), np.random.default_rng(3)
    pages = [
        np.rint(255 * (soft + random.normal(0, sigma / 255, soft.shape))).astype(np.uint8) for sigma in (0.2, 1.5, 0.4, 2.5, 1, 2, 0.3)
    ]
    _write_pages(tmp_path / "film.tif", pages)
    record = _run(tmp_path / "film.tif", tmp_path / "out", file)
    for index, page in enumerate(pages):
        _write_pages(tmp_path / f"page{index}.tif", [page])
    own = [_run(tmp_path / f"page{index}.tif", tmp_path / "out", file).stats["blur"] for index in range(len(pages))]
    assert len(set(own)) > 3, "the estimates differ from page to page"
    assert record.frames == 7 and record.stats["blur"] in own, "one value: that of all pages"
    assert record.stats["blur"] == sorted(own[index] for index in (0, 2, 3, 4, 6))[2], "the median of five pages"
    specified = _run(tmp_path / "page5.tif", tmp_path / "specified", file, options={"blur": record.stats["blur"]})
    shift = np.abs(tifffile.imread(record.output, key=5).astype(int) - tifffile.imread(specified.output))
    assert shift.max() <= 1, "the page is sharpened by that width, which the stats round"


def test_a_file_of_one_page_is_sharpened_as_its_array(file: Path, scene: np.ndarray, tmp_path: Path, fp32: Runtime) -> None:
    soft = np.rint(255 * cv2.GaussianBlur(scene[:, :, 1], (0, 0), 1.5)).astype(np.uint8)
    _write_pages(tmp_path / "a.tif", [soft])
    record = _run(tmp_path / "a.tif", tmp_path / "out", file)
    assert record.stats["blur"] > 0
    np.testing.assert_array_equal(tifffile.imread(record.output), Sharpener.load(file, InferenceOptions(fp32))(soft))


def test_tiles_are_the_whole_picture(file: Path, scene: np.ndarray, fp32: Runtime) -> None:
    picture = np.tile(scene, (2, 2, 1))[:171, :203]
    whole, tiled = (Sharpener.load(file, InferenceOptions(fp32, tile)).sharpen(picture, 2.0)[0] for tile in (0, 128))
    assert np.abs(whole - picture).max() > 0.02
    np.testing.assert_allclose(tiled, whole, atol=1 / 255)


def test_other_networks_are_refused(tiny: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="does not take a gray picture and its blur"):
        Sharpener(tiny())


def test_it_is_trained_and_used_by_its_name(photos: Any, own_weights: Path) -> None:
    assert own_weights.is_dir()
    small = {"network.widths": "8,12", "network.blocks": "1,1", "data.crop": "32", "loop.batch_size": "2", "loop.steps": "2"}
    restore.train("sharpen", photos(Path("photos")), overrides=small, out="runs/a")
    recipe = weights.find("runs/a").recipe
    assert (recipe["task"], recipe["settings"]["condition"], recipe["training"]["blur"]["motion_fraction"]) == ("sharpen", "blur", 0.1)
    assert isinstance(restore.load("a"), Sharpener)


@pytest.mark.parametrize(("quality", "warned"), [(60, True), (95, False)])
def test_artefacts_of_jpeg_are_warned_of(file: Path, scene: np.ndarray, tmp_path: Path, quality: int, warned: bool) -> None:
    Image.fromarray(np.rint(255 * cv2.GaussianBlur(scene, (0, 0), 1.5)).astype(np.uint8)).save(tmp_path / "a.jpg", quality=quality)
    record = _run(tmp_path / "a.jpg", tmp_path / "out", file, options={"blur": 1.5})
    assert any("run `restore artifacts` first" in warning for warning in record.warnings) == warned


def test_a_frame_does_not_ring(scene: np.ndarray, fp32: Runtime) -> None:
    """The edge of a mat is not blurred; a filter that took it for blurred would put stripes beside it."""
    sharpener = restore.load("sharpen", device="cpu", precision="fp32")
    blurred = cv2.GaussianBlur(np.repeat(scene.reshape(*scene.shape[:2], -1)[:, :, :1], 3, 2).astype(np.float32), (0, 0), 1.2)
    framed = np.zeros((blurred.shape[0] + 12, blurred.shape[1] + 12, 3), np.float32)
    framed[6:-6, 6:-6] = blurred
    alone, within = sharpener(blurred, 1.2), sharpener(framed, 1.2)
    assert np.array_equal(within[:6], framed[:6]) and np.array_equal(within[:, -6:], framed[:, -6:])
    assert np.abs(within[6:-6, 6:-6] - alone).mean() < 0.4 * np.abs(alone - blurred).mean()
