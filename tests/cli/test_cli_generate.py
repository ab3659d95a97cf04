"""`restore generate` from the command line: files, JSON lines, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from restore_cli import app
from typer.testing import CliRunner

from restore import weights
from restore.networks import generators
from restore.networks.generators.mlp import MLPConfig


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    settings = generators.settings_of(MLPConfig(latent=4, widths=(8,)), channels=1, side=8, classes=0)
    recipe = {"task": "generate", "network": "mlp", "settings": settings}
    weights.save(tmp_path / "tiny.safetensors", generators.build("mlp", settings).state_dict(), recipe)
    return tmp_path / "tiny.safetensors"


def _run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["generate", *map(str, words)])
    return result.exit_code, result.stdout


def test_pictures_a_grid_a_report_and_json_lines(generator: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "pictures"
    also = ("--grid", "auto", "--json", "--report", tmp_path / "r.jsonl", "-q")
    code, stdout = _run("--weights", generator, "--out", out, "--count", 3, *also)
    assert code == 0
    assert sorted(path.name for path in out.glob("*.png")) == ["00000000.png", "00000001.png", "00000002.png"]
    assert (tmp_path / "new" / "pictures-grid.png").is_file()
    *rows, summary = [json.loads(line) for line in stdout.splitlines()]
    assert [row["seed"] for row in rows] == [0, 1, 2] and summary["summary"]["done"] == 3
    assert (tmp_path / "r.jsonl").read_text().splitlines() == [json.dumps(row) for row in rows]


def test_what_fails_gives_one_and_usage_gives_two(generator: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "00000000.png").write_bytes(b"mine")
    assert _run("--weights", generator, "--out", out, "--count", 2, "-q")[0] == 1
    assert _run("--weights", generator, "--out", out, "--count", 2, "--interpolate", 3, 4, "-q")[0] == 0
    assert _run("--weights", generator, "--out", out, "--count", 0)[0] == 2
    assert _run("--out", out)[0] == 2
