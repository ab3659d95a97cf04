"""`restore train denoise --self-supervised`: noisy pictures alone, resumed bit for bit, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch

import restore
from restore import weights
from restore.tasks.self_supervision import folder_noise
from restore.training.journal import Progress

Smooth = Callable[..., np.ndarray]
SMALL = {
    "network.widths": "8,12", "network.blocks": "1,1", "data.crop": "32", "loop.batch_size": "4", "loop.steps": "4", "loop.workers": "0",
    "precision": "fp32", "device": "cpu", "self_supervised": "true", "losses.pixel": "l2",
}  # fmt: skip


@pytest.fixture
def noisy(tmp_path: Path, smooth: Smooth) -> Path:
    """Noisy pictures of 16 bits and of 8."""
    folder = tmp_path / "noisy"
    folder.mkdir()
    for seed in range(4):
        picture = smooth(96, 96, seed=seed) + np.random.default_rng(seed).normal(0, 0.06, (96, 96, 1))
        if seed:
            tifffile.imwrite(folder / f"{seed}.tif", np.rint(np.clip(picture[:, :, 0], 0, 1) * 65535).astype(np.uint16))
        else:
            cv2.imwrite(str(folder / "0.png"), np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
    return folder


def test_a_resumed_run_equals_a_straight_one(noisy: Path, tmp_path: Path) -> None:
    straight = restore.train("denoise", noisy, out=tmp_path / "straight", overrides=SMALL)
    restore.train("denoise", noisy, out=tmp_path / "halved", overrides=SMALL | {"loop.steps": "2"})
    resumed = restore.train("denoise", noisy, out=tmp_path / "halved", overrides={"loop.steps": "4"}, resume=True)
    assert straight.weights is not None and resumed.weights is not None
    first, second = (weights.load(path)[0] for path in (straight.weights, resumed.weights))
    assert all((value == second[name]).all() for name, value in first.items())
    assert "white" in str(straight.stats["noise"])


def test_it_learns_to_denoise_without_clean_pictures(noisy: Path, tmp_path: Path, smooth: Smooth) -> None:
    more = {"loop.steps": "40", "optimizer.warmup_steps": "5", "optimizer.ema": "0.8"}
    result = restore.train("denoise", noisy, out=tmp_path / "run", overrides=SMALL | more)
    assert result.weights is not None
    clean = smooth(96, 96, seed=9)
    picture = clean + np.random.default_rng(9).normal(0, 0.06, clean.shape).astype(np.float32)
    restored = restore.load(result.weights, precision="fp32").denoise(picture)[0]
    assert np.square(restored - clean).mean() < 0.3 * np.square(picture - clean).mean()


def test_a_dry_run_says_what_the_noise_is(noisy: Path) -> None:
    result = restore.train("denoise", noisy, overrides=SMALL, dry_run=True)
    assert "sigma" in str(result.stats["noise"])


@pytest.mark.parametrize(("overrides", "word"), [({"losses.pixel": "l1"}, "losses.pixel=l2"), ({"losses.lpips_weight": "1"}, "noisy")])
def test_losses_that_need_clean_targets_are_refused(noisy: Path, overrides: dict[str, str], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        restore.train("denoise", noisy, overrides=SMALL | overrides, dry_run=True)


def test_pictures_without_noise_are_refused(tmp_path: Path, smooth: Smooth) -> None:
    for seed in range(3):
        tifffile.imwrite(tmp_path / f"{seed}.tif", (smooth(96, 96, seed=seed)[:, :, 0] * 65535).astype(np.uint16))
    with pytest.raises(ValueError, match="hardly any noise"):
        restore.train("denoise", tmp_path, overrides=SMALL, dry_run=True)


def test_correlated_noise_is_measured_or_refused(smooth: Smooth) -> None:
    spec = restore.load("denoise-xray", precision="fp32").spec
    noise = cv2.blur(np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32), (3, 3))[:, :, None] * np.float32(0.2)
    assert "correlated" in folder_noise([smooth(300, 300) + noise], spec).text
    with pytest.raises(ValueError, match="too little flat area"):
        folder_noise([smooth(48, 48) + noise[:48, :48]], spec)


def _floats(folder: Path, smooth: Smooth, *, missing: bool) -> Path:
    folder.mkdir()
    for seed in range(3):
        picture = smooth(128, 128, seed=seed)[:, :, 0] + np.random.default_rng(seed).normal(0, 0.06, (128, 128))
        if missing:
            picture[:50, :60] = np.nan
        tifffile.imwrite(folder / f"{seed}.tif", picture.astype(np.float32))
    return folder


def test_pixels_without_a_value_are_no_noise(tmp_path: Path, smooth: Smooth) -> None:
    sigmas = []
    for missing in (False, True):
        folder = _floats(tmp_path / f"missing-{missing}", smooth, missing=missing)
        noise = str(restore.train("denoise", folder, overrides=SMALL, dry_run=True).stats["noise"])
        sigmas.append(float(noise.split()[1]))
    assert sigmas[1] == pytest.approx(sigmas[0], rel=0.1)


def test_files_that_cannot_be_read_are_left_out(noisy: Path) -> None:
    for index in range(40):
        (noisy / f"1{index}.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    result = restore.train("denoise", noisy, overrides=SMALL | {"data.test_fraction": "0"}, dry_run=True)
    assert "sigma" in str(result.stats["noise"])


def test_a_run_does_not_change_what_it_learns_from(noisy: Path, tmp_path: Path) -> None:
    clean = SMALL | {"self_supervised": "false"}
    for name, begun, other in (("of-noisy", SMALL, "false"), ("of-clean", clean, "true")):
        restore.train("denoise", noisy, out=tmp_path / name, overrides=begun)
        with pytest.raises(ValueError, match=r"was begun on (noisy|clean) pictures.* cannot go on with"):
            restore.train("denoise", noisy, out=tmp_path / name, overrides={"self_supervised": other, "loop.steps": "6"}, resume=True)


def test_changed_settings_of_a_resumed_run_are_reported(noisy: Path, tmp_path: Path) -> None:
    restore.train("denoise", noisy, out=tmp_path / "run", overrides=SMALL)
    texts: list[object] = []
    changed = {"loop.steps": "5", "optimizer.learning_rate": "0.001"}
    restore.train("denoise", noisy, out=tmp_path / "run", overrides=changed, resume=True, on_event=texts.append)
    (text,) = [str(one) for one in texts if "goes on with other settings" in str(one)]
    assert "optimizer.learning_rate from " in text and "loop.steps" not in text


@pytest.mark.parametrize("key", ["loop.batch_size", "loop.accumulate"])
def test_a_changed_batch_of_a_resumed_run_is_reported(noisy: Path, tmp_path: Path, key: str) -> None:
    restore.train("denoise", noisy, out=tmp_path / "run", overrides=SMALL | {"loop.batch_size": "4"})
    texts: list[object] = []
    restore.train("denoise", noisy, out=tmp_path / "run", overrides={"loop.steps": "5", key: "2"}, resume=True, on_event=texts.append)
    (text,) = [str(one) for one in texts if "goes on with other settings" in str(one)]
    assert f"{key} from " in text and "loop.steps" not in text


def test_upright_crops_are_not_turned(noisy: Path, tmp_path: Path) -> None:
    tensors = []
    for upright in ("false", "true"):
        result = restore.train("denoise", noisy, out=tmp_path / upright, overrides=SMALL | {"data.upright": upright})
        assert result.weights is not None
        tensors.append(weights.load(result.weights)[0])
    assert any(not torch.equal(tensors[0][key], tensors[1][key]) for key in tensors[0])


def test_generated_pictures_are_refused(noisy: Path) -> None:
    overrides = SMALL | {"augment_with": "xray-generator", "augment_fraction": "0.5", "data.channels": "1"}
    with pytest.raises(ValueError, match="generated ones have no noise: leave augment_with out"):
        restore.train("denoise", noisy, overrides=overrides, dry_run=True)


def test_a_dataset_that_goes_away_costs_no_step(noisy: Path, tmp_path: Path) -> None:
    def rename(event: object) -> None:
        if isinstance(event, Progress) and noisy.exists():
            noisy.rename(tmp_path / "elsewhere")

    restore.train("denoise", noisy, out=tmp_path / "run", overrides=SMALL | {"loop.log_every": "1"}, on_event=rename)
    assert not noisy.exists() and weights.entry(tmp_path / "run" / "run.safetensors").recipe["dataset"] == "noisy"
