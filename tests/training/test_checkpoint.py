"""Checkpoints: written whole, the previous kept, damage survived."""

from __future__ import annotations

import os
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from restore.training import checkpoint


def _draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(1))


def test_the_random_generators_go_on_where_they_were(tmp_path: Path) -> None:
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    _draw()
    checkpoint.save(tmp_path, {"step": 4})
    expected = [_draw() for _ in range(3)]
    assert checkpoint.load(tmp_path) == {"step": 4}
    assert [_draw() for _ in range(3)] == expected


def test_the_previous_one_is_kept_and_nothing_else(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == [checkpoint.PREVIOUS, checkpoint.NAME]
    (tmp_path / checkpoint.NAME).unlink()
    assert checkpoint.load(tmp_path)["step"] == 2


def _truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    middle = content.index(np.full(64, 7.0, np.float32).tobytes()) + 128
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "harm",
    [_truncate, _flip, lambda content: b"", lambda content: b"no checkpoint"],
    ids=["cut", "flip", "empty", "text"],
)
def test_a_damaged_newest_falls_back_to_the_previous(tmp_path: Path, harm: object) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, {"step": step, "tensor": torch.full((64,), 7.0)})
    newest = tmp_path / checkpoint.NAME
    newest.write_bytes(harm(newest.read_bytes()))  # type: ignore[operator]
    assert checkpoint.load(tmp_path)["step"] == 1


def test_falling_back_is_told_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, {"step": step})
    (tmp_path / checkpoint.NAME).write_bytes(b"cut")
    checkpoint.load(tmp_path)
    (told,) = caplog.messages
    assert "previous checkpoint, after step 1" in told and str(tmp_path / checkpoint.NAME) in told and "\n" not in told
    caplog.clear()
    checkpoint.save(tmp_path, {"step": 3})
    checkpoint.load(tmp_path)
    assert caplog.messages == []


@pytest.mark.parametrize("links", [True, False])
def test_a_kill_before_the_last_rename_costs_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, {"step": step})

    class Killed(BaseException):
        """As if the process were gone."""

    def refuse(*_: object) -> None:
        raise OSError(1, "no links here")

    def replace(self: Path, target: Path) -> Path:
        if Path(target).name == checkpoint.NAME:
            raise Killed
        return original(self, target)

    original = Path.replace
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        with pytest.raises(Killed):
            checkpoint.save(tmp_path, {"step": 3})
    assert checkpoint.load(tmp_path)["step"] == 2
    checkpoint.save(tmp_path, {"step": 4})
    assert checkpoint.load(tmp_path)["step"] == 4


def test_an_archive_that_claims_more_than_its_size_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / checkpoint.NAME, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", bytes(10_000_000))
    with pytest.raises(ValueError, match="more than its own size"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("content", [[1, 2], 3, {"random": 1}, {"step": 1, "random": {}}, {"step": 1, "random": {"python": 1}}], ids=str)
def test_one_of_another_program_falls_back_too(tmp_path: Path, content: object) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, {"step": step})
    torch.save(content, tmp_path / checkpoint.NAME)
    assert checkpoint.load(tmp_path)["step"] == 1
    (tmp_path / checkpoint.PREVIOUS).unlink()
    with pytest.raises(ValueError, match="no checkpoint to resume from"):
        checkpoint.load(tmp_path)


def test_a_foreign_file_falls_back_too(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, {"step": step})
    torch.save({"model": torch.zeros(1)}, tmp_path / checkpoint.NAME)
    assert checkpoint.load(tmp_path)["step"] == 1


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_strangers_checkpoint_runs_no_code(tmp_path: Path) -> None:
    torch.save({"step": 1, "random": _Evil(tmp_path / "touched")}, tmp_path / checkpoint.NAME)
    with pytest.raises(ValueError, match="no checkpoint to resume from"):
        checkpoint.load(tmp_path)
    assert not (tmp_path / "touched").exists()


def test_none_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no checkpoint to resume from"):
        checkpoint.load(tmp_path)


FAULTS = [RuntimeError("PytorchStreamWriter failed writing file"), OSError(28, "No space left on device")]


@pytest.mark.parametrize("error", FAULTS, ids=repr)
def test_a_checkpoint_that_cannot_be_written_is_named_and_costs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    checkpoint.save(tmp_path, {"step": 1})
    before = (tmp_path / checkpoint.NAME).read_bytes()

    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(torch, "save", failing)
    with pytest.raises(OSError) as caught:
        checkpoint.save(tmp_path, {"step": 2})
    assert caught.value.filename == str(tmp_path / checkpoint.NAME)
    assert (tmp_path / checkpoint.NAME).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.NAME]


def test_one_that_is_not_to_be_kept_leaves_the_previous_one(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, {"step": 1})
    for step in (2, 3):
        checkpoint.save(tmp_path, {"step": step}, keep=False)
    assert checkpoint.load(tmp_path)["step"] == 3
    assert checkpoint.load(tmp_path, previous=True)["step"] == 1
    (tmp_path / checkpoint.PREVIOUS).unlink()
    assert checkpoint.load(tmp_path, previous=True)["step"] == 3
