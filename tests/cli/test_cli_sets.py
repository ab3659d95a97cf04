"""`restore evaluate --sets` and `restore weights fetch-backbones`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from restore_cli import main

from restore.metrics.extractors import EXTRACTORS, Extractor, Features

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command; the extractor `vgg16` is the mean and the deviation."""

    def extract(pictures: Iterable[np.ndarray]) -> Features:
        return Features(np.array([[picture.mean(), picture.std()] for picture in pictures]))

    monkeypatch.setattr("restore.metrics.sets.EXTRACTORS", {**EXTRACTORS, "vgg16": Extractor(extract, "mean and deviation")})

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        return int(stop.value.code or 0), *capsys.readouterr()

    return call


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two folders of ten pictures."""
    made = [tmp_path / "made", tmp_path / "real"]
    for number, folder in enumerate(made):
        folder.mkdir()
        random = np.random.default_rng(number)
        for index in range(10):
            Image.fromarray(random.integers(0, 200, (20, 30), dtype=np.uint8)).save(folder / f"{index}.png")
    return made


def test_sets_are_compared_with_their_protocol(run: Run, folders: list[Path]) -> None:
    page = folders[1].parent / "page.html"
    code, out, err = run("evaluate", *folders, "--sets", "--training", folders[0], "--html", page)
    assert code == 0 and f"report: {page}" in err and "nearest training picture" in page.read_text(encoding="utf-8")
    assert {line.split()[0] for line in out.splitlines()} >= {"fid", "kid", "coverage", "diversity", "copy", "copies", "extractor"}
    assert "copies          copies: the pictures are nearer" in out, "the results are the training pictures"
    assert "95 % interval" in out and "mean and deviation" in out
    for name in ("fid", "recall", "coverage"):
        assert f"{name} is " in err
    assert err.count("the smaller set has 10") == 5 and "kid is" not in err
    code, out, _ = run("evaluate", *folders, "--sets", "--json", "--metrics", "kid")
    found = json.loads(out)
    assert code == 0 and set(found["scores"]) == {"kid"} and found["protocol"]["results"] == "10"
    assert found["copies"] is None and found["classes"] == {}


def test_sets_refuse_what_is_for_pairs(run: Run, folders: list[Path], tmp_path: Path) -> None:
    assert run("evaluate", *folders, "--sets", "--csv", tmp_path / "table.csv")[0] == 2
    assert run("evaluate", *folders, "--sets", "--html", tmp_path)[0] == 2
    code, _, err = run("evaluate", *folders, "--sets", "--extractor", "classifier")
    assert code == 2 and "--training" in err
    code, _, err = run("evaluate", *folders, "--sets", "--metrics", "psnr")
    assert code == 2 and "fid" in err
    code, _, err = run("evaluate", folders[0] / "0.png", folders[1], "--sets")
    assert code == 2 and "compares folders" in err
    code, _, err = run("evaluate", *folders, "--sets", "--extractor", "vgg")
    assert code == 2 and "did you mean vgg16" in err
    code, _, err = run("evaluate", *folders, "--extractor", "pixels")
    assert code == 2 and "add --sets" in err


def test_a_bad_picture_costs_a_line(run: Run, folders: list[Path]) -> None:
    (folders[0] / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    code, out, err = run("evaluate", *folders, "--sets")
    assert code == 1 and "not read: bad.png" in err and "fid" in out


def test_fetching_backbones(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fetch(name: str, _on_progress: object) -> Path | None:
        if name == "alexnet":
            raise OSError("no route to host")
        return tmp_path / name if name == "vgg16" else None

    monkeypatch.setattr("restore.networks.backbone_files.fetch", fetch)
    code, out, err = run("weights", "fetch-backbones")
    assert code == 1
    assert all(line.strip() for line in (out + err).splitlines()), "no empty lines where there is no terminal"
    assert "vgg16:" in out and "alexnet could not be downloaded (no route to host)" in err and "restore-suite[metrics]" in err
    code, _, err = run("weights", "fetch-backbones", "alexnt")
    assert code == 2 and "did you mean alexnet" in err


def test_no_picture_is_replaced_by_a_table_or_a_page(run: Run, folders: list[Path]) -> None:
    before = (folders[1] / "0.png").read_bytes()
    for flag in ("--html", "--csv"):
        code, _, err = run("evaluate", *folders, "--metrics", "psnr", flag, folders[1] / "0.png")
        assert code == 2 and "is a picture: name another file" in err
        assert run("evaluate", *folders, "--metrics", "psnr", flag, folders[1])[0] == 2
    assert (folders[1] / "0.png").read_bytes() == before


def test_maps_of_confidence_are_no_members_of_a_set(run: Run, folders: list[Path]) -> None:
    for name in ("0.error.png", "0.bound.png"):
        (folders[0] / name).write_bytes((folders[0] / "0.png").read_bytes())
    code, out, _ = run("evaluate", *folders, "--sets", "--json")
    assert code == 0 and json.loads(out)["protocol"]["results"] == "10"


def test_the_training_pictures_are_for_sets(run: Run, folders: list[Path]) -> None:
    code, _, err = run("evaluate", *folders, "--training", folders[1])
    assert code == 2 and "add --sets" in err
