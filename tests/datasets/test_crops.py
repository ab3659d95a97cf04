"""Training crops: a function of seed and index alone, whatever the pictures are like."""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch.utils.data import DataLoader

from restore.datasets import crops, degrade
from restore.datasets.crops import DegradedCrops, Pictures, noisy_part
from restore.images import ImageError

Photos = Callable[..., Path]
NOISE = degrade.NoiseConfig(sigma=(20.0, 20.0), poisson_fraction=0.5)


def _dataset(files: list[Path], **rest: Any) -> DegradedCrops:
    channels = rest.pop("channels", 1)
    settings = {"crop": 16, "seed": 1, "length": 12, "scales": (0.6, 1.0), "gain": (0.7, 1.0)}
    return DegradedCrops(Pictures(files, channels), degradation=partial(degrade.add_noise, config=NOISE), **{**settings, **rest})  # type: ignore[arg-type]


def _same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[key], second[key]) for key in ("input", "target", "noise"))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("stored", [1, 3])
def test_items_have_the_shapes_they_claim(photos: Photos, tmp_path: Path, channels: int, stored: int) -> None:
    files = sorted(photos(tmp_path, channels=stored).iterdir())
    for index in range(6):
        item = _dataset(files, channels=channels)[index]
        assert item["input"].shape == item["target"].shape == (channels, 16, 16)
        assert item["noise"].shape == (1, 16, 16)
        assert {value.dtype for value in item.values()} == {torch.float32}
        assert item["target"].min() >= 0
        assert item["target"].max() <= 1
        assert not torch.equal(item["target"], item["input"])


def test_an_item_depends_on_seed_and_index_alone(photos: Photos, tmp_path: Path) -> None:
    files = sorted(photos(tmp_path).iterdir())
    first, second, other = _dataset(files), _dataset(files), _dataset(files, seed=2)
    items = [first[index] for index in range(6)]
    for index in (5, 2, 0):
        assert _same(second[index], items[index])
        assert not _same(other[index], items[index])
    assert not _same(items[0], items[1])


def test_workers_give_the_same_batches(photos: Photos, tmp_path: Path) -> None:
    dataset = _dataset(sorted(photos(tmp_path).iterdir()))
    alone = list(DataLoader(dataset, 3))
    with warnings.catch_warnings():  # torch forks while its own threads live
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        helped = list(DataLoader(dataset, 3, num_workers=1))
    assert len(alone) == len(helped) == 4
    assert all(_same(first, second) for first, second in zip(alone, helped, strict=True))


def test_it_travels_to_a_spawned_worker(photos: Photos, tmp_path: Path) -> None:
    dataset = _dataset(sorted(photos(tmp_path).iterdir()))
    assert _same(pickle.loads(pickle.dumps(dataset))[3], dataset[3])


def test_pictures_smaller_than_the_crop_are_reflected(photos: Photos, tmp_path: Path) -> None:
    item = _dataset(sorted(photos(tmp_path, size=(5, 7)).iterdir()))[0]
    assert item["target"].shape == (1, 16, 16)


def test_plain_crops_are_pieces_of_the_picture(photos: Photos, tmp_path: Path, smooth: Callable[..., np.ndarray]) -> None:
    files = sorted(photos(tmp_path, count=1).iterdir())
    whole = crops.read(files[0]).frame(0).normalized()[:, :, 0]
    windows = np.lib.stride_tricks.sliding_window_view(whole, (16, 16))
    dataset = _dataset(files, scales=(1.0, 1.0), gain=(1.0, 1.0))
    turns = set()
    for index in range(12):
        clean = dataset[index]["target"][0].numpy()
        found = [
            (turn, flip)
            for turn in range(4)
            for flip in (False, True)
            if (np.abs(windows - np.rot90(clean[:, ::-1] if flip else clean, turn)).max(axis=(2, 3)) < 1e-5).any()
        ]
        assert found, index
        turns.add(found[0])
    assert len(turns) > 3


def test_the_scaled_fraction_is_shrunk_and_the_rest_is_not(photos: Photos, tmp_path: Path) -> None:
    files = sorted(photos(tmp_path, count=1).iterdir())
    windows = np.lib.stride_tricks.sliding_window_view(crops.read(files[0]).frame(0).normalized()[:, :, 0], (16, 16))
    dataset = _dataset(files, scales=(0.5, 0.6), scaled_fraction=0.5, gain=(1.0, 1.0), length=40)
    exact = 0
    for index in range(40):
        clean = dataset[index]["target"][0].numpy()
        variants = [np.rot90(view, turn) for view in (clean, clean[:, ::-1]) for turn in range(4)]
        exact += any((np.abs(windows - view).max(axis=(2, 3)) < 1e-5).any() for view in variants)
    assert 10 < exact < 30


