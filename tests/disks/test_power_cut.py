"""Runs that are killed while unflushed content is lost: a rerun completes, and its tree equals that of an uninterrupted run byte for byte.

The long form is `python tests/fuzz --kills 100`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random

import power_cut
import pytest
from batch_steps import Inverse, folder, results, tree

from restore import writing
from restore.pipeline.batch import run


def test_killed_runs_complete_whatever_was_lost(tmp_path: Path) -> None:
    assert power_cut.trials(4, 1, tmp_path) == []


def test_the_loss_takes_what_was_not_flushed_and_nothing_else(tmp_path: Path) -> None:
    """Else the trials would prove nothing."""
    out, log = tmp_path / "out", tmp_path / "log"
    out.mkdir()
    for name in ("flushed", "unflushed", "unsure"):
        (out / name).write_text("words")
    number, unsure = (out / "flushed").stat().st_ino, (out / "unsure").stat().st_ino
    lines = [{"flushed": number, "size": 5}, {"flushed": unsure, "size": 5}, {"named": unsure, "to": str(out / "unsure")}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    lost = set()
    for seed in range(20):
        (out / "unsure").write_text("words")
        with (out / "unflushed").open("w") as file:
            file.write("words")
        power_cut.lose(out, log, Random(seed))
        assert (out / "flushed").read_text() == "words"
        assert (out / "unflushed").read_bytes() != b"words"
        lost.add((out / "unsure").exists())
        if not (out / "unsure").exists():
            (out / "unsure").write_text("words")
            log.write_text(log.read_text().replace(str(unsure), str((out / "unsure").stat().st_ino)))
            unsure = (out / "unsure").stat().st_ino
    assert lost == {True, False}


def test_every_result_and_record_is_flushed_before_its_rename_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[tuple[int, int]] = []
    named: list[str] = []
    flush, rename = os.fsync, os.replace

    def fsync(handle: int) -> None:
        flush(handle)
        flushed.append((os.fstat(handle).st_ino, os.fstat(handle).st_size))

    def replace(source: Path, target: Path) -> None:
        status = source.stat()
        assert (status.st_ino, status.st_size) in flushed, target
        rename(source, target)
        named.append(str(target))

    monkeypatch.setattr(writing.os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    folder(tmp_path / "in", 3)
    run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    assert len(named) == 6
    for folder_name in ("out", "out/deep", "out/.restore/done"):
        assert (tmp_path / folder_name).stat().st_ino in {number for number, _ in flushed}
    assert results(tmp_path / "out") and tree(tmp_path / "out")
