"""Sharpening end to end: sharp pictures, colours, ranges and bit depths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

import restore
from restore.images.luma import luma
from restore.inference import sharpener


@pytest.fixture
def scene(photograph: Callable[..., np.ndarray]) -> np.ndarray:
    """A sharp picture, (96, 120, 3) float32."""
    return photograph(96, 120, 3)


def _run(source: Path, out: Path, **rest: Any) -> Any:
    report = restore.run("sharpen", source, out, **rest)
    assert not report.failed, [record.error for record in report.records]
    return report.records[0]


def test_a_sharp_file_is_copied_and_a_blurred_one_is_not(photograph: Callable[..., np.ndarray], tmp_path: Path) -> None:
    scene = photograph(channels=3)
    soft = cv2.GaussianBlur(scene, (0, 0), 1.5)
    for name, picture in (("sharp", scene), ("soft", soft)):
        Image.fromarray(np.rint(255 * picture).astype(np.uint8)).save(tmp_path / f"{name}.png")
    record = _run(tmp_path / "sharp.png", tmp_path / "out")
    assert record.stats["blur"] == 0
    assert record.output.read_bytes() == (tmp_path / "sharp.png").read_bytes()
    record = _run(tmp_path / "soft.png", tmp_path / "out")
    assert record.stats["blur"] == pytest.approx(1.5, rel=0.3)
    with Image.open(record.output) as result:
        error = np.mean((np.asarray(result) / 255 - scene) ** 2)
    assert error < 0.75 * np.mean((soft - scene) ** 2)
    record = _run(tmp_path / "sharp.png", tmp_path / "told", options={"blur": 1.2})
    assert record.stats["blur"] == 1.2
    assert record.output.read_bytes() != (tmp_path / "sharp.png").read_bytes()


def test_all_colours_get_the_correction_of_the_luma(scene: np.ndarray) -> None:
    soft = cv2.GaussianBlur(scene, (0, 0), 1.5)
    sharpened, _ = sharpener.sharpen(soft, 1.5)
    change = sharpened - soft
    assert np.abs(change).max() > 0.02
    np.testing.assert_allclose(change, np.repeat(change[:, :, :1], 3, axis=2), atol=1e-6)
    gray, _ = sharpener.sharpen(luma(soft)[:, :, None], 1.5)
    np.testing.assert_allclose(luma(sharpened), gray[:, :, 0], atol=1e-5)
    half, _ = sharpener.sharpen(soft, 1.5, 0.5)
    np.testing.assert_allclose(half - soft, change / 2, atol=1e-6)


@pytest.mark.parametrize("levels", [255, 4095, 65535])
def test_every_range_is_sharpened_alike(scene: np.ndarray, tmp_path: Path, levels: int) -> None:
    sharp = scene[:, :, 1]
    soft = cv2.GaussianBlur(sharp, (0, 0), 1.5)
    tifffile.imwrite(tmp_path / "a.tif", np.rint(levels * soft).astype(np.uint8 if levels == 255 else np.uint16))
    record = _run(tmp_path / "a.tif", tmp_path / "out", options={"blur": 1.5})
    result = tifffile.imread(record.output)
    assert result.dtype == (np.uint8 if levels == 255 else np.uint16)
    assert np.mean((result / levels - sharp) ** 2) < 0.6 * np.mean((soft - sharp) ** 2)


def test_noise_is_measured_and_not_strengthened(scene: np.ndarray) -> None:
    noisy = cv2.GaussianBlur(scene, (0, 0), 1.0) + np.random.default_rng(0).normal(0, 8 / 255, scene.shape).astype(np.float32)
    sharpened, noise = sharpener.sharpen(noisy, 1.0)
    assert noise == pytest.approx(8 * np.sqrt(np.sum(np.square([0.299, 0.587, 0.114]))), rel=0.4)
    assert np.mean((sharpened - scene) ** 2) < 1.1 * np.mean((noisy - scene) ** 2)


def test_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sharpen has no weights"):
        restore.run("sharpen", tmp_path, tmp_path / "out", weights="denoise-gray")
