"""What the command line tells with results: warnings, what was ignored, files that could not be written, and nothing of libraries."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import preloaded
import pytest
from PIL import Image as Pillow
from pydicom.data import get_testdata_file
from restore_cli import display, main

from restore.pipeline.step import Image, Result, Sidecars, Step
from restore.tasks import TASKS

Run = Callable[..., tuple[int, str, str]]
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full here")


class _Warning(Step[None]):
    """Warns of every picture but a.png, as a task, a library's warning, and a library's log."""

    name = "denoise"

    def __init__(self, *_: Any) -> None:
        """Takes no notice of options and weights."""

    def settings(self) -> dict[str, Any]:
        return {}

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        warnings.warn("of a library", UserWarning, stacklevel=1)
        logging.getLogger("somelibrary").warning("logged by a library")
        texts = [] if image.info.path.name == "a.png" else ["The end of the file is missing.", "Its second picture is not kept."]
        return Result(image.pixels, warnings=tuple(texts))


@pytest.fixture
def restore(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line with a stand-in task; gives the exit code, standard output and standard error."""
    monkeypatch.setitem(TASKS, "denoise", replace(TASKS["denoise"], step=f"{__name__}:_Warning"))  # type: ignore[arg-type]

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        return int(stop.value.code or 0), *capsys.readouterr()

    return call


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Pillow.fromarray(np.arange(90, dtype=np.uint8).reshape(9, 10)).save(folder / name)
    return folder


def test_warnings_are_lines_below_their_picture_and_counted(restore: Run, scans: Path, tmp_path: Path) -> None:
    code, out, err = restore("denoise", scans, "--out", tmp_path / "clean")
    lines = [line.strip() for line in err.splitlines()]
    assert (code, out) == (0, "")
    at = next(index for index, line in enumerate(lines) if "b.png" in line)
    assert lines[at + 1 : at + 3] == ["warning  The end of the file is missing.", "warning  Its second picture is not kept."]
    assert err.count("warning  ") == 4
    assert "warnings 4 in 2 pictures" in " ".join(err.split())
    assert "library" not in err


