"""Validation of real trainings: its metrics, its best weights, and that it changes no weight."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import restore
from restore import weights

TINY = {
    "network.widths": "8,8", "network.blocks": "1,1", "data.crop": "16", "loop.batch_size": "2", "loop.checkpoint_every": "4",
    "device": "cpu", "precision": "fp32",
}  # fmt: skip


@pytest.fixture
def photos(tmp_path: Path, smooth: object) -> Path:
    """Eight pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        Image.fromarray((smooth(40, 40, seed=number)[:, :, 0] * 255).astype("uint8")).save(folder / f"{number}.png")  # type: ignore[operator]
    return folder


def _rows(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row for row in rows if any(name.startswith("validation") for name in row)]


def test_a_run_keeps_its_best_weights_usable_by_name(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = {**TINY, "loop.steps": "6", "loop.validate_every": "2", "data.test_fraction": "0.25"}
    result = restore.train("denoise", photos, overrides=overrides, out="runs/mine")
    rows = _rows(tmp_path / "runs" / "mine")
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert {"validation psnr", "validation ssim"} <= set(rows[0])
    best = max(rows, key=lambda row: row["validation psnr"])
    recipe = weights.find(Path("mine-best")).recipe
    assert recipe["steps"] == best["step"]
    assert recipe["validation"]["psnr"] == pytest.approx(best["validation psnr"])
    assert result.weights == Path("runs/mine/mine.safetensors")
    assert restore.load("mine-best", device="cpu")


def test_validation_changes_no_weight(photos: Path, tmp_path: Path) -> None:
    tensors = []
    for name, every in (("with", "1"), ("without", "0")):
        overrides = {**TINY, "loop.steps": "5", "loop.validate_every": every, "data.test_fraction": "0.25"}
        restore.train("denoise", photos, overrides=overrides, out=tmp_path / name)
        tensors.append(weights.load(tmp_path / name / f"{name}.safetensors")[0])
    assert _rows(tmp_path / "with") and not _rows(tmp_path / "without")
    assert not (tmp_path / "without" / "without-best.safetensors").exists()
    assert all(torch.equal(tensors[0][key], tensors[1][key]) for key in tensors[1])


def test_settings_that_cannot_be_validated(photos: Path, tmp_path: Path) -> None:
    for overrides, words in (
        ({"loop.best_by": "pnsr"}, "did you mean psnr"),
        ({"loop.best_by": "ms-ssim"}, "176 x 176"),
        ({"loop.patience": "2", "data.test_fraction": "0"}, "hold pictures out"),
    ):
        with pytest.raises(ValueError, match=words):
            restore.train("denoise", photos, overrides={**TINY, "loop.steps": "2", **overrides}, out=tmp_path / "run")


def test_domains_are_scored_as_sets(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def features(pictures: list[np.ndarray]) -> np.ndarray:
        torch.rand(7)  # as building a backbone does
        return np.array([[picture.mean(), picture.std()] for picture in pictures])

    monkeypatch.setattr("restore.tasks.validating.features", features)
    for side in ("source", "target"):
        (tmp_path / "data" / side).mkdir(parents=True)
        for path in photos.iterdir():
            (tmp_path / "data" / side / path.name).write_bytes(path.read_bytes())
    overrides = {
        "generator.width": "4", "generator.blocks": "1", "data.crop": "32", "data.sides": "0,0", "data.channels": "1", "loop.steps": "6",
        "data.test_fraction": "0.3", "device": "cpu", "precision": "fp32", "discriminator.width": "4", "discriminator.label_noise": "0.5",
    }  # fmt: skip
    tensors = []
    for name, every in (("with", "1"), ("without", "0")):
        restore.train("cyclegan", tmp_path / "data", overrides={**overrides, "loop.validate_every": every}, out=tmp_path / name)
        tensors.append(weights.load(tmp_path / name / f"{name}.safetensors")[0])
    assert [set(row) for row in _rows(tmp_path / "with")] == [{"step", "validation kid"}] * 6
    assert (tmp_path / "with" / "with-best.safetensors").exists()
    assert all(torch.equal(tensors[0][key], tensors[1][key]) for key in tensors[1]), "validation changes no weight"


def test_what_is_refused_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    for overrides in ({"loop.trackers": "dvclive"}, {"loop.patience": "2", "loop.validate_every": "0"}):
        with pytest.raises(ValueError, match=r"pip install dvclive|loop\.patience"):
            restore.train("denoise", photos, overrides={**TINY, "loop.steps": "2", **overrides}, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_better_weights_of_a_killed_run_are_kept(photos: Path, tmp_path: Path) -> None:
    """Its checkpoint is older than they are."""
    run, overrides = tmp_path / "run", {**TINY, "loop.validate_every": "2", "data.test_fraction": "0.25"}
    restore.train("denoise", photos, overrides={**overrides, "loop.steps": "4"}, out=run)
    tensors, recipe = weights.load(run / "run-best.safetensors")
    weights.save(run / "run-best.safetensors", tensors, {**recipe, "steps": 5, "validation": {"psnr": 99.0}})
    before = (run / "run-best.safetensors").read_bytes()
    events: list[object] = []
    restore.train("denoise", photos, overrides={**overrides, "loop.steps": "8"}, out=run, resume=True, on_event=events.append)
    assert (run / "run-best.safetensors").read_bytes() == before
    assert [event for event in events if "validation" in str(event)] and not [event for event in events if "(best)" in str(event)]
