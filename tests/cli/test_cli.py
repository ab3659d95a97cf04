"""The command line: what is written where, in which words, with which exit code. Tasks are stand-ins; no torch needed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image as Pillow
from preloaded import PIPE, Process
from restore_cli import main
from restore_cli.display import summary

from restore.inference.loading import InferenceOptions
from restore.pipeline.records import Record, Report
from restore.pipeline.step import Image, Result, Sidecars, Step
from restore.tasks import TASKS
from restore.tasks.options import DenoiseOptions
from restore.training.journal import Progress

Run = Callable[..., tuple[int, str, str]]


class _Inverse(Step[None]):
    """Turns black to white; `instances` holds every instance."""

    name = "denoise"
    instances: ClassVar[list[_Inverse]] = []

    def __init__(self, options: DenoiseOptions, weights: str | None, inference: InferenceOptions) -> None:
        self.options, self.weights, self.inference = options, weights, inference
        self.instances.append(self)

    def settings(self) -> dict[str, Any]:
        return self.options.as_dict()

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        return Result(1 - image.pixels, {"weights": "denoise-gray", "noise": 12.345, "precision": "fp32", "tile": 0})


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[_Inverse]:
    """A denoise task that needs no network; the list holds every step."""
    monkeypatch.setattr(_Inverse, "instances", [])
    monkeypatch.setitem(TASKS, "denoise", replace(TASKS["denoise"], step=f"{__name__}:_Inverse"))  # type: ignore[arg-type]
    return _Inverse.instances


@pytest.fixture
def restore(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command line; gives the exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        code = stop.value.code or 0
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two pictures and a bad file."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Pillow.fromarray(np.arange(90, dtype=np.uint8).reshape(9, 10)).save(folder / name)
    (folder / "bad\n.png").write_text("no picture")
    return folder


def test_lines_summary_and_failures(restore: Run, steps: list[_Inverse], scans: Path, tmp_path: Path) -> None:
    code, out, err = restore("denoise", scans, "--out", tmp_path / "clean")
    assert code == 1
    assert out == ""
    assert "1/3  done     " in err
    assert "noise 12.3" in err
    assert "bad\\n.png" in err
    assert "images per second" in err
    assert re.search(r"[0-9.e+-]+ s +per megapixel", err)
    assert "denoise-gray (2)" in err
    assert err.count("failed") == 3  # the line, the sum, the list at the end
    assert sorted(path.name for path in (tmp_path / "clean").glob("*.png")) == ["a.png", "b.png"]


def test_all_restored_is_zero_and_again_too(restore: Run, steps: list[_Inverse], scans: Path, tmp_path: Path) -> None:
    (scans / "bad\n.png").unlink()
    assert restore("denoise", scans, "--out", tmp_path / "clean")[0] == 0
    code, _, err = restore("denoise", scans, "--out", tmp_path / "clean")
    assert code == 0
    assert "already done" in err


def test_json_lines_on_standard_output(restore: Run, steps: list[_Inverse], scans: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    code, out, err = restore("denoise", scans, "--out", tmp_path / "clean", "--json", "--quiet", "--report", report)
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [line["status"] for line in lines[:-1]] == ["done", "done", "failed"]
    assert lines[-1]["summary"]["done"] == 2
    assert [json.loads(line) for line in report.read_text().splitlines()] == lines[:-1]
    assert err.count("\n") == 1  # --quiet: what failed, no more


def test_options_reach_the_task(restore: Run, steps: list[_Inverse], scans: Path, tmp_path: Path) -> None:
    restore(
        "denoise", scans / "a.png", "--out", tmp_path / "clean", "--noise-level", "25", "--strength", "0.5", "--weights", "x",
        "--tile", "64", "--batch-size", "2", "--precision", "fp32", "--device", "cpu", "--preview", "auto",
    )  # fmt: skip
    (step,) = steps
    assert step.options == DenoiseOptions(noise_level=25.0, strength=0.5)
    assert (step.weights, step.inference.tile, step.inference.batch_size) == ("x", 64, 2)
    assert step.inference.runtime.precision == "fp32"
    assert (tmp_path / "clean-preview.png").is_file()


@pytest.mark.usefixtures("steps")
@pytest.mark.parametrize(
    ("extra", "word"),
    [
        (["--noise-level", "300"], "0 to 255"),
        (["--noise-level", "much"], "auto"),
        (["--strength", "2"], "strength"),
        (["--tile", "-3"], "pixels"),
        (["--tile", "48"], "at least 64 pixels"),
        (["--report", ""], "--report is empty"),
        (["--report="], "--report is empty"),
        (["--adapt-minutes", "3"], "add adapt"),
        (["--precision", "fp8"], "bf16"),
        (["--device", "abacus"], "abacus"),
        (["--format", "exe"], "exe"),
        (["--nonsense"], "nonsense"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_usage_errors_are_two_and_say_what_is_wrong(restore: Run, scans: Path, extra: list[str], word: str) -> None:
    clean = scans.parent / "clean"
    code, out, err = restore("denoise", scans, "--out", clean, *extra)
    assert (code, out) == (2, "")
    assert word in err
    assert "Traceback" not in err
    assert not clean.exists()


def test_out_in_the_input_is_a_usage_error(restore: Run, steps: list[_Inverse], scans: Path) -> None:
    code, _, err = restore("denoise", scans, "--out", scans / "clean")
    assert code == 2
    assert "inside the input folder" in err


@dataclass(frozen=True)
class _Trained:
    folder: Path
    stats: dict[str, object]


def test_train_hands_its_options_on(restore: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: dict[str, Any] = {}

    def train(method: str, dataset: Path, **rest: Any) -> Any:
        passed.update(rest, method=method, dataset=dataset)
        rest["on_event"]("3 pictures")
        rest["on_event"](Progress(step=5, steps=10, losses={"pixel": 0.25}, images_per_second=8.0, seconds_left=3.0))
        return _Trained(Path("runs/x"), {"held-out pictures": 3, "images per second": 8.25})

    monkeypatch.setattr("restore.api.train", train)
    code, _, err = restore(
        "train", "denoise", "photos", "--steps", "10", "--seed", "3", "--set", "noise.sigma=1,2", "--on-collapse", "stop", "--dry-run"
    )
    assert code == 0
    assert passed["overrides"] == {"noise.sigma": "1,2", "loop.steps": "10", "seed": "3", "monitor.on_collapse": "stop"}
    assert (passed["method"], passed["dataset"], passed["dry_run"], passed["resume"]) == (
        "denoise",
        Path("photos"),
        True,
        False,
    )
    assert "3 pictures" in err
    assert "held-out pictures  3\n" in err and "images per second  8.25\n" in err and "{" not in err
    assert "pixel 0.25" in err
    assert restore("train", "denoise", "photos", "--resume")[0] == 0  # in the folder that the run got by itself
    assert (passed["out"], passed["resume"]) == (None, True)


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        (["--set", "nonsense"], "KEY=VALUE"),
        (["--resume"], "no checkpoint to resume from"),
        (["--on-collapse", "panic"], "must be one of warn, stop, rollback"),
    ],
)
def test_train_usage(restore: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: list[str], why: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    code, _, err = restore("train", "denoise", "photos", *extra)
    assert code == 2
    assert why in " ".join(err.split())


def test_unknown_weights_name_the_known_ones(restore: Run) -> None:
    code, _, err = restore("weights", "show", "no-such-weights")
    assert code == 2
    assert "no-such-weights" in err


def test_a_stack_counts_once_in_the_summary() -> None:
    stats: dict[str, object] = {"precision": [None, "bf16", "bf16"]}
    report = Report(
        planned=2,
        records=[
            Record(Path("a.dcm"), Path("o/a.dcm"), "done", stats=stats),
            Record(Path("b.png"), Path("o/b.png"), "done", stats={"precision": "bf16"}),
        ],
    )
    cells = [str(cell) for column in summary(report).columns for cell in column.cells]
    assert "bf16 (2)" in cells


def test_salvage_is_an_option(steps: list[_Inverse], restore: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Pillow.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64).astype(np.uint8)).save(tmp_path / "in" / "a.png", compress_level=0)
    whole = (tmp_path / "in" / "a.png").read_bytes()
    (tmp_path / "in" / "a.png").write_bytes(whole[: len(whole) // 2])
    code, _, err = restore("denoise", tmp_path / "in", "--out", tmp_path / "out")
    assert code == 1 and "--salvage" in err
    code, lines, _ = restore("denoise", tmp_path / "in", "--out", tmp_path / "out", "--salvage", "--json")
    assert code == 0
    assert "rows are missing" in json.loads(lines.splitlines()[0])["warnings"][0]


def test_shards_are_an_option(steps: list[_Inverse], restore: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for index in range(5):
        Pillow.fromarray(np.full((16, 16), 40 * index, np.uint8)).save(tmp_path / "in" / f"{index}.png")
    for shard in ("1/2", "2/2"):
        code, lines, _ = restore("denoise", tmp_path / "in", "--out", tmp_path / "out", "--shard", shard, "--json")
        assert code == 0
        assert json.loads(lines.splitlines()[-1])["summary"]["remarks"][0].startswith(f"shard {shard[0]} of 2: ")
    assert len(list((tmp_path / "out").glob("*.png"))) == 5
    code, _, err = restore("denoise", tmp_path / "in", "--out", tmp_path / "out", "--shard", "3/2")
    assert code == 2 and "1/2 to 2/2" in err


def test_doctor_says_what_will_be_used(restore: Run) -> None:
    _, out, _ = restore("doctor", "--json")
    findings = {finding["what"]: finding for finding in map(json.loads, out.splitlines())}
    assert findings["restore will use"]["state"] == "ok"
    assert {"memory", "torch", "device cpu", "DICOM JPEG 2000"} <= findings.keys()


def test_version_and_help_need_no_torch() -> None:
    code = "import sys; from restore_cli import main\ntry: main([sys.argv[1]])\nfinally: assert 'torch' not in sys.modules"
    for option, word in (("--version", "restore 0"), ("--help", "denoise")):
        done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, timeout=300, check=True)
        assert word in done.stdout


_PROGRAM = """
import dataclasses, sys, time
import restore.tasks, restore_cli
from restore.pipeline.step import Result, Step
class Slow(Step):
    name = "denoise"
    def __init__(self, *_): pass
    def settings(self): return {}
    def __call__(self, image, analysis=None, sidecars=None):
        if image.info.path.name == "b.png":
            print("in the network", flush=True)
            for _ in range(1200): time.sleep(0.05)
        return Result(image.pixels)
tasks = restore.tasks.TASKS
tasks["denoise"] = dataclasses.replace(tasks["denoise"], step="__main__:Slow")
restore_cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize("number", [1, 2, 15], ids=["SIGHUP", "SIGINT", "SIGTERM"])
def test_stopped_by_a_signal(scans: Path, tmp_path: Path, number: int) -> None:
    process = Process(["-c", _PROGRAM, "denoise", scans, "--out", tmp_path / "clean"], stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert "in the network" in process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=50)  # the picture alone takes 60 seconds
    assert process.returncode == 128 + number
    assert "not reached" in err
    assert "Traceback" not in err


def test_an_interrupt_that_an_import_turned_into_another_error_is_still_one(restore: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ImportError("a compiled module failed to import") from error

    monkeypatch.setattr("restore.weights.listing", broken)
    before = signal.getsignal(signal.SIGINT)
    code, _, err = restore("weights", "list")
    assert code == 130 and "interrupted" in err and "Traceback" not in err
    assert signal.getsignal(signal.SIGINT) is before


def test_a_working_folder_that_was_removed_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    code = "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]); from restore_cli import main; main(['weights', 'list'])"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "gone")], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr == "restore: the working folder does not exist any more: change to another one\n"
