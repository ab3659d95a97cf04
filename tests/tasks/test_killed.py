"""A training that is killed (-9), wherever it stands, goes on as if nothing had been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from restore import weights
from restore.training import checkpoint

Photos = Callable[..., Path]
SCRIPT = Path(__file__).with_name("train_killed.py")


def _run(method: str, dataset: Path, out: Path, kills: int, seed: int) -> list[dict[str, Any]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(SCRIPT), method, str(dataset), str(out), str(kills), str(seed)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def _assert_same(first: Any, second: Any) -> None:
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            _assert_same(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            _assert_same(one, other)
    else:
        assert first == second


def _check(tmp_path: Path, photos: Photos, kills: int, seed: int, method: str) -> None:
    dataset = photos(tmp_path / "d" / "A", channels=3).parent
    photos(dataset / "B", channels=3)
    dataset = dataset if method == "cyclegan" else dataset / "A"
    first, *ends = _run(method, dataset, tmp_path, kills, seed)
    assert first == {"straight": 0}
    assert ends[-1] == {"code": 0, "killed": kills}, ends
    assert all(end["code"] in (0, -9) for end in ends)
    states = [torch.load(tmp_path / name / "run" / checkpoint.NAME, weights_only=True) for name in ("killed", "straight")]
    _assert_same(*states)
    tensors = [weights.load(tmp_path / name / "run" / "run.safetensors")[0] for name in ("killed", "straight")]
    _assert_same(*tensors)
    names = [{path.name for path in (tmp_path / name / "run").iterdir()} for name in ("killed", "straight")]
    assert names[0] == names[1], "something is missing, or something half-written was left"
    texts = [(tmp_path / name / "run" / "log.jsonl").read_text() for name in ("killed", "straight")]
    rows = [[json.loads(line) for line in text.splitlines()] for text in texts]
    logs = [[row["step"] for row in part if "images_per_second" in row] for part in rows]
    assert logs[0] == logs[1] == [3, 6, 9, 12]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_and_resumed_equals_straight(tmp_path: Path, photos: Photos) -> None:
    _check(tmp_path, photos, 8, 1, "denoise")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("method", ["denoise", "cyclegan"])
@pytest.mark.parametrize("seed", range(3))
def test_killed_fifty_times_and_resumed_equals_straight(tmp_path: Path, photos: Photos, method: str, seed: int) -> None:
    _check(tmp_path, photos, 50, seed, method)
