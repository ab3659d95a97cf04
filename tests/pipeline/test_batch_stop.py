"""Runs that end before their time: killed at any moment, or stopped by the user."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from batch_steps import Inverse, folder, picture, results, tree
from preloaded import PIPE, Process

from restore.pipeline.batch import Interrupted, run

_SCRIPT = Path(__file__).with_name("batch_process.py")
_WAIT = 120
"""Seconds after which a process that should have ended is given up; generous, for busy machines."""


def _start(*arguments: object) -> Process:
    return Process([_SCRIPT, *arguments], stdout=PIPE)


def _wait_for(process: Process, text: str) -> None:
    assert process.stdout is not None
    assert any(text in line for line in process.stdout), f"the process ended without saying {text!r}"


def _whole(root: Path) -> Path:
    """A folder of pictures and next to it the results of an uninterrupted run."""
    folder(root / "in", 9)
    run(Inverse(), [root / "in"], root / "whole")
    return root / "in"


def _check_killed(root: Path, out: Path) -> None:
    """Nothing partial lies under `out`, and a rerun makes the rest and only that."""
    expected = tree(root / "whole")
    left = tree(out) if out.exists() else {}
    settled = {name: content for name, content in left.items() if not name.startswith(".restore/tmp")}
    assert settled.items() <= expected.items()
    present = results(out) if out.exists() else set()
    report = run(Inverse(), [root / "in"], out)
    assert (report.skipped, report.done, report.failed) == (len(present), 9 - len(present), 0)
    assert tree(out) == expected


@pytest.mark.parametrize("moment", [2, 23, 44])
def test_killed_at_a_file_operation(tmp_path: Path, moment: int) -> None:
    source, out = _whole(tmp_path), tmp_path / "out"
    process = _start(source, out, "--kill-at", moment)
    process.communicate(timeout=_WAIT)
    assert process.returncode == -signal.SIGKILL
    _check_killed(tmp_path, out)


@pytest.mark.slow
def test_killed_at_every_file_operation(tmp_path: Path) -> None:
    source = _whole(tmp_path)
    for moment in range(1, 1000):
        out = tmp_path / f"out{moment}"
        process = _start(source, out, "--kill-at", moment)
        process.communicate(timeout=_WAIT)
        if process.returncode == 0:
            break
        _check_killed(tmp_path, out)
    assert moment > 40


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_a_random_moment(tmp_path: Path, seed: int) -> None:
    source, out = _whole(tmp_path), tmp_path / "out"
    process = _start(source, out, "--seconds", 0.03)
    _wait_for(process, "plan")
    time.sleep(random.Random(seed).uniform(0, 0.3))
    process.kill()
    process.communicate(timeout=_WAIT)
    _check_killed(tmp_path, out)


@pytest.mark.parametrize(("slow", "sign"), [("network", "in the network"), ("save", "being written"), ("decode", "in the decoder")])
def test_ctrl_c_ends_with_a_summary(tmp_path: Path, slow: str, sign: str) -> None:
    """Neither a picture that is minutes in the network nor one that is minutes in the encoder or in a decoder holds the end up."""
    folder(tmp_path / "in", 2)
    picture(tmp_path / f"in/slow.{'jpg' if slow == 'decode' else 'png'}", 5)
    process = _start(tmp_path / "in", tmp_path / "out", "--slow", slow)
    _wait_for(process, sign)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=50)  # the slow step alone takes 60 seconds
    assert process.returncode == 130
    assert "'interrupted': True" in output
    assert results(tmp_path / "out") <= {"000.png", "001.png"}
    assert not (tmp_path / "out/.restore/tmp").exists()


def test_what_was_done_before_the_stop_is_in_the_report(tmp_path: Path) -> None:
    folder(tmp_path / "in", 6)

    class Stops(Inverse):
        def __call__(self, image: Any, analysis: Any = None, sidecars: Any = None) -> Any:
            if len(self.processed) == 3:
                raise KeyboardInterrupt
            return super().__call__(image)

    with pytest.raises(Interrupted) as stop:
        run(Stops(), [tmp_path / "in"], tmp_path / "out")
    report = stop.value.report
    assert report.interrupted
    assert (report.done, report.failed, report.unreached) == (3, 0, 3)
    assert len(results(tmp_path / "out")) == 3
    assert run(Inverse(), [tmp_path / "in"], tmp_path / "out").skipped == 3
