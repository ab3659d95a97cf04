"""URLs on the command line: both slashes arrive, and messages name them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import fsspec
import numpy as np
import pytest
from PIL import Image
from restore_cli import app
from typer.testing import CliRunner

IN, OUT = "memory://command/in", "memory://command/out"


@pytest.fixture(autouse=True)
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    fs = fsspec.filesystem("memory", use_listings_cache=False)
    with fs.open("/command/in/a.png", "wb") as file:
        Image.fromarray(np.arange(768, dtype=np.uint8).reshape(24, 32)).save(file, "PNG")
    fs.pipe_file("/command/in/bad.png", b"no picture")
    yield fs
    fs.rm("/command", recursive=True)


def test_a_command_reads_and_writes_urls(memory: fsspec.AbstractFileSystem) -> None:
    result = CliRunner().invoke(app, ["simulate", IN, "--out", OUT, "--recipe", "gaussian", "--json", "--executor", "serial"])
    assert result.exit_code == 1, result.output
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(record["input"], record["output"]) for record in records[:2]] == [(f"{IN}/a.png", f"{OUT}/a.png"), (f"{IN}/bad.png", None)]
    assert f"failed  {IN}/bad.png: not a picture that restore reads" in result.stderr
    assert memory.cat_file("/command/out/a.png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "https://example.org/"], "https://example.org can only be read"),
        (["--out", OUT, "--html", "page.html"], "--html reads inputs and results of this machine"),
        (["--out", OUT, "--executor", "slurm"], "must be one of threads, serial, ray"),
        (["--out", f"{IN}/deep"], "lies inside the input"),
    ],
)
def test_what_cannot_be_is_refused(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["simulate", IN, "--recipe", "gaussian", *arguments])
    assert result.exit_code
    told = f"{result.stderr} {result.exception}"  # `main` prints a ValueError and ends with 2
    assert message in " ".join(told.replace("│", " ").split())
