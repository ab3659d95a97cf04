"""Decoders that fail, memory that runs out and results that cannot be read: each costs one picture and one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_steps import Inverse, folder, looping, picture, results
from PIL import Image as Pillow

from restore.images import decoding
from restore.images.codecs.png import chunks
from restore.images.codecs.webp import codec as webp
from restore.pipeline.batch import run
from restore.pipeline.step import Image, Result, Sidecars


def _webp(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.random.default_rng(1).integers(0, 256, (12, 17, 3), dtype=np.uint8)).save(path, lossless=True)
    return path


def test_a_decoder_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "in", 4)
    _webp(tmp_path / "in/000.webp")
    monkeypatch.setattr(webp, "decode", looping)
    monkeypatch.setattr(decoding, "SECONDS", 1.0)
    report = run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    assert (report.done, report.failed) == (4, 1)
    (record,) = (record for record in report.records if record.status == "failed")
    assert record.input.name == "000.webp" and "still busy after 1 s" in record.error


class Starving(Inverse):
    """Runs out of memory at each picture whose name holds "big", the first `times` times."""

    def __init__(self, times: int, error: Exception) -> None:
        super().__init__()
        self.times, self.error = times, error

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        if "big" in image.info.path.name and self.times:
            self.times -= 1
            raise self.error
        return super().__call__(image)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_memory_that_runs_out_once_costs_nothing(error: Exception, tmp_path: Path) -> None:
    folder(tmp_path / "in", 6)
    picture(tmp_path / "in/001-big.png", 7)
    report = run(Starving(1, error), [tmp_path / "in"], tmp_path / "out")
    assert (report.done, report.failed) == (7, 0)
    whole = run(Inverse(), [tmp_path / "in"], tmp_path / "whole")
    assert whole.done == 7
    for name in results(tmp_path / "whole"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_memory_that_runs_out_for_good_costs_one_picture(tmp_path: Path) -> None:
    folder(tmp_path / "in", 6)
    picture(tmp_path / "in/001-big.png", 7)
    report = run(Starving(99, MemoryError()), [tmp_path / "in"], tmp_path / "out")
    assert (report.done, report.failed) == (6, 1)
    assert [record.error for record in report.records if record.error] == ["not enough memory"]


@pytest.mark.parametrize("times", [1, 99])
def test_memory_that_runs_out_while_decoding(times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "in", 3)
    _webp(tmp_path / "in/big.webp")
    left = [times]

    def call(function: Any, *arguments: Any, samples: int, coded: int) -> Any:
        if left[0] and function is webp.decode:
            left[0] -= 1
            raise MemoryError("decoding it takes more than 256 MB")
        return real(function, *arguments, samples=samples, coded=coded)

    real = decoding.call
    monkeypatch.setattr(decoding, "call", call)
    report = run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    assert (report.done, report.failed) == ((4, 0) if times == 1 else (3, 1))
    errors = [record.error for record in report.records if record.error]
    assert errors == ([] if times == 1 else ["not enough memory: decoding it takes more than 256 MB"])


def test_a_picture_larger_than_the_free_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "in", 3)
    picture(tmp_path / "in/big.png", 7, (40, 50))
    monkeypatch.setattr("restore.pipeline.process.free_memory", lambda: 4 * 12 * 17)
    report = run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    assert (report.done, report.failed) == (3, 1)
    assert "not enough memory: it takes 0 MB" in next(record.error for record in report.records if record.error)


def test_a_result_that_cannot_be_read_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "in", 3)
    real = chunks.encoded_idat
    monkeypatch.setattr(chunks, "encoded_idat", lambda samples, depth, level: real(samples, depth, level)[:-20])
    report = run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    assert (report.done, report.failed) == (0, 3)
    assert all("its result cannot be read and was not kept" in record.error for record in report.records)
    assert not results(tmp_path / "out")
