"""Every task on a TIFF whose colours are multiplied by their alpha: no colour exceeds its alpha, what isn't touched stays."""

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

Make = Callable[..., torch.nn.Module]
SIZE = (48, 64)


def stored(dtype: type) -> np.ndarray:
    """Red under full, half and no alpha."""
    alpha = np.zeros(SIZE)
    alpha[5:40, 8:56] = 1
    alpha[15:25, 20:40] = 0.5
    colour = np.clip(np.array([0.9, 0.24, 0.12]) + np.random.default_rng(0).normal(0, 0.03, (*SIZE, 3)), 0, 1)
    full = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    whole = np.floor(alpha * full) if full > 1 else alpha
    made = np.dstack([colour * whole[..., None], whole])
    return (np.floor(made) if full > 1 else made).astype(dtype)


@pytest.fixture
def networks(tiny: Make, tmp_path: Path, tiny_variants: dict[str, dict[str, Any]]) -> dict[str, Path]:
    """Weights for each task, good for nothing."""
    made = {}
    for task, network in (("denoise", "unet"), ("upscale", "upscaler"), ("inpaint", "inpainter"), ("enhance", "lut")):
        made[task] = tmp_path / f"{task}.safetensors"
        settings = {"channels": 3, **tiny_variants[network]}
        weights.save(made[task], tiny(network, 3).state_dict(), {"task": task, "network": network, "settings": settings})
    return made


TASKS: list[tuple[str, dict[str, Any]]] = [
    ("denoise", {"noise_level": 20}),
    ("denoise", {"strength": 0}),
    ("upscale", {}),
    ("upscale", {"strength": 0}),
    ("upscale", {"scale": 1.5}),
    ("inpaint", {"alpha": True}),
    ("inpaint", {"masks": "mask.png"}),
    ("enhance", {}),
    ("enhance", {"exposure": 0, "contrast": 0, "local_contrast": 0, "sharpness": 0}),
]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(("task", "options"), TASKS)
def test_no_colour_exceeds_its_alpha(networks: dict[str, Path], tmp_path: Path, dtype: type, task: str, options: dict[str, Any]) -> None:
    source = tmp_path / "in" / "a.tif"
    source.parent.mkdir()
    before = stored(dtype)
    tifffile.imwrite(source, before, photometric="rgb", extrasamples=["assocalpha"], metadata=None)
    if "masks" in options:
        mask = np.zeros(SIZE, np.uint8)
        mask[18:30, 2:30] = 255
        Image.fromarray(mask).save(tmp_path / "mask.png")
        options = {"masks": tmp_path / "mask.png"}
    report = restore.run(task, source, tmp_path / "out", weights=networks[task], options=options, precision="fp32")
    (record,) = report.records
    assert not record.error and record.output is not None
    with tifffile.TiffFile(record.output) as file:
        assert file.pages[0].extrasamples == (1,)
        after = file.asarray().astype(np.float64)
    assert (after[..., :3] <= after[..., 3:] * (1 + 1e-7)).all()
    assert (after[after[..., 3] == 0] == 0).all()
    if options.get("alpha"):
        full = before[..., 3].max()
        assert (after[..., 3][before[..., 3] < full / 2] == full).all()
        assert after[0, 0, :3].max() > 0
    elif task == "inpaint":
        outside = mask == 0
        assert np.array_equal(after[outside], before[outside])
    elif task in ("denoise", "enhance"):
        assert np.array_equal(after[..., 3], before[..., 3])
        assert np.array_equal(after, before) == (0 in options.values())
    else:
        half = np.abs(after[..., 3] / before[..., 3].max() - 0.5) < 0.01
        reds = after[half][:, 0] / after[half][:, 3]
        assert abs(np.median(reds) - 0.9) < (0.05 if options == {"strength": 0} else 0.3)
