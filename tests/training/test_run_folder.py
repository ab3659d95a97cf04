"""A run's folder has one writer, and what a killed one left half-written goes."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from restore.training import run_folder
from restore.training.run_folder import LOCK, only_writer, sweep

HOLDER = """
import sys, time
from pathlib import Path
from restore.training.run_folder import only_writer
with only_writer(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""


def _holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    return process


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with _holder(tmp_path / "run") as process:
        with pytest.raises(ValueError, match=r"another training writes .*run"), only_writer(tmp_path / "run"):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    with only_writer(tmp_path / "run"):
        pass


def test_the_same_process_is_a_second_writer_too(tmp_path: Path) -> None:
    with only_writer(tmp_path), pytest.raises(ValueError, match="another training"), only_writer(tmp_path):
        pass
    with only_writer(tmp_path):
        pass


def _sleep(ready: multiprocessing.synchronize.Event) -> None:
    ready.set()
    time.sleep(60)


def test_what_a_training_started_does_not_hold_its_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    with only_writer(tmp_path):
        worker = context.Process(target=_sleep, args=(ready,), daemon=True)
        worker.start()
        assert ready.wait(30)
    try:
        with only_writer(tmp_path):
            assert worker.is_alive()
    finally:
        worker.kill()
        worker.join()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_locks_it_is_told_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def none(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", none)
    (tmp_path / ".checkpoint.pt.77").write_bytes(b"another's, perhaps")
    with only_writer(tmp_path):
        pass
    (told,) = caplog.messages
    assert "cannot be locked" in told and str(tmp_path) in told
    assert (tmp_path / ".checkpoint.pt.77").exists()


DRAFTS = (
    ".checkpoint.pt.77",
    ".checkpoint-previous.pt.77",
    ".config.toml.8",
    ".losses.png.9",
    ".a b.safetensors.3",
    ".a b.md.3",
)
KEPT = (LOCK, "checkpoint.pt", "config.toml", ".hidden", ".safetensors", "a b.safetensors", ".bashrc.1")


def test_half_written_files_are_swept_up_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "previews").mkdir()
    for name in (*DRAFTS, *KEPT, "previews/.000010.png.5", "previews/000010.png"):
        (tmp_path / name).write_bytes(b"x")
    with only_writer(tmp_path):
        left = {path.name for path in tmp_path.iterdir()}
        previews = {path.name for path in (tmp_path / "previews").iterdir()}
    assert left == {*KEPT, "previews"}
    assert previews == {"000010.png"}


def test_a_folder_called_like_a_draft_stays(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint.pt.7").mkdir()
    sweep(tmp_path)
    assert (tmp_path / ".checkpoint.pt.7").is_dir()
    assert run_folder.DRAFT.fullmatch(".checkpoint.pt.7")


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(OSError) as caught, only_writer(tmp_path):
        pass
    assert caught.value.filename == str(tmp_path / LOCK)
