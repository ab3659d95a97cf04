"""Training whose batches are made on the device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import restore
from restore import weights
from restore.training import checkpoint

Photos = Callable[..., Path]
BASE = {
    "data.crop": "16", "data.on_device": "true", "data.scales": "0.6,1", "loop.batch_size": "4", "precision": "fp32", "device": "cpu",
    "loop.validate_every": "2",
}  # fmt: skip
UNET = {"network.widths": "8,8", "network.blocks": "1,1"}
METHODS = {
    "denoise": {**UNET, "noise.poisson_fraction": "0.5", "noise.round_fraction": "0.5"},
    "upscale": {"network.width": "8", "network.blocks": "1", "scale": "2"},
    "artifacts": {**UNET, "network.chroma_widths": "8,8"},
}


def _train(folder: Path, out: str, method: str, steps: int, **rest: str | bool) -> Path:
    resume = bool(rest.pop("resume", False))
    overrides = {**BASE, **METHODS.get(method, {}), "loop.steps": str(steps), **{key: str(value) for key, value in rest.items()}}
    result = restore.train(method, folder, overrides=overrides, out=out, resume=resume)
    assert result.weights is not None
    return result.weights


@pytest.mark.parametrize("method", METHODS)
def test_a_run_trains_and_is_resumed_bit_for_bit(photos: Photos, own_weights: Path, method: str) -> None:
    assert own_weights.is_dir()
    folder = photos(Path("photos"), count=4, channels=3)
    straight = _train(folder, "runs/straight", method, 4)
    _train(folder, "runs/halves", method, 2)
    halves = _train(folder, "runs/halves", method, 4, resume=True)
    first, again = weights.load(straight)[0], weights.load(halves)[0]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert checkpoint.load(halves.parent)["step"] == 4
    assert '"validation psnr"' in (halves.parent / "log.jsonl").read_text()
    following = _train(folder, "runs/following", method, 1, start_from=str(straight), **{"data.on_device": "false"})
    assert following.is_file()


def test_what_cannot_be_made_on_the_device_is_refused(photos: Photos, own_weights: Path) -> None:
    assert own_weights.is_dir()
    folder = photos(Path("photos"), channels=3)
    for method, more in (("sharpen", {}), ("upscale", {"downscaling.kind": "real"}), ("denoise", {"data.scales": "0.5,1.5"}),
                         ("denoise", {"noise.camera_fraction": "0.5"})):  # fmt: skip
        with pytest.raises(ValueError, match=r"data\.on_device"):
            restore.train(method, folder, overrides={**BASE, **more}, out="runs/none")
    assert not Path("runs/none").exists()
