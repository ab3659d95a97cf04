"""`restore train` as a process: signals, exit codes, and data sets with damaged files."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import preloaded
import pytest
from preloaded import PIPE, Process
from restore_cli.common import stoppable

import restore
from restore import weights
from restore.training import checkpoint

Photos = Callable[..., Path]
SMALL = {
    "network.widths": "8,8", "network.blocks": "1,1", "data.crop": "16", "loop.batch_size": "2", "loop.log_every": "1", "precision": "fp32",
    "device": "cpu", "loop.checkpoint_every": "1000000",
}  # fmt: skip


def _command(folder: Path, *more: str) -> list[str]:
    settings = [f"--set={key}={value}" for key, value in SMALL.items()]
    return ["-m", "restore_cli", "train", "denoise", str(folder), "--out", "run", *settings, *more]


def _started(folder: Path, *more: str) -> Process:
    """A training of many steps that has begun to learn."""
    process = Process(_command(folder, "--steps=10000000", *more), stderr=PIPE, new_session=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step "):
            return process
    process.kill()
    raise AssertionError("it never began")


@pytest.mark.parametrize(
    ("signals", "code", "workers"),
    [((signal.SIGTERM,), 143, 2), ((signal.SIGINT,) * 3, 130, 0), pytest.param((signal.SIGHUP,), 129, 0, marks=pytest.mark.slow)],
    ids=["SIGTERM-workers", "three-SIGINT", "SIGHUP"],
)
def test_stopped_by_a_signal_it_loses_nothing(photos: Photos, own_weights: Path, signals: tuple[int, ...], code: int, workers: int) -> None:
    assert own_weights.is_dir()
    folder = photos(Path("photos"))
    process = _started(folder, f"--set=loop.workers={workers}")
    for number in signals:
        (os.killpg if workers else os.kill)(process.pid, number)  # a terminal and a supervisor tell all processes of a group
        time.sleep(0.01)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err and "interrupted after step" in err
    step = checkpoint.load(Path("run"))["step"]
    recipe = weights.find("run").recipe
    assert recipe["steps"] == step > 0
    assert restore.load("run", device="cpu")(np.zeros((16, 16), np.float32)).shape == (16, 16)
    more = restore.train("denoise", folder, out="run", overrides={"loop.steps": str(step + 1), "loop.workers": "0"}, resume=True)
    assert more.steps == step + 1
    assert not [path.name for path in Path("run").iterdir() if path.name.startswith(".") and path.name != ".lock"]


def test_under_nohup_a_closed_terminal_stops_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable() as stopped_by:
            signal.raise_signal(signal.SIGHUP)
        assert stopped_by == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_that_stops_is_reported(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stoppable() as stopped_by:
        signal.raise_signal(number)
    assert stopped_by == [number]
    assert signal.getsignal(number) is before


HOSTILE = Path(__file__).resolve().parents[3] / "shared" / "cases" / "hostile"


def _damaged(folder: Path) -> None:
    """Files that any reader may stumble over, of every format."""
    whole = next(folder.glob("*.png")).read_bytes()
    for number, cut in enumerate((10, 60, len(whole) // 2)):
        (folder / f"cut{number}.png").write_bytes(whole[:cut])
    for suffix in (".dcm", ".tif", ".jpg", ".webp", ".bmp", ".pgm", ".png"):
        (folder / f"noise{suffix}").write_bytes(np.random.default_rng(0).bytes(3000))
        (folder / f"empty{suffix}").touch()
    (folder / "long.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00" + b"\xff" * 500)
    os.mkfifo(folder / "pipe.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "folder.png").mkdir()


@pytest.mark.parametrize("method", ["denoise", "upscale", "scratches"])
def test_damaged_files_among_the_pictures_stop_no_training(
    photos: Photos, own_weights: Path, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    assert own_weights.is_dir()
    folder = photos(Path("photos"), count=8)
    _damaged(folder)
    settings = {"loop.steps": "40", "loop.batch_size": "2", "data.crop": "16", "precision": "fp32", "device": "cpu"}
    own = {
        "denoise": {"network.widths": "8,8", "network.blocks": "1,1"}, "upscale": {"network.width": "8", "network.blocks": "1"},
        "scratches": {"network.width": "4", "network.levels": "3"},
    }[method]  # fmt: skip
    run = restore.train(method, folder, overrides={**settings, **own}, out="run")
    assert run.steps == 40
    messages = [text for text in caplog.messages if text.startswith("skipped for training")]
    assert len(messages) == len(set(messages)) > 5
    assert not any(name in text for text in messages for name in ("pipe", "loop", "folder.png"))


@pytest.mark.slow
@pytest.mark.skipif(not HOSTILE.is_dir(), reason="needs the collection of hostile files")
def test_the_hostile_files_stop_no_training(photos: Photos, own_weights: Path) -> None:
    assert own_weights.is_dir()
    folder = photos(Path("photos"), count=20)
    for path in HOSTILE.iterdir():
        if path.name != "dcm_jlsstream.dcm":  # which needs a decoder that can be stopped
            shutil.copy(path, folder)
    ended = preloaded.run(_command(folder, "--steps=60"), stderr=PIPE, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
