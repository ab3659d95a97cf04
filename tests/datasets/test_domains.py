"""Two domains of pictures: layouts and crops."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.datasets import domains
from restore.datasets.crops import Pictures
from restore.datasets.domains import CropConfig, PairedCrops, UnpairedCrops

Photos = Callable[..., Path]


def _crops(
    found: domains.Domains, crop: CropConfig | None = None, *, paired: bool = False, channels: int = 1, length: int = 8
) -> PairedCrops | UnpairedCrops:
    source = Pictures(found.train[0], channels)
    target = source if found.side_by_side else Pictures(found.train[1], channels)
    return (PairedCrops if paired else UnpairedCrops)(source, target, crop or CropConfig(16), seed=3, length=length)


@pytest.mark.parametrize("names", [("source", "target"), ("damaged", "clean"), ("labels", "photo"), ("A", "B"), ("trainA", "trainB")])
@pytest.mark.parametrize("paired", [True, False])
def test_every_layout_is_known(photos: Photos, tmp_path: Path, names: tuple[str, str], paired: bool) -> None:
    for name in names:
        photos(tmp_path / name, 6)
    found = domains.find(tmp_path, paired=paired, fraction=0.2)
    for side, name in enumerate(names):
        assert {path.parent.name for path in found.train[side] + found.test[side]} == {name}
        assert len(found.train[side]) + len(found.test[side]) == 6
        assert found.train[side]
        assert found.test[side]
    if paired:
        for first, second in (found.train, found.test):
            assert [path.name for path in first] == [path.name for path in second]


@pytest.mark.parametrize("layout", ["train/A", "trainA"])
def test_named_splits_are_kept(photos: Photos, tmp_path: Path, layout: str) -> None:
    for part in ("train", "test"):
        for side in "AB":
            photos(tmp_path / layout.replace("train", part).replace("A", side), 2 if part == "train" else 1)
    found = domains.find(tmp_path, paired=True)
    assert [len(files) for files in (*found.train, *found.test)] == [2, 2, 1, 1]


def test_domains_in_another_layout_are_found_by_patterns(photos: Photos, tmp_path: Path) -> None:
    for name, count in (("photos/mine", 4), ("photos/yours", 3), ("art", 3)):
        photos(tmp_path / name, count)
    include = (("photos/mine/*", "photos/yours/*"), ("art/*",))
    found = domains.find(tmp_path, paired=False, fraction=0.3, include=include)
    assert [len(found.train[side]) + len(found.test[side]) for side in (0, 1)] == [7, 3]
    assert {path.parent.name for path in found.train[1] + found.test[1]} == {"art"}
    assert not set(found.train[0]) & set(found.test[0])
    for paired, wrong in ((True, include), (False, (include[0], ())), (False, ((), include[1]))):
        with pytest.raises(ValueError, match="two domains without pairs"):
            domains.find(tmp_path, paired=paired, include=wrong)
    with pytest.raises(ValueError, match="no picture matches the include pattern 'poems"):
        domains.find(tmp_path, paired=False, include=(("poems/*",), ("art/*",)))
    with pytest.raises(ValueError, match="must be relative"):
        domains.find(tmp_path, paired=False, include=((str(tmp_path / "art" / "*"),), ("art/*",)))


def test_side_by_side_pairs(photos: Photos, tmp_path: Path) -> None:
    photos(tmp_path, 6, size=(24, 48))
    found = domains.find(tmp_path, paired=True, fraction=0.2)
    assert found.side_by_side
    item = _crops(found, CropConfig(24, flip=False), paired=True)[0]
    halves = [np.asarray(Image.open(path)).astype(np.float32) / 255 for path in found.train[0]]
    assert any(np.allclose(item["input"][0], both[:, :24]) and np.allclose(item["target"][0], both[:, 24:]) for both in halves)


def test_a_bad_layout_says_what_was_found_and_expected(photos: Photos, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds nothing; expected source/ and target/"):
        domains.find(tmp_path, paired=False)
    photos(tmp_path / "photos", 1)
    with pytest.raises(ValueError, match=r"holds photos/; expected"):
        domains.find(tmp_path, paired=False)
    photos(tmp_path / "source", 1)
    with pytest.raises(ValueError, match=r"holds source/ but no target/"):
        domains.find(tmp_path, paired=False)
    (tmp_path / "target").mkdir()
    with pytest.raises(ValueError, match=r"target holds no picture"):
        domains.find(tmp_path, paired=False)


def test_half_a_held_out_part_and_two_layouts_are_refused(photos: Photos, tmp_path: Path) -> None:
    for name in ("A", "B", "valA"):
        photos(tmp_path / "half" / name, 2)
    with pytest.raises(ValueError, match=r"holds valA/ but no valB/: both domains are needed"):
        domains.find(tmp_path / "half", paired=False)
    for name in ("A", "B", "source", "target"):
        photos(tmp_path / "two" / name, 2)
    with pytest.raises(ValueError, match=r"two pairs of domains, source and target, and A and B: keep one"):
        domains.find(tmp_path / "two", paired=False)


def test_pairs_without_a_partner_are_named(photos: Photos, tmp_path: Path) -> None:
    photos(tmp_path / "source", 3)
    photos(tmp_path / "target", 5)
    with pytest.raises(ValueError, match=r"3, 4 have no partner"):
        domains.find(tmp_path, paired=True)
    assert domains.find(tmp_path, paired=False)


@pytest.mark.parametrize("paired", [True, False])
def test_items_depend_on_seed_and_index_alone(photos: Photos, tmp_path: Path, paired: bool) -> None:
    for name in ("source", "target"):
        photos(tmp_path / name, 3, channels=3)
    found = domains.find(tmp_path, paired=paired, fraction=0)
    first, second = (_crops(found, CropConfig(16, (20, 30)), paired=paired, channels=3) for _ in range(2))
    second[5]
    for index in range(8):
        for name in ("input", "target"):
            assert first[index][name].shape == (3, 16, 16)
            assert torch.equal(first[index][name], second[index][name])
    assert len({float(first[index]["input"].sum()) for index in range(8)}) > 4


def test_a_pair_is_cropped_and_flipped_alike(photos: Photos, tmp_path: Path) -> None:
    photos(tmp_path / "source", 3)
    shutil.copytree(tmp_path / "source", tmp_path / "target")
    dataset = _crops(domains.find(tmp_path, paired=True, fraction=0), CropConfig(16, (18, 30)), paired=True)
    for index in range(8):
        assert torch.equal(dataset[index]["input"], dataset[index]["target"])


def test_what_is_smaller_than_the_crop_is_reflected_outwards(photos: Photos, tmp_path: Path) -> None:
    for name in ("source", "target"):
        photos(tmp_path / name, 2, size=(10, 40))
    item = _crops(domains.find(tmp_path, paired=False, fraction=0), CropConfig(32))[0]
    assert item["input"].shape == (1, 32, 32)
    assert torch.isfinite(item["input"]).all()


@pytest.mark.parametrize("paired", [True, False])
def test_a_corrupt_file_is_named_skipped_and_counted(photos: Photos, tmp_path: Path, paired: bool) -> None:
    for name in ("source", "target"):
        photos(tmp_path / name, 3)
    broken = tmp_path / "source" / "1.png"
    broken.write_bytes(broken.read_bytes()[:60])
    dataset = _crops(domains.find(tmp_path, paired=paired, fraction=0), paired=paired, length=30)
    for index in range(30):
        dataset[index]
    assert list(dataset.skipped) == [broken]


def test_pairs_of_unequal_size_are_left_out(photos: Photos, tmp_path: Path) -> None:
    photos(tmp_path / "source", 3)
    photos(tmp_path / "target", 3)
    Image.new("L", (30, 30)).save(tmp_path / "target" / "2.png")
    dataset = _crops(domains.find(tmp_path, paired=True, fraction=0), paired=True, length=30)
    for index in range(30):
        dataset[index]
    assert [path.name for path in dataset.skipped] == ["2.png"]
    assert "differ in size" in next(iter(dataset.skipped.values()))


def test_gray_and_colour_may_be_mixed(photos: Photos, tmp_path: Path) -> None:
    photos(tmp_path / "source", 3, channels=1)
    photos(tmp_path / "target", 3, channels=3)
    item = _crops(domains.find(tmp_path, paired=False, fraction=0), channels=3)[0]
    assert item["input"].shape == item["target"].shape == (3, 16, 16)


def test_a_picture_that_is_no_pair_is_skipped(tmp_path: Path) -> None:
    for name, width in (("0", 64), ("1", 40), ("2", 64), ("3", 65)):
        Image.fromarray(np.full((32, width), int(name) + 1, np.uint8)).save(tmp_path / f"{name}.png")
    found = domains.find(tmp_path, paired=True, fraction=0)
    crops = _crops(found, paired=True, length=30)
    values = {round(float(crops[index]["input"].mean()) * 255) for index in range(30)}
    assert values == {1, 3}
    assert sorted(path.name for path in crops.skipped) == ["1.png", "3.png"]
    assert all("not twice as wide as high" in reason for reason in crops.skipped.values())


def test_two_pictures_of_one_name_are_refused(photos: Photos, tmp_path: Path) -> None:
    for name in ("source", "target"):
        photos(tmp_path / name, 3)
    (tmp_path / "source" / "0.jpg").write_bytes((tmp_path / "source" / "0.png").read_bytes())
    with pytest.raises(ValueError, match=r"0\.jpg and .*0\.png have one name"):
        domains.find(tmp_path, paired=True)
