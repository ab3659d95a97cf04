"""Colours that alpha 0 hides: no visible pixel depends on them, and they come back as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import restore
from restore import weights
from restore.images import read
from restore.images.frame import Frame
from restore.images.mappings import plain

Make = Callable[..., torch.nn.Module]
Smooth = Callable[..., np.ndarray]
MAGENTA, BLACK = (255, 0, 255), (0, 0, 0)
TASKS: list[tuple[str, dict[str, Any]]] = [
    ("denoise", {"noise_level": 20}),
    ("denoise", {}),
    ("upscale", {}),
    ("inpaint", {"masks": "mask.png"}),
    ("inpaint", {"masks": "mask.png", "method": "telea"}),
    ("inpaint", {"alpha": True}),
    ("enhance", {}),
    ("colorize", {}),
    ("sharpen", {"blur": 1.0}),
]
NETWORKS = {"denoise": "unet", "upscale": "upscaler", "inpaint": "inpainter", "enhance": "lut", "colorize": "colorizer"}


def cut_out(smooth: Smooth, hidden: tuple[int, int, int]) -> np.ndarray:
    """(72, 90, 4) uint8: a disc of a noisy picture, with `hidden` colours around it."""
    y, x = np.mgrid[:72, :90]
    alpha = np.clip((32 - np.hypot(y - 36, x - 45)) / 4, 0, 1)
    colour = smooth(72, 90, 3) + np.random.default_rng(0).normal(0, 0.05, (72, 90, 3))
    made = np.dstack([np.clip(colour, 0, 1), alpha])
    stored = np.rint(made * 255).astype(np.uint8)
    stored[stored[..., 3] == 0, :3] = hidden
    return stored


@pytest.fixture
def networks(tiny: Make, tmp_path: Path, tiny_variants: dict[str, dict[str, Any]]) -> dict[str, Path]:
    """Weights for each task, good for nothing."""
    made = {}
    for task, network in NETWORKS.items():
        made[task] = tmp_path / f"{task}.safetensors"
        settings = {"channels": 3, **tiny_variants[network]}
        weights.save(made[task], tiny(network, 3).state_dict(), {"task": task, "network": network, "settings": settings})
    return made


@pytest.mark.parametrize(("task", "options"), TASKS)
def test_no_hidden_colour_becomes_visible(
    networks: dict[str, Path], tmp_path: Path, smooth: Smooth, task: str, options: dict[str, Any]
) -> None:
    (tmp_path / "in").mkdir()
    for name, hidden in (("magenta", MAGENTA), ("black", BLACK)):
        Image.fromarray(cut_out(smooth, hidden)).save(tmp_path / "in" / f"{name}.png")
    if "masks" in options:
        mask = np.zeros((72, 90), np.uint8)
        mask[30:40, 10:50] = 255
        Image.fromarray(mask).save(tmp_path / "mask.png")
        options = {**options, "masks": tmp_path / "mask.png"}
    report = restore.run(task, tmp_path / "in", tmp_path / "out", weights=networks.get(task), options=options, precision="fp32")
    assert [record.error for record in report.records] == ["", ""]
    first, second = (np.asarray(Image.open(tmp_path / "out" / f"{name}.png")).astype(int) for name in ("magenta", "black"))
    assert np.array_equal(first[..., 3], second[..., 3])
    visible = first[..., 3] > 0
    assert np.abs(first - second)[visible].max() <= 1
    if not visible.all():
        hidden = ~visible if task != "upscale" else np.s_[:8, :8]  # elsewhere, enlarged alpha may hide what was visible
        assert (first[hidden][..., :3] == MAGENTA).all() and (second[hidden][..., :3] == BLACK).all()


def test_arrays_hide_colours_too(networks: dict[str, Path], smooth: Smooth) -> None:
    for task in ("denoise", "upscale", "colorize"):
        restorer = restore.load(networks[task], precision="fp32")
        for dtype in (np.uint8, np.uint32):
            scale = np.iinfo(dtype).max // 255
            first, second = (restorer(cut_out(smooth, hidden).astype(dtype) * scale) for hidden in (MAGENTA, BLACK))
            visible = first[..., 3] > 0
            assert (np.maximum(first, second) - np.minimum(first, second))[visible].max() <= scale
            if task != "upscale":
                assert (first[~visible][:, :3] == np.multiply(MAGENTA, scale)).all()


@pytest.mark.parametrize("alpha", [0, 1, 200, 255])
def test_an_equal_alpha_hides_nothing(smooth: Smooth, alpha: int) -> None:
    stored = cut_out(smooth, MAGENTA)
    stored[..., 3] = alpha
    frame = Frame(stored, plain(stored))
    assert frame.visible() is None
    np.testing.assert_array_equal(np.rint(frame.normalized() * 255), stored[..., :3])
    changed = frame.encode(1 - frame.normalized())
    np.testing.assert_array_equal(changed[..., :3], 255 - stored[..., :3])


def test_a_transparent_colour_is_hidden(tmp_path: Path, smooth: Smooth) -> None:
    stored = cut_out(smooth, MAGENTA)
    Image.fromarray(stored[..., :3].copy()).save(tmp_path / "a.png", transparency=MAGENTA)
    seen = read(tmp_path / "a.png").frame(0).normalized()
    np.testing.assert_allclose(seen[0, 0], seen[stored[..., 3] > 0].mean(0), atol=0.3)
    assert np.abs(seen[0, 0] - np.divide(MAGENTA, 255)).max() > 0.3


def test_what_is_hidden_and_not_finite_stays(tmp_path: Path, smooth: Smooth, networks: dict[str, Path]) -> None:
    stored = cut_out(smooth, MAGENTA).astype(np.float32) / 255
    stored[0, 0, :3] = np.nan
    stored[36, 45, 0] = np.nan
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", stored, photometric="rgb", extrasamples=["unassalpha"])
    restore.run("denoise", tmp_path / "in", tmp_path / "out", weights=networks["denoise"], options={"noise_level": 20}, precision="fp32")
    after = tifffile.imread(tmp_path / "out" / "a.tif")
    hidden = stored[..., 3] == 0
    np.testing.assert_array_equal(after[hidden], stored[hidden])
    assert np.isnan(after[36, 45, 0]) and np.isfinite(after[36, 46]).all()


def test_a_mask_is_read_as_it_is_stored(networks: dict[str, Path], tmp_path: Path, smooth: Smooth) -> None:
    """White strokes on a transparent layer, as an editor exports them: the layer's colour is black."""
    pixels = np.rint(smooth(72, 90, 3) * 255).astype(np.uint8)
    mask = np.zeros((72, 90, 4), np.uint8)
    mask[30:40, 10:50] = 255
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels).save(tmp_path / "in" / "a.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    options = {"masks": tmp_path / "mask.png"}
    report = restore.run("inpaint", tmp_path / "in", tmp_path / "out", weights=networks["inpaint"], options=options, precision="fp32")
    assert not report.failed
    after = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    np.testing.assert_array_equal(after[mask[..., 3] == 0], pixels[mask[..., 3] == 0])
