"""`restore train denoise --self-supervised`: noisy pictures alone, resumed bit for bit, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

import restore
from restore import weights
from restore.tasks.self_supervision import folder_noise

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
