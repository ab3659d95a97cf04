"""Learning curves from logs."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def curves(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    import learning_curves

    return learning_curves


def _run(folder: Path, rows: list[dict[str, float]], batch: int = 36) -> Path:
    folder.mkdir()
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "config.toml").write_text(f"[loop]\nbatch_size = {batch}\n")
    return folder


def test_hours_are_steps_by_pace_and_scores_those_of_the_log(curves: ModuleType, tmp_path: Path) -> None:
    rows: list[dict[str, float]] = [
        {"step": 100, "pixel": 0.2, "images_per_second": 1.0},
        {"step": 100, "validation psnr": 20.0, "validation lpips": 0.4},
        {"step": 200, "pixel": 0.1, "images_per_second": 2.0},
        {"step": 200, "validation psnr": 25.0, "validation lpips": 0.3},
    ]
    run = _run(tmp_path / "a", rows)
    course = curves.course(run)
    assert course.hours == [(100, 1.0), (200, 1.5)] and course.hours_at(150) == 1.25 and course.hours_at(900) == 1.5
    assert course.scores == {"PSNR, dB": [(100, 20.0), (200, 25.0)], "LPIPS": [(100, 0.4), (200, 0.3)]}
    other = _run(tmp_path / "b", [row for row in rows if "pixel" in row])
    assert curves.course(other / "log.jsonl").scores == {"loss": [(100, 0.2), (200, 0.1)]}
    curves.main([str(run), str(other), "--out", str(tmp_path / "out" / "both.png")])
    with Image.open(tmp_path / "out" / "both.png") as drawing:
        assert drawing.width > 500
    with pytest.raises(ValueError, match=r"no log\.jsonl"):
        curves.course(tmp_path)
