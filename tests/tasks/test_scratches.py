"""`restore train scratches`: it learns masks, its weights say what they are for, and inpainting does not take them for its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import restore
from restore import weights
from restore.tasks.scratches_training import ScratchesConfig, prepare
from restore.training import config

SMALL = {
    "network.width": "4", "network.levels": "2", "network.refine": "1", "data.crop": "32", "loop.steps": "2", "loop.batch_size": "2",
    "precision": "fp32", "defects.clean_fraction": "0",
}  # fmt: skip


def test_the_target_is_the_mask_of_the_defects(photos: Callable[..., Path], tmp_path: Path) -> None:
    dataset = prepare(photos(tmp_path / "in"), config.resolve(ScratchesConfig, None, SMALL)).dataset
    items = [dataset[index] for index in range(4)]
    for item in items:
        assert set(item["target"].unique().tolist()) <= {0.0, 1.0}
        assert item["input"].shape == item["target"].shape
        assert len(item["input"].unique()) > 2
    assert 0 < torch.stack([item["target"] for item in items]).mean() < 0.9


def test_it_learns_and_is_no_filler(photos: Callable[..., Path], tmp_path: Path) -> None:
    source = photos(tmp_path / "in")
    run = restore.train("scratches", source, overrides=SMALL, out=tmp_path / "run")
    assert run.weights is not None
    assert weights.entry(run.weights).recipe["task"] == "scratches"
    with pytest.raises(ValueError, match="a scratches model; inpaint needs an inpaint model"):
        restore.run("inpaint", source, tmp_path / "out", weights=run.weights, options={"alpha": True})
