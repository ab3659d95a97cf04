"""Pictures with labels and noise, for generators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.datasets import folders
from restore.datasets.crops import Pictures
from restore.datasets.samples import NoiseShape, Samples, find_labels, middle, with_each_class

Photos = Callable[..., Path]


def test_labels_are_the_folders_below_the_split(tmp_path: Path, photos: Photos) -> None:
    for name in ("train/normal", "train/pneumonia", "test/normal", "test/pneumonia"):
        photos(tmp_path / name, 2)
    files = folders.pictures(tmp_path)
    labels = find_labels(files, tmp_path, "folders")
    assert labels.names == ("normal", "pneumonia")
    assert labels.numbers(files) == [0, 0, 1, 1, 0, 0, 1, 1]
    assert find_labels(files, tmp_path, "none").numbers(files) is None


def test_labels_come_from_a_table(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path, 3)
    (tmp_path / "labels.csv").write_text("path,label,seed\n0.png,b,1\n1.png,a,2\n2.png,b,3\n")
    files = folders.pictures(tmp_path)
    assert find_labels(files, tmp_path, "labels.csv").numbers(files) == [1, 0, 1]
    (tmp_path / "labels.csv").write_text("\ufeff./0.png, b\n1.png , a\n2.png,b\n2.png,b\n", encoding="utf-8")
    assert find_labels(files, tmp_path, "labels.csv").numbers(files) == [1, 0, 1]
    (tmp_path / "labels.csv").write_text("0.png,b\n1.png,a\n2.png,b\n2.png,a\n")
    with pytest.raises(ValueError, match=r"labels\.csv gives 2\.png two labels, '?b'? and '?a'?"):
        find_labels(files, tmp_path, "labels.csv")
    (tmp_path / "labels.csv").write_text("0.png,b\n1.png,a\n")
    with pytest.raises(ValueError, match=r"2\.png has no label in labels\.csv"):
        find_labels(files, tmp_path, "labels.csv")


@pytest.mark.parametrize(
    "table",
    [
        "seed,label,path\n5,b,0.png\n5,a,1.png\n5,b,2.png\n",
        "label,path\nb,0.png\na,1.png\nb,2.png\n",
        "Path, Label ,note\n0.png,b,\n1.png,a,dark\n2.png,b,bright,very\n3.png\n",
        "path,seed,label\n0.png,1,b\n1.png,2,a\n2.png,3,b\n",
        "0.png,b,\n1.png,a,,\n2.png,b\n",  # a spreadsheet's empty columns
    ],
)
def test_the_first_row_names_the_columns(tmp_path: Path, photos: Photos, table: str) -> None:
    photos(tmp_path, 3)
    (tmp_path / "labels.csv").write_text(table)
    files = folders.pictures(tmp_path)
    assert find_labels(files, tmp_path, "labels.csv").numbers(files) == [1, 0, 1]
    assert find_labels(files, tmp_path, "labels.csv").names == ("a", "b")


@pytest.mark.parametrize("table", ["path,split,class\n0.png,train,b\n1.png,test,a\n", "0.png,b\n1.png,a,5\n"])
def test_more_than_two_columns_need_names(tmp_path: Path, photos: Photos, table: str) -> None:
    photos(tmp_path, 2)
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(ValueError, match=r"labels\.csv has 3 columns, and its first row does not name path and label"):
        find_labels(folders.pictures(tmp_path), tmp_path, "labels.csv")


def test_each_class_has_a_training_picture(tmp_path: Path, photos: Photos) -> None:
    for name in ("a", "b", "c"):
        photos(tmp_path / name, 2 if name == "a" else 1)
    files = folders.pictures(tmp_path)
    labels = find_labels(files, tmp_path, "folders")
    train, test = with_each_class([files[0]], files[1:], tmp_path, labels)
    assert (train, test) == ([files[0], *files[2:]], [files[1]])
    assert with_each_class(train, test, tmp_path, labels) == (train, test)


def test_a_class_in_a_held_out_folder_alone_is_refused(tmp_path: Path, photos: Photos) -> None:
    for name in ("train/a", "train/b", "test/c"):
        photos(tmp_path / name, 1)
    files = folders.pictures(tmp_path)
    train, test = folders.split(files, tmp_path, fraction=0.1, seed=0)
    with pytest.raises(ValueError, match="all pictures of the class 'c' are held out: put some into train/"):
        with_each_class(train, test, tmp_path, find_labels(files, tmp_path, "folders"))


@pytest.mark.parametrize("label", ["..", "a/b", "a:b", ".hidden", "x" * 101])
def test_a_label_that_cannot_be_a_folder_is_refused(tmp_path: Path, photos: Photos, label: str) -> None:
    photos(tmp_path, 2)
    (tmp_path / "labels.csv").write_text(f"0.png,{label}\n1.png,fine\n")
    with pytest.raises(ValueError, match="cannot be the name of a folder"):
        find_labels(folders.pictures(tmp_path), tmp_path, "labels.csv")


@pytest.mark.parametrize(("how", "word"), [("folders", "lies in no folder of a class"), ("other.csv", "nor a CSV file")])
def test_a_layout_without_labels_is_explained(tmp_path: Path, photos: Photos, how: str, word: str) -> None:
    files = folders.pictures(photos(tmp_path))
    with pytest.raises(ValueError, match=word):
        find_labels(files, tmp_path, how)


def test_one_class_is_too_few(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path / "one")
    with pytest.raises(ValueError, match="holds 1 classes"):
        find_labels(folders.pictures(tmp_path), tmp_path, "folders")


def test_an_item_is_a_function_of_seed_and_index(tmp_path: Path, photos: Photos) -> None:
    files = folders.pictures(photos(tmp_path, 3))

    def make(seed: int) -> Samples:
        noise = NoiseShape(8, pixel_noise=20, layers=6, mixing=0.5)
        return Samples(Pictures(files, 1, short_side=16), 16, noise, [0, 1, 2], seed=seed, length=50)

    first, again, other = make(1), make(1), make(2)
    for index in (0, 7):
        assert all(torch.equal(first[index][name], again[index][name]) for name in first[index])
        assert not torch.equal(first[index]["latent"], other[index]["latent"])
    item = first[0]
    assert {name: tuple(value.shape) for name, value in item.items()} == {
        "real": (1, 16, 16), "latent": (8,), "pixel_noise": (20,), "mixed": (8,), "crossover": (), "label": (),
    }  # fmt: skip
    crossovers = [int(first[index]["crossover"]) for index in range(50)]
    assert {crossover == 6 for crossover in crossovers} == {True, False} and min(crossovers) >= 1
    assert {int(first[index]["label"]) for index in range(50)} == {0, 1, 2}


def test_a_label_stays_with_its_picture_and_nothing_is_flipped_unless_asked(tmp_path: Path) -> None:
    for index in range(2):
        gray = np.zeros((16, 16), np.uint8)
        gray[:, : 4 + 4 * index] = 200
        Image.fromarray(gray).save(tmp_path / f"{index}.png")
    files = folders.pictures(tmp_path)
    plain = Samples(Pictures(files, 1), 16, NoiseShape(2), [0, 1], length=40)
    for index in range(40):
        item = plain[index]
        assert (item["real"][0, 0] > 0).tolist() == [column < 4 + 4 * int(item["label"]) for column in range(16)]
    flipped = Samples(Pictures(files, 1), 16, NoiseShape(2), [0, 1], flip=True, length=40)
    assert {bool(flipped[index]["real"][0, 0, 0] > 0) for index in range(40)} == {True, False}


def test_an_unreadable_picture_is_left_out(tmp_path: Path, photos: Photos) -> None:
    folder = photos(tmp_path, 2)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    files = folders.pictures(folder)
    samples = Samples(Pictures(files, 1, short_side=16), 16, NoiseShape(2), length=30)
    assert all(samples[index]["real"].shape == (1, 16, 16) for index in range(30))
    assert [path.name for path in samples.pictures.skipped] == ["broken.png"]


@pytest.mark.parametrize("shape", [(16, 16, 1), (10, 30, 3), (31, 9, 1), (5, 5, 1)])
def test_the_middle_square(shape: tuple[int, int, int]) -> None:
    assert middle(np.ones(shape, np.uint8), 16).shape == (16, 16, shape[2])
    marked = np.zeros((9, 21, 1), np.uint8)
    marked[:, 6:15] = 1
    assert middle(marked, 9).all()