def test_json_and_report_carry_every_warning_and_quiet_shows_none(restore: Run, scans: Path, tmp_path: Path) -> None:
    code, out, err = restore("denoise", scans, "--out", tmp_path / "clean", "--json", "--quiet", "--report", tmp_path / "r.jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert err == ""
    assert [len(row["warnings"]) for row in rows[:-1]] == [0, 2, 2]
    assert rows[-1]["summary"]["warnings"] == 4
    assert [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()] == rows[:-1]


def test_above_a_bar_a_warning_names_its_picture(restore: Run, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    monkeypatch.setattr(display, "Console", lambda **settings: Console(**settings, force_terminal=True, width=200))
    _, _, err = restore("denoise", scans, "--out", tmp_path / "clean")
    assert "b.png: The end of the file is missing." in err
    assert "library" not in err


def test_renamed_results_have_a_warning(restore: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "a.bmp"):
        Pillow.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "in" / name)
    code, _, err = restore("denoise", tmp_path / "in", "--out", tmp_path / "out", "--format", "png")
    assert code == 0
    assert "a.bmp.png" in err and "same name a.png" in err
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["a.bmp.png", "a.png"]


def test_a_study_does_not_fail_for_its_reports(restore: Run, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    for name in ("CT_small.dcm", "reportsi.dcm", "rtplan.dcm", "DICOMDIR"):
        (tmp_path / "study" / name).write_bytes(Path(str(get_testdata_file(name))).read_bytes())
    code, out, err = restore("denoise", tmp_path / "study", "--out", tmp_path / "out", "--json")
    assert code == 0
    assert "DICOM objects without pictures (1 DICOMDIR, 1 RTPLAN, 1 SR)" in err
    assert json.loads(out.splitlines()[-1])["summary"]["ignored_dicom"] == {"DICOMDIR": 1, "RTPLAN": 1, "SR": 1}


@needs_full
@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_an_unwritable_report_is_reported_and_exits_with_one(restore: Run, scans: Path, tmp_path: Path, quiet: tuple[str, ...]) -> None:
    code, _, err = restore("denoise", scans, "--out", tmp_path / "clean", "--report", FULL, *quiet)
    assert code == 1
    assert "/dev/full" in err and "space left" in err
    assert len(list((tmp_path / "clean").glob("*.png"))) == 3


_PROGRAM = """
import dataclasses, sys
import restore.tasks, restore_cli
from restore.pipeline.step import Result, Step
class Same(Step):
    name = "denoise"
    def __init__(self, *_): pass
    def settings(self): return {}
    def __call__(self, image, analysis=None, sidecars=None): return Result(image.pixels)
tasks = restore.tasks.TASKS
tasks["denoise"] = dataclasses.replace(tasks["denoise"], step="__main__:Same")
restore_cli.main(sys.argv[1:])
"""


@needs_full
def test_json_lines_on_a_full_disk_end_no_run(scans: Path, tmp_path: Path) -> None:
    with FULL.open("w") as full:
        command = ["-c", _PROGRAM, "denoise", scans, "--out", tmp_path / "clean", "--json"]
        done = preloaded.run(command, stdout=full, stderr=preloaded.PIPE, timeout=300)
    assert done.returncode == 1
    assert "standard output" in done.stderr
    assert "Exception ignored" not in done.stderr and "Traceback" not in done.stderr
    assert len(list((tmp_path / "clean").glob("*.png"))) == 3


def test_json_lines_into_a_closed_pipe_end_no_run(scans: Path, tmp_path: Path) -> None:
    command = ["-c", _PROGRAM, "denoise", scans, "--out", tmp_path / "clean", "--json"]
    process = preloaded.Process(command, stdout=preloaded.PIPE, stderr=preloaded.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=300) == 1
    assert "standard output" in err
    assert "Exception ignored" not in err and "Traceback" not in err
    assert len(list((tmp_path / "clean").glob("*.png"))) == 3


def test_an_error_names_the_file_that_could_not_be_written(restore: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "runs/x/log.jsonl")

    monkeypatch.setattr("restore.api.train", train)
    code, _, err = restore("train", "denoise", "photos")
    assert code == 1
    assert "no space left on device: runs/x/log.jsonl" in err


def test_the_exit_codes_are_in_the_help(restore: Run) -> None:
    code, out, _ = restore("--help")
    assert code == 0
    assert "0 all done" in out and "130 interrupted" in " ".join(out.split())


def test_weights_say_what_they_are_for_and_their_licence(restore: Run) -> None:
    code, out, _ = restore("weights", "list")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "radiographs" in lines["denoise-xray"] and "gray photographs and scans" in lines["denoise-gray"]
    assert "--scale above 2" in lines["upscale-x4"] and "research" in lines["facades"]
    assert all("unstated" not in line for line in lines.values())
    rows = {row["name"]: row for row in map(json.loads, restore("weights", "list", "--json")[1].splitlines())}
    assert rows.keys() == lines.keys()
    assert rows["denoise-xray"]["licence"].startswith("open, share-alike") and rows["denoise-gray"]["licence"] == "non-commercial"
    assert rows["upscale-x2"]["for"] == "photographs, --scale up to 2"


def test_train_takes_device_and_precision(restore: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: dict[str, Any] = {}

    def train(method: str, dataset: Path, **rest: Any) -> Any:
        passed.update(rest)
        return SimpleNamespace(folder=Path("runs/x"))

    monkeypatch.setattr("restore.api.train", train)
    assert restore("train", "denoise", "photos", "--device", "cpu", "--precision", "fp32")[0] == 0
    assert passed["overrides"] == {"device": "cpu", "precision": "fp32"}
    assert restore("train", "pix2pix", "photos", "--set", "precision=bf16", "--precision", "fp32", "--resume")[0] == 0
    assert passed["overrides"] == {"precision": "fp32"}
    code, _, err = restore("train", "denoise", "photos", "--precision", "fp8")
    assert code == 2
    assert "fp32" in err
