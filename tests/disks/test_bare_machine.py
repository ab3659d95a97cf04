"""Machines as they are: limits on files, streams full or closed, no user, no home, no shared memory; and bad files among good ones."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import preloaded
import pytest
from batch_steps import Identity, folder, picture, results
from PIL import Image
from preloaded import PIPE

from restore import runtime
from restore.api import step
from restore.images import Picture
from restore.inference.loading import InferenceOptions
from restore.metrics import METRICS
from restore.metrics import comparison as comparing
from restore.metrics.comparison import scoring
from restore.pipeline import discovery
from restore.pipeline.batch import run

_HERE = Path(__file__).parent
_WAIT = 300
"""Seconds after which a process that should have ended is given up; generous, for busy machines."""
_QUICK = ("--alpha", "--method", "telea", "--json")
"""A command that needs no network."""


def _transparent(path: Path) -> Path:
    """A picture with a hole."""
    samples = np.random.default_rng(0).integers(0, 256, (24, 24, 4), dtype=np.uint8)
    samples[..., 3] = 255
    samples[4:8, 4:9, 3] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(samples).save(path)
    return path


def test_a_limit_on_the_size_of_files_costs_the_large_ones_alone(tmp_path: Path) -> None:
    """The kernel's own fault, not ours: the system refuses what is written past the limit."""
    picture(tmp_path / "in/large.png", 1, (200, 200))
    picture(tmp_path / "in/small.png", 2)
    process = preloaded.run([_HERE / "limited_batch.py", tmp_path / "in", tmp_path / "out", "1500"], timeout=_WAIT, stdout=PIPE)
    assert process.returncode == 0
    lines = process.stdout.splitlines()
    assert lines[:2] == [f"failed file too large: {tmp_path}/out/large.png", "done "]
    assert lines[2] == f"unwritten cannot write the preview {tmp_path}/sheet.png: File too large"
    assert results(tmp_path / "out") == {"small.png"}
    assert not list(tmp_path.glob("*sheet*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_streams_on_a_full_disk_end_no_run(tmp_path: Path) -> None:
    _transparent(tmp_path / "in/a.png")
    with Path("/dev/full").open("w") as full:
        command = ["-m", "restore_cli", "inpaint", tmp_path / "in", "--out", tmp_path / "out", *_QUICK]
        done = preloaded.run(command, timeout=_WAIT, stdout=full, stderr=full)
    assert done.returncode == 1  # the JSON lines that were asked for could not be written
    assert results(tmp_path / "out") == {"a.png"}


def test_closed_streams_end_no_run_and_nothing_is_printed_into_a_result(tmp_path: Path) -> None:
    _transparent(tmp_path / "in/a.png")

    def closed() -> None:
        for number in range(3):
            os.close(number)

    command = [sys.executable, "-m", "restore_cli", "inpaint", tmp_path / "in", "--out", tmp_path / "out", *_QUICK]
    done = subprocess.run(command, check=False, timeout=_WAIT, preexec_fn=closed)
    assert done.returncode == 0
    with Image.open(tmp_path / "out/a.png") as result:
        assert result.size == (24, 24)


def test_no_user_no_home_and_no_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "in/a.png", 1, (48, 48))
    monkeypatch.chdir(tmp_path)
    command = [_HERE / "bare_machine.py", "denoise", tmp_path / "in", "--out", tmp_path / "out", "--preview", "auto"]
    done = preloaded.run(command, timeout=_WAIT, stdout=PIPE, stderr=PIPE, env={})
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert results(tmp_path / "out") == {"a.png"}
    assert (tmp_path / "out-preview.png").is_file()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_evaluation_that_is_stopped_says_so_by_its_exit_code(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Without the perceptual distance, whose weights would be fetched."""
    picture(tmp_path / "a/000.png", 0, (500, 500))
    for index in range(1, 2000):
        (tmp_path / f"a/{index:04d}.png").symlink_to("000.png")
    (tmp_path / "b").symlink_to("a")
    process = preloaded.Process(
        ["-m", "restore_cli", "evaluate", tmp_path / "a", tmp_path / "b", "--json"], stdout=PIPE, stderr=PIPE,
        env={**os.environ, "RESTORE_BACKBONES": str(tmp_path)},
    )  # fmt: skip
    assert process.stdout is not None
    assert '"protocol"' in process.stdout.readline()
    assert '"picture"' in process.stdout.readline()
    process.send_signal(number)
    _, said = process.communicate(timeout=90)  # all of it takes minutes
    assert process.returncode == code
    assert said.strip() == "restore: interrupted"


@pytest.mark.parametrize(
    "error", [KeyError("tag"), RecursionError("deep"), MemoryError(), OSError(errno.EIO, "I/O error", "x"), AssertionError()], ids=repr
)
def test_an_evaluation_goes_on_after_any_bad_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    for index in range(3):
        for side in "ab":
            picture(tmp_path / side / f"{index}.png", index)
    real = scoring.read

    def read(path: Path, **options: Any) -> Any:
        if path == tmp_path / "a/1.png":
            raise error
        return real(path, **options)

    monkeypatch.setattr(scoring, "read", read)
    found = comparing.compare(tmp_path / "a", tmp_path / "b", setting=comparing.Setting({"psnr": METRICS["psnr"]}))
    assert [picture.name for picture in found.pictures] == ["0.png", "2.png"]
    assert [problem.name for problem in found.problems] == ["1.png"]
    assert found.problems[0].reason and "\n" not in found.problems[0].reason


def test_an_evaluation_ends_where_the_machine_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for side in "ab":
        picture(tmp_path / side / "0.png")

    def read(path: Path, **_: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    monkeypatch.setattr(scoring, "read", read)
    with pytest.raises(OSError, match="Too many open files"):
        comparing.compare(tmp_path / "a", tmp_path / "b", setting=comparing.Setting({"psnr": METRICS["psnr"]}))


def test_a_file_whose_first_bytes_break_the_look_at_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "in", 3)
    real = discovery.look

    def look(path: Path) -> Any:
        if path.name == "001.png":
            path.write_bytes(b"no picture")
            raise RecursionError("deep")
        return real(path)

    monkeypatch.setattr(discovery, "look", look)
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out")
    assert [record.status for record in report.records] == ["done", "failed", "done"]


class Panic(BaseException):
    """What a library in Rust ends with; no Exception."""


@pytest.mark.parametrize("step", ["frame", "save"])
def test_a_library_that_panics_costs_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """In a helper thread too, where nobody would notice, and the run would wait for ever."""
    folder(tmp_path / "in", 3)
    real = getattr(Picture, step)

    def panics(self: Picture, *arguments: Any, **named: Any) -> Any:
        if self.path.name == "001.png":
            raise Panic("index out of bounds")
        return real(self, *arguments, **named)

    monkeypatch.setattr(Picture, step, panics)
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out")
    assert [record.status for record in report.records] == ["done", "failed", "done"]
    assert report.records[1].error == "Panic: index out of bounds"


def test_bad_masks_cost_their_own_pictures(tmp_path: Path) -> None:
    """Whatever stands where a mask should: one line that names it, and the others are filled."""
    hole = np.zeros((12, 17), np.uint8)
    hole[3:6, 4:8] = 255
    names = ["cut", "empty", "fifo", "good", "large", "link", "text"]
    for index, name in enumerate(names):
        picture(tmp_path / f"in/{name}.png", index)
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("good", "cut"):
        Image.fromarray(hole).save(masks / f"{name}.png")
    (masks / "cut.png").write_bytes((masks / "cut.png").read_bytes()[:60])
    (masks / "empty.png").write_bytes(b"")
    os.mkfifo(masks / "fifo.png")
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(masks / "large.png")
    (masks / "link.png").symlink_to("nowhere.png")
    (masks / "text.png").write_text("a letter")
    (masks / "stray.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 200)
    work = step("inpaint", options={"masks": masks, "method": "telea"}, inference=InferenceOptions(runtime.choose("cpu", "fp32")))
    report = run(work, [tmp_path / "in"], tmp_path / "out")
    errors = {record.input.stem: record.error for record in report.records}
    assert {name for name, error in errors.items() if not error} == {"good"}
    assert all(f"mask {masks / name}.png" in error for name, error in errors.items() if name in ("cut", "text")), errors
    assert all(name in error for name, error in errors.items() if error), errors
    assert results(tmp_path / "out") == {"good.png"}


def test_a_mask_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    os.mkfifo(tmp_path / "mask.png")
    options = {"masks": tmp_path / "mask.png", "method": "telea"}
    work = step("inpaint", options=options, inference=InferenceOptions(runtime.choose("cpu", "fp32")))
    report = run(work, [tmp_path / "in"], tmp_path / "out")
    assert "not an ordinary file" in report.records[0].error
