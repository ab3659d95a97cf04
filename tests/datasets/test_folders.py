"""Which files a dataset holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from restore.datasets import folders
from restore.pipeline import discovery

Photos = Callable[..., Path]


def _names(root: Path, files: list[Path]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in files]


@pytest.fixture
def root(photos: Photos, tmp_path: Path) -> Path:
    photos(tmp_path / "set" / "b", 2)
    photos(tmp_path / "set" / "a", 1)
    (tmp_path / "set" / "notes.txt").write_text("none")
    (tmp_path / "set" / ".hidden.png").write_bytes(b"")
    (tmp_path / "set" / "folder.png").mkdir()
    return tmp_path / "set"


def test_every_picture_in_order(root: Path) -> None:
    assert _names(root, folders.pictures(root)) == ["a/0.png", "b/0.png", "b/1.png"]


def test_a_dicom_file_needs_no_suffix(root: Path) -> None:
    for name in ("IM0001", "1.2.840.7"):
        (root / name).write_bytes(b"\0" * 128 + b"DICM")
    (root / "README").write_text("none")
    assert _names(root, folders.pictures(root)) == ["1.2.840.7", "IM0001", "a/0.png", "b/0.png", "b/1.png"]


def test_a_picture_is_known_by_its_content(root: Path) -> None:
    (root / "a/0.png").rename(root / "a/photo.jpg_large")
    (root / "b/0.png").rename(root / "b/scan")
    (root / "c.qoi").write_bytes(b"qoif" + bytes(300))
    (root / ".thumbs").mkdir()
    (root / ".thumbs/0.png").write_bytes((root / "b/1.png").read_bytes())
    (root / "d.psd").write_bytes(b"8BPS\0\1" + bytes(50))
    assert _names(root, folders.pictures(root)) == ["a/photo.jpg_large", "b/1.png", "b/scan"]
    assert folders.passed_over(root) == {"a Photoshop document (PSD)": 1, "a QOI picture": 1}


def test_a_folder_of_other_formats_says_what_to_do(tmp_path: Path) -> None:
    for index in range(2):
        (tmp_path / f"{index}.qoi").write_bytes(b"qoif" + bytes(300))
    with pytest.raises(ValueError, match=r"2 times a QOI.*convert them"):
        folders.pictures(tmp_path)


def test_the_folders_of_training_runs_are_left_out(root: Path) -> None:
    for name in ("config.toml", "log.jsonl"):
        (root / "b" / name).write_text("")
    assert _names(root, folders.pictures(root)) == _names(root, folders.pictures(root, ["**/*"])) == ["a/0.png"]
    assert _names(root / "b", folders.pictures(root / "b")) == ["0.png", "1.png"]  # but for one that is asked for


def test_patterns_choose(root: Path) -> None:
    assert _names(root, folders.pictures(root, ["b/1.*", "a/*"])) == ["a/0.png", "b/1.png"]


@pytest.mark.parametrize(("include", "word"), [(["c/*"], "c/\\*"), (["a/*", "*.txt"], "txt")])
def test_a_pattern_without_a_match_is_named(root: Path, include: list[str], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        folders.pictures(root, include)


def test_no_picture_says_what_would_be_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no picture.*\.png"):
        folders.pictures(tmp_path)


def test_a_dataset_by_path_or_name(root: Path, tmp_path: Path) -> None:
    assert folders.locate(root) == root
    assert folders.locate("set", roots=[tmp_path]) == root
    with pytest.raises(ValueError, match=r"other.*set"):
        folders.locate("other", roots=[tmp_path])


def test_train_and_test_folders_are_the_split(photos: Photos, tmp_path: Path) -> None:
    for side in ("train", "test"):
        photos(tmp_path / side, 2)
    train, test = folders.split(folders.pictures(tmp_path), tmp_path, fraction=0.9, seed=0)
    assert _names(tmp_path, train) == ["train/0.png", "train/1.png"]
    assert _names(tmp_path, test) == ["test/0.png", "test/1.png"]


def test_a_drawn_split_moves_none_when_pictures_are_added(tmp_path: Path) -> None:
    files = [tmp_path / f"{index}.png" for index in range(200)]
    train, test = folders.split(files[:150], tmp_path, fraction=0.2, seed=3)
    assert sorted(train + test) == sorted(files[:150])
    assert 15 <= len(test) <= 45
    more_train, more_test = folders.split(files, tmp_path, fraction=0.2, seed=3)
    assert set(train) <= set(more_train)
    assert set(test) <= set(more_test)
    assert folders.split(files[:150], tmp_path, fraction=0.2, seed=4) != (train, test)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.99])
def test_something_is_left_to_train_on(tmp_path: Path, count: int, fraction: float) -> None:
    for seed in range(10):
        train, test = folders.split([tmp_path / f"{index}.png" for index in range(count)], tmp_path, fraction=fraction, seed=seed)
        assert train
        assert len(train) + len(test) == count
        assert bool(test) == (fraction > 0 and count > 1)


def _linked(root: Path, photos: Photos, outside: Path) -> Path:
    """A dataset whose pictures lie elsewhere, behind links; some lead back."""
    photos(outside / "scans" / "deep", 2)
    (outside / "scans" / ".hidden").mkdir()
    (outside / "scans" / ".hidden" / "0.png").write_bytes((outside / "scans" / "deep" / "0.png").read_bytes())
    photos(root / "own", 1)
    (root / "linked").symlink_to(outside / "scans")
    (root / "own" / "again.png").symlink_to(outside / "scans" / "deep" / "0.png")
    (root / "own" / "back").symlink_to(root)
    (outside / "scans" / "deep" / "loop").symlink_to(outside / "scans")
    (root / "nowhere").symlink_to(outside / "nothing")
    (root / "itself").symlink_to(root / "itself")
    return root


LINKED = ["linked/deep/0.png", "linked/deep/1.png", "own/0.png", "own/again.png"]


def test_linked_folders_are_followed_as_by_the_tasks(photos: Photos, tmp_path: Path) -> None:
    root = _linked(tmp_path / "set", photos, tmp_path / "outside")
    assert _names(root, folders.pictures(root)) == LINKED
    restored = discovery.plan([root], tmp_path / "out")
    assert sorted(job.relative.as_posix() for job in restored.jobs if not job.error) == LINKED
    assert _names(tmp_path / "set" / "linked", folders.pictures(tmp_path / "set" / "linked")) == ["deep/0.png", "deep/1.png"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**/*.png", ["linked/.hidden/0.png", *LINKED]),
        ("**/deep/*", LINKED[:2]),
        ("linked/**/1.png", LINKED[1:2]),
        ("linked/deep/*", LINKED[:2]),
        ("**/linked/**/0.*", ["linked/.hidden/0.png", "linked/deep/0.png"]),
        ("./own/*", LINKED[2:]),
        ("own/**", LINKED[2:]),
        ("own/**/*", LINKED[2:]),
    ],
)
def test_patterns_follow_linked_folders(photos: Photos, tmp_path: Path, pattern: str, names: list[str]) -> None:
    root = _linked(tmp_path / "set", photos, tmp_path / "outside")
    assert _names(root, folders.pictures(root, [pattern])) == names


def test_a_picture_on_two_paths_is_never_on_both_sides_of_a_draw(photos: Photos, tmp_path: Path) -> None:
    photos(tmp_path / "set" / "all", 8)
    (tmp_path / "set" / "latest").symlink_to(tmp_path / "set" / "all")
    (tmp_path / "set" / "best.png").symlink_to(tmp_path / "set" / "all" / "3.png")
    files = folders.pictures(tmp_path / "set")
    assert len(files) == 17
    for seed in range(6):
        sides = folders.split(files, tmp_path / "set", fraction=0.3, seed=seed)
        train, test = ({path.resolve() for path in side} for side in sides)
        assert train and test and not train & test


def test_a_linked_test_folder_is_held_out(photos: Photos, tmp_path: Path) -> None:
    photos(tmp_path / "elsewhere", 2)
    photos(tmp_path / "set" / "other", 2)
    (tmp_path / "set" / "test").symlink_to(tmp_path / "elsewhere")
    root = tmp_path / "set"
    train, test = folders.split(folders.pictures(root), root, fraction=0.5, seed=0)
    assert (_names(root, train), _names(root, test)) == (["other/0.png", "other/1.png"], ["test/0.png", "test/1.png"])
