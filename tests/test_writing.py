"""Files appear whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from restore.writing import atomic_write, sweep_drafts


def test_a_file_appears_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "a.txt"
    with atomic_write(path) as draft:
        draft.write_text("words")
        assert not path.exists()
    assert path.read_text() == "words"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("no picture"), KeyboardInterrupt()], ids=repr)
def test_what_fails_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(type(error)) as caught, atomic_write(path) as draft:
        draft.write_text("half")
        raise error
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    if isinstance(caught.value, OSError):
        assert (caught.value.filename, caught.value.strerror) == (str(path), "No space left on device")


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "a.txt"
    with pytest.raises(OSError) as caught, atomic_write(path) as draft:
        draft.write_text("words")
    assert caught.value.filename == str(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught, atomic_write(Path("/dev/full")) as draft:
        draft.write_text("words")
    assert caught.value.filename == "/dev/full"
    assert Path("/dev/full").is_char_device()


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".txt")
    with atomic_write(path) as draft:
        draft.write_text("words")
    assert path.read_text() == "words"


def test_drafts_of_killed_processes_alone_are_swept(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    folder = tmp_path / "deep"
    folder.mkdir()
    names = {f".a.png.{ended.pid}": 3600, f".b.png.{os.getpid()}": 3600, f".c.png.{ended.pid}": 0, f".own.{ended.pid}": 3600, "d.png": 3600}
    for name, age in names.items():
        (folder / name).write_text(name)
        then = (folder / name).stat().st_mtime - age
        os.utime(folder / name, (then, then))
    sweep_drafts([*(folder / f"{letter}.png" for letter in "abcd"), tmp_path / "nowhere" / "a.png"])
    assert sorted(path.name for path in folder.iterdir()) == sorted(list(names)[1:])
