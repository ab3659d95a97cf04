"""Crops made in whole batches: those of the CPU's crops for equal draws, a function of the seed, and of equal distribution."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from restore.datasets import batch_degrade, degrade
from restore.datasets.batch_crops import BatchCrops, BatchDraws, PackedPictures
from restore.datasets.crops import Pictures, to_float

Photos = Callable[..., Path]
CPU = torch.device("cpu")
NOISE = degrade.NoiseConfig(sigma=(20.0, 20.0), poisson_fraction=0.5)


def _dataset(files: list[Path], channels: int = 1, **rest: Any) -> BatchCrops:
    settings = {"crop": 16, "seed": 1, "length": 12, "scales": (0.6, 1.0), "gain": (0.7, 1.0)}
    return BatchCrops(Pictures(files, channels), CPU, degradation=partial(batch_degrade.add_noise, config=NOISE), **{**settings, **rest})


def _expected(picture: np.ndarray, draws: BatchDraws, index: int, crop: int) -> np.ndarray:
    """The crop as the CPU's dataset cuts it."""
    side, top, left = (int(one[index]) for one in (draws.side, draws.top, draws.left))
    shortage = [max(0, side - length) for length in picture.shape[:2]]
    padded = np.pad(picture, ((0, shortage[0]), (0, shortage[1]), (0, 0)), mode="symmetric")
    piece = to_float(padded[top : top + side, left : left + side])
    if side != crop:
        piece = cv2.resize(piece, (crop, crop), interpolation=cv2.INTER_AREA).reshape(crop, crop, -1)
    piece = piece.transpose(1, 0, 2) if draws.transposed[index] else piece
    piece = piece[::-1] if draws.flipped_rows[index] else piece
    piece = piece[:, ::-1] if draws.flipped_columns[index] else piece
    return piece * draws.gain[index].numpy()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(40, 48), (11, 60)])
def test_crops_equal_those_of_the_cpu_for_equal_draws(photos: Photos, tmp_path: Path, channels: int, size: tuple[int, int]) -> None:
    files = sorted(photos(tmp_path, size=size, channels=channels).iterdir())
    dataset, pictures = _dataset(files, channels), Pictures(files, channels)
    draws = dataset.draw(24, torch.Generator().manual_seed(3))
    crops = dataset.crops(draws)
    assert draws.side.unique().numel() > 3 and draws.picture.unique().numel() == 3
    for index in range(24):
        picture = pictures.get(int(draws.picture[index]))
        assert picture is not None
        expected = _expected(picture, draws, index, 16).transpose(2, 0, 1)
        np.testing.assert_allclose(crops[index].numpy(), expected, atol=2e-6)


def test_sixteen_bits_stay_sixteen_bits() -> None:
    rng = np.random.default_rng(0)
    deep, eight = rng.integers(0, 65536, (9, 7, 1)).astype(np.uint16), rng.integers(0, 256, (5, 6, 1)).astype(np.uint8)
    packed = PackedPictures([deep, eight], CPU)
    none = torch.zeros(2, dtype=torch.int64)
    cut = packed.cut(BatchDraws(torch.tensor([0, 1]), none, none, none, none, none, none, none), 5)
    np.testing.assert_array_equal(cut[0, 0].numpy(), to_float(deep)[:5, :5, 0])
    np.testing.assert_array_equal(cut[1, 0].numpy(), to_float(eight)[:5, :5, 0])


def test_a_batch_is_a_function_of_seed_and_position(photos: Photos, tmp_path: Path) -> None:
    files = sorted(photos(tmp_path).iterdir())
    first, again, other = _dataset(files), _dataset(files), _dataset(files, seed=2)
    batches = [first.batch(start, 4) for start in (0, 4)]
    for start, batch in ((4, batches[1]), (0, batches[0])):
        assert all(torch.equal(again.batch(start, 4)[name], batch[name]) for name in ("input", "target", "noise"))
        assert not torch.equal(other.batch(start, 4)["target"], batch["target"])
    assert not torch.equal(batches[0]["target"], batches[1]["target"])
    assert batches[0]["input"].shape == batches[0]["target"].shape == (4, 1, 16, 16)
    assert batches[0]["noise"].shape == (4, 1, 16, 16)
    assert all(torch.equal(first[0][name], first.batch(0, 1)[name][0]) for name in batches[0])


def test_draws_cover_what_they_may_and_no_more(photos: Photos, tmp_path: Path) -> None:
    files = sorted(photos(tmp_path, size=(20, 31)).iterdir())
    draws = _dataset(files, scales=(0.8, 1.0), scaled_fraction=0.5).draw(4000, torch.Generator().manual_seed(0))
    assert set(draws.picture.tolist()) == {0, 1, 2}
    assert set(draws.side.tolist()) == {16, 17, 18, 19, 20}
    assert (draws.top + draws.side).max() == 20 and (draws.left + draws.side).max() == 31
    assert draws.top.min() == draws.left.min() == 0
    assert ((draws.side == 16).float().mean() - 0.5 - 0.5 / 8).abs() < 0.05
    turns = 4 * draws.transposed + 2 * draws.flipped_rows + draws.flipped_columns
    assert (turns.bincount(minlength=8) / 4000 - 1 / 8).abs().max() < 0.03
    upright = _dataset(files, upright=True).draw(100, torch.Generator().manual_seed(0))
    assert not upright.transposed.any() and not upright.flipped_rows.any() and 20 < int(upright.flipped_columns.sum()) < 80


def test_what_the_device_cannot_make_is_refused(photos: Photos, tmp_path: Path) -> None:
    files = sorted(photos(tmp_path).iterdir())
    with pytest.raises(ValueError, match=r"at most 1, not 1\.2"):
        _dataset(files, scales=(0.5, 1.2))
    broken = tmp_path / "broken.png"
    broken.write_bytes(files[0].read_bytes()[:60])
    with pytest.raises(ValueError, match="none of the 1 pictures"):
        _dataset([broken])
    assert len(_dataset([*files, broken]).packed.heights) == 3