def test_a_bad_picture_is_named_skipped_and_counted(photos: Photos, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = photos(tmp_path)
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:200])
    (folder / "text.png").write_text("no picture")
    dataset = _dataset(sorted(folder.iterdir()))
    with caplog.at_level(logging.WARNING):
        first = [dataset[index] for index in range(12)]
    assert {path.name for path in dataset.pictures.skipped} == {"broken.png", "text.png"}
    assert sum("broken.png" in message for message in caplog.messages) == 1
    assert sum("text.png" in message for message in caplog.messages) == 1
    assert all(_same(dataset[index], first[index]) for index in range(12)), "knowing the bad ones must change nothing"


def test_nothing_but_bad_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"none of the 1 training pictures can be read.*text.png"):
        _dataset([tmp_path / "text.png"])[0]


def test_pictures_are_kept_within_the_budget(photos: Photos, tmp_path: Path) -> None:
    files = sorted(photos(tmp_path, size=(40, 50)).iterdir())
    pictures = Pictures(files, 1, budget=2 * 40 * 50)
    for seed in range(20):
        pictures.draw(np.random.default_rng(seed))
    assert len(pictures._kept) == 2
    assert pictures.budget == 0


def test_sixteen_bits_stay_sixteen(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (20, 20), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", samples)
    picture = Pictures([tmp_path / "a.tif"], 1).draw(np.random.default_rng(0))
    np.testing.assert_array_equal(picture[:, :, 0], samples)


def test_luma_and_repetition() -> None:
    colour = np.array([[[1.0, 0.5, 0.25]]], np.float32)
    assert float(crops.in_channels(colour, 1)[0, 0, 0]) == pytest.approx(0.299 + 0.5 * 0.587 + 0.25 * 0.114)
    np.testing.assert_array_equal(crops.in_channels(colour[:, :, :1], 3), np.ones((1, 1, 3)))


def test_two_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="1 or 3"):
        Pictures([], 2)


def test_larger_pictures_are_reduced_to_the_short_side(photos: Photos, tmp_path: Path) -> None:
    files = sorted(photos(tmp_path / "in", 1, size=(40, 60)).iterdir())
    whole, reduced = (Pictures(files, 3, short_side=side).get(0) for side in (0, 20))
    assert whole is not None
    assert reduced is not None
    assert (whole.shape, reduced.shape) == ((40, 60, 3), (20, 30, 3))
    means = whole.reshape(20, 2, 30, 2, 3).mean((1, 3)) / 255
    np.testing.assert_allclose(crops.to_float(reduced), means, atol=1e-4)
    assert np.array_equal(Pictures(files, 3, short_side=41).get(0), whole)


def test_upright_crops_are_flipped_left_to_right_only(tmp_path: Path) -> None:
    quarters = np.array([[10, 60], [120, 240]], np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(quarters).save(tmp_path / "a.png")
    pictures = Pictures([tmp_path / "a.png"], 1)
    seen: dict[bool, set[tuple[int, ...]]] = {True: set(), False: set()}
    for upright, found in seen.items():
        dataset = DegradedCrops(pictures, crop=16, degradation=lambda crop, rng: (crop, None), seed=0, length=64, upright=upright)
        for index in range(64):
            corners = dataset[index]["target"][0, ::15, ::15] * 255
            found.add(tuple(round(value) for value in corners.flatten().tolist()))
    assert seen[True] == {(10, 60, 120, 240), (60, 10, 240, 120)}
    assert len(seen[False]) == 8


def _measurable(valid: np.ndarray) -> np.ndarray:
    picture = np.where(valid, 1, 0).astype(np.float32)[:, :, None]
    return noisy_part(picture, valid)


def test_of_noisy_pictures_the_part_with_values_is_taken() -> None:
    whole = np.ones((100, 160), bool)
    padded, corner, scattered, few = (whole.copy() for _ in range(4))
    padded[:20], padded[:, 150:] = False, False
    corner[:40, :50] = False
    scattered[::7, ::7] = False
    few[50, 60] = False
    assert _measurable(padded).shape == (80, 150, 1) and _measurable(padded).all()
    assert _measurable(corner).shape == (100, 110, 1) and _measurable(corner).all()
    assert _measurable(few).shape == (100, 160, 1), "a pixel does no harm"
    with pytest.raises(ImageError, match="no part of 48 x 48 pixels that all have a value"):
        _measurable(scattered)


def test_noisy_pictures_keep_values_beyond_black_and_white(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(500, 200, (64, 64)).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values)
    clipped, kept = (Pictures([tmp_path / "a.tif"], 1, noisy=noisy).get(0) for noisy in (False, True))
    assert clipped is not None and clipped.dtype == np.uint16
    assert kept is not None and kept.dtype == np.float32 and kept.min() < 0 and kept.max() > 1
    assert np.ptp(kept) * np.std(values) == pytest.approx(np.ptp(values) * np.std(kept), rel=1e-3)
