"""Two processes that train one network, joined by gloo: the same as one with the whole batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from preloaded import PIPE, Process
from train_together import train

from restore.distributed import ProcessGroup
from restore.training import checkpoint

SCRIPT = Path(__file__).with_name("train_together.py")
ON_CPU = {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
Photos = Callable[..., Path]


def _train_by_two(*arguments: object) -> None:
    """Two processes with the variables that torchrun gives them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {**os.environ, **ON_CPU, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    both = [Process([SCRIPT, *arguments], stderr=PIPE, env={**group, "RANK": rank, "LOCAL_RANK": rank}) for rank in "01"]
    for process in both:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said[-3000:]


def _train_by_torchrun(*arguments: object) -> None:
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    command = [sys.executable, *launcher, str(SCRIPT), *map(str, arguments)]
    environment = {**os.environ, **ON_CPU, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]


def _numbers(state: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(state, torch.Tensor):
        if state.is_floating_point():
            yield name, state
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from _numbers(value, f"{name}.{key}")
    elif isinstance(state, list | tuple):
        for index, value in enumerate(state):
            yield from _numbers(value, f"{name}.{index}")


def _losses(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "images_per_second"} for row in rows if "images_per_second" in row]


@pytest.mark.parametrize("method", ["cyclegan", "denoise", "r3gan", pytest.param("pix2pix", marks=pytest.mark.slow)])
def test_two_processes_are_one_with_their_batches_together(photos: Photos, tmp_path: Path, method: str) -> None:
    for name in ("source", "target"):
        photos(tmp_path / "pairs" / name, 4, size=(48, 60), channels=3)
    train(method, tmp_path / "pairs", tmp_path / "one", 2)
    (_train_by_torchrun if method == "denoise" else _train_by_two)(method, tmp_path / "pairs", tmp_path / "two", 2)
    assert json.loads((tmp_path / "two" / "process-1.json").read_text())["count"] == 2
    for alone, together in zip(_losses(tmp_path / "one"), _losses(tmp_path / "two"), strict=True):
        assert together == pytest.approx(alone, rel=2e-3, abs=1e-5)
    first, second = (torch.load(tmp_path / "two" / f"process-{index}.pt", weights_only=True) for index in range(2))
    for (name, mine), (_, other) in zip(_numbers(first), _numbers(second), strict=True):
        assert "image_buffer" in name or torch.equal(mine, other), name
    # what two wrote, one goes on with
    train(method, tmp_path / "pairs", tmp_path / "two", 4, resume=True)
    assert torch.load(tmp_path / "two" / checkpoint.NAME, weights_only=True)["step"] == 4
    assert [row["step"] for row in _losses(tmp_path / "two")] == [1, 2, 3, 4]


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    assert ProcessGroup(2, 1).per_process(6, "loop.batch_size") == 3
    with pytest.raises(ValueError, match=r"loop\.batch_size must be a multiple of the 2 processes"):
        ProcessGroup(2, 1).per_process(5, "loop.batch_size")
