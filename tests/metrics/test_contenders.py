"""Several contenders against one reference: which pictures count, intervals, protocols, stored scores."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.data import get_testdata_file
from restore_cli import main

from restore.metrics import METRICS
from restore.metrics import comparison as scoring
from restore.metrics.comparison import saved_scores
from restore.metrics.comparison.intervals import intervals

Smooth = Callable[..., np.ndarray]
PSNR = scoring.Setting({"psnr": METRICS["psnr"]})


def _save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(np.clip(picture[:, :, 0], 0, 1) * 255).astype(np.uint8)).save(path)


@pytest.fixture
def three(tmp_path: Path, smooth: Smooth) -> tuple[Path, Path, Path]:
    """A reference of six pictures, results that are 0.02 off, and another contender that is 0.04 off."""
    folders = (tmp_path / "reference", tmp_path / "ours", tmp_path / "theirs")
    for index in range(6):
        picture = 0.2 + 0.6 * smooth(32, 32, seed=index)
        for folder, offset in zip(folders, (0, 0.02, 0.04), strict=True):
            _save(folder / f"{index}.png", picture + offset * (1 + index / 10))
    return folders


def _json(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[dict[str, object]], str]:
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), [json.loads(line) for line in out.splitlines()], err


def test_contenders_stand_side_by_side(three: tuple[Path, Path, Path]) -> None:
    reference, ours, theirs = three
    found = scoring.compare(ours, reference, against=[theirs], setting=PSNR)
    summary = found.summary()["psnr"]
    assert found.contenders == (str(ours), str(theirs))
    assert summary.count == 6
    assert summary.means[0].mean - summary.means[1].mean == pytest.approx(6, abs=0.6)
    difference = summary.differences[1]
    assert difference.mean == pytest.approx(summary.means[1].mean - summary.means[0].mean)
    assert difference.excludes_zero
    assert difference.low is not None and difference.high is not None and difference.low <= difference.mean <= difference.high
    alone = scoring.compare(theirs, reference, setting=PSNR)
    assert [picture.scores[1] for picture in found.pictures] == [picture.scores[0] for picture in alone.pictures]


def test_only_pictures_that_all_contenders_have_count(three: tuple[Path, Path, Path]) -> None:
    reference, ours, theirs = three
    (theirs / "2.png").unlink()
    (theirs / "3.png").write_text("no picture")
    found = scoring.compare(ours, reference, against=[theirs], setting=PSNR)
    assert found.partial == ["2.png", "3.png"]
    assert found.summary()["psnr"].count == len(found.complete) == 4
    alone = scoring.compare(ours, reference, setting=PSNR)
    kept = [picture.scores[0]["psnr"] for picture in alone.pictures if picture.name not in found.partial]
    assert found.means(0)["psnr"] == pytest.approx(np.mean(kept))
    assert {(problem.name, problem.contender) for problem in found.problems} == {("2.png", str(theirs)), ("3.png", str(theirs))}


def test_the_names_of_contenders_may_differ(three: tuple[Path, Path, Path]) -> None:
    reference, ours, theirs = three
    for path in sorted(theirs.iterdir()):
        Image.open(path).save(theirs / f"{path.stem}.bmp")
        path.unlink()
    found = scoring.compare(ours, reference, against=[theirs], setting=PSNR)
    assert not found.problems and not found.partial
    assert found.pictures[0].files[2] == theirs / "0.bmp"


def test_an_interval_covers_the_mean_as_often_as_it_says() -> None:
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        (interval,), _ = intervals(generator.normal(size=(60, 1)), resamples=400)
        assert interval.low is not None and interval.high is not None
        covered += interval.low <= 0 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_intervals_of_differences_are_paired_and_repeatable() -> None:
    generator = np.random.default_rng(1)
    scores = generator.normal(30, 5, size=(40, 1)) + np.array([[0.0, 0.2]]) + generator.normal(0, 0.05, size=(40, 2))
    means, differences = intervals(scores)
    assert not _overlap_free(means[0], means[1])  # the pictures differ far more than the contenders
    assert differences[1].excludes_zero
    assert (differences[0].low, differences[0].high) == (0, 0)
    assert intervals(scores) == (means, differences)
    assert intervals(scores[:1])[0][0].low is None


def _overlap_free(first: object, second: object) -> bool:
    return first.high < second.low or second.high < first.low  # type: ignore[attr-defined]


def test_luma_is_that_of_published_tables() -> None:
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [12, 200, 77]]], np.float32) / 255
    assert np.rint(scoring.luma(colours)[0, :, 0] * 255).tolist() == [16, 235, 81, 127]
    assert scoring.luma(colours, 16)[0, 3, 0] * 255 == pytest.approx(16 + (65.481 * 12 + 128.553 * 200 + 24.966 * 77) / 255, abs=1e-4)


def test_channels_and_border_decide_the_score(tmp_path: Path, smooth: Smooth) -> None:
    picture = 0.2 + 0.6 * smooth(32, 32)
    changed = picture.copy()
    changed[2:-2, 2:-2] += 51 / 255
    changed[:2] = 0
    _save(tmp_path / "a.png", changed)
    _save(tmp_path / "b.png", picture)
    files = (tmp_path / "a.png", tmp_path / "b.png")
    inner = scoring.compare(*files, setting=scoring.Setting(PSNR.metrics, border=2))
    assert inner.means()["psnr"] == pytest.approx(20 * np.log10(5), abs=0.01)
    luma = scoring.compare(*files, setting=scoring.Setting(PSNR.metrics, "y", 2))
    assert luma.means()["psnr"] == pytest.approx(20 * np.log10(5 * 255 / 219), abs=0.1)
    none = scoring.compare(*files, setting=scoring.Setting(PSNR.metrics, border=16))
    assert "nothing is left of 32 x 32 pixels" in none.problems[0].reason


def test_stored_scores_stand_for_their_pictures(capsys: pytest.CaptureFixture[str], three: tuple[Path, Path, Path], tmp_path: Path) -> None:
    reference, ours, theirs = three
    arguments = ("--metrics", "psnr,ssim", "--json")
    code, lines, _ = _json(capsys, theirs, reference, *arguments)
    assert code == 0
    stored = tmp_path / "theirs.jsonl"
    stored.write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, with_files, _ = _json(capsys, ours, reference, "--against", theirs, *arguments)
    code, with_scores, err = _json(capsys, ours, reference, "--against", stored, *arguments)
    assert code == 0, err
    assert with_scores[0]["protocol"] == with_files[0]["protocol"]
    pictures = [[line for line in lines if "picture" in line] for lines in (with_scores, with_files)]
    assert pictures[0] == pictures[1] and len(pictures[0]) == 6
    first, second = (line["summary"]["contenders"][1] for line in (with_scores[-1], with_files[-1]))  # type: ignore[index]
    assert {**first, "contender": ""} == {**second, "contender": ""}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--border", "4"), "border is 0 there and 4 here"),
        (("--channels", "y"), "channels is 'rgb' there and 'y' here"),
        (("--metrics", "psnr,ssim"), "it has no ssim"),
    ],
)
def test_unlike_protocols_are_refused(
    capsys: pytest.CaptureFixture[str], three: tuple[Path, Path, Path], tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    reference, ours, theirs = three
    _, lines, _ = _json(capsys, theirs, reference, "--metrics", "psnr", "--json")
    stored = tmp_path / "theirs.jsonl"
    stored.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, out, err = _json(capsys, ours, reference, "--against", stored, "--json", "--metrics", "psnr", *options)
    assert (code, out) == (2, [])
    assert said in err and str(stored) in err


def test_scores_of_another_reference_do_not_count(three: tuple[Path, Path, Path], tmp_path: Path, smooth: Smooth) -> None:
    reference, ours, theirs = three
    stored = tmp_path / "theirs.jsonl"
    earlier = scoring.compare(theirs, reference, setting=PSNR)
    lines = [saved_scores.first_line(earlier, reference), *map(saved_scores.line_of, earlier.pictures)]
    stored.write_text("".join(json.dumps(line) + "\n" for line in lines))
    _save(reference / "1.png", smooth(32, 32, seed=99))
    found = scoring.compare(ours, reference, against=[stored], setting=PSNR)
    assert found.partial == ["1.png"]
    assert "another reference" in found.problems[0].reason


@pytest.mark.parametrize(
    "text", ["", "no json", '{"picture": "a"}', "[1]", '{"protocol": 3}', '{"protocol": {}}\n{"scores": {"psnr": "x"}}']
)
def test_a_file_without_scores_is_refused(three: tuple[Path, Path, Path], tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.jsonl").write_text(text)
    with pytest.raises(ValueError, match="has no scores"):
        scoring.compare(three[1], three[0], against=[tmp_path / "odd.jsonl"], setting=PSNR)


def test_the_table_of_scores_as_csv(capsys: pytest.CaptureFixture[str], three: tuple[Path, Path, Path], tmp_path: Path) -> None:
    reference, ours, theirs = three
    target = tmp_path / "scores.csv"
    code, lines, _ = _json(capsys, ours, reference, "--against", theirs, "--metrics", "psnr", "--json", "--csv", target)
    assert code == 0
    content = target.read_text().splitlines()
    rows = list(csv.DictReader(line for line in content if not line.startswith("#")))
    assert "# border: 0" in content
    assert len(rows) == 12 and {row["contender"] for row in rows} == {str(ours), str(theirs)}
    assert float(rows[0]["psnr"]) == lines[1]["scores"]["psnr"]  # type: ignore[index]


def test_a_mistyped_metric_is_named(capsys: pytest.CaptureFixture[str], three: tuple[Path, Path, Path]) -> None:
    code, _, err = _json(capsys, three[1], three[0], "--metrics", "psnr,sism")
    assert code == 2 and "sism" in err


def test_floats_are_compared_on_the_references_scale(tmp_path: Path, smooth: Smooth) -> None:
    picture = (1000 * smooth(32, 32)[:, :, 0]).astype(np.float32)
    tifffile.imwrite(tmp_path / "b.tif", picture)
    tifffile.imwrite(tmp_path / "a.tif", picture * 2 + 100)
    found = scoring.compare(tmp_path / "a.tif", tmp_path / "b.tif", setting=PSNR)
    assert found.means()["psnr"] < 10, "its own range would make the result equal to the reference"
    tifffile.imwrite(tmp_path / "a.tif", np.where(picture == picture.max(), 40_000, picture).astype(np.float32))
    one_pixel = scoring.compare(tmp_path / "a.tif", tmp_path / "b.tif", setting=PSNR)
    assert one_pixel.means()["psnr"] < found.means()["psnr"] + 20


def test_dicom_without_a_window_is_compared_on_the_references_scale(tmp_path: Path) -> None:
    ds = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    ds.save_as(tmp_path / "b.dcm")
    values = ds.pixel_array.astype(np.int16)
    ds.PixelData = (values * 2).astype(np.int16).tobytes()
    ds.save_as(tmp_path / "a.dcm")
    found = scoring.compare(tmp_path / "a.dcm", tmp_path / "b.dcm", setting=PSNR)
    assert found.means()["psnr"] < 20
    ds.PixelData = (values + 10).astype(np.int16).tobytes()
    ds.save_as(tmp_path / "a.dcm")
    shifted = scoring.compare(tmp_path / "a.dcm", tmp_path / "b.dcm", setting=PSNR)
    assert 20 < shifted.means()["psnr"] < 80


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text here")
def test_names_that_are_no_text_are_written_everywhere(
    capsys: pytest.CaptureFixture[str], three: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    for folder in three:
        (folder / "0.png").rename(os.fsdecode(os.fsencode(folder) + b"/odd\xff.png"))
    target, page = tmp_path / "scores.csv", tmp_path / "page.html"
    code, lines, err = _json(capsys, three[1], three[0], "--metrics", "psnr", "--json", "--csv", target, "--html", page)
    assert code == 0, err
    assert "odd\udcff.png" in {line.get("picture") for line in lines}
    assert b"odd\xff.png" in target.read_bytes()
    assert "odd\\udcff.png" in page.read_text(encoding="utf-8")


def test_stored_scores_of_two_results_of_one_reference_stay_apart(tmp_path: Path, smooth: Smooth) -> None:
    picture = 0.2 + 0.6 * smooth(32, 32, seed=1)
    _save(tmp_path / "reference" / "a.png", picture)
    for name, offset in (("a.png", 0.02), ("a.bmp", 0.1)):
        _save(tmp_path / "ours" / name, picture + offset)
    first = scoring.compare(tmp_path / "ours", tmp_path / "reference", setting=PSNR)
    stored = tmp_path / "ours.jsonl"
    lines = [saved_scores.first_line(first, tmp_path / "reference"), *map(saved_scores.line_of, first.pictures)]
    stored.write_text("\n".join(map(json.dumps, lines)))
    again = scoring.compare(tmp_path / "ours", tmp_path / "reference", against=[stored], setting=PSNR)
    assert len(again.pictures) == 2 and all(one.scores[0] == one.scores[1] for one in again.pictures)
    (tmp_path / "ours" / "a.bmp").rename(tmp_path / "ours" / "a.ppm")
    third = scoring.compare(tmp_path / "ours", tmp_path / "reference", against=[stored], setting=PSNR)
    problems = {problem.name: problem.reason for problem in third.problems}
    assert problems == {"a.ppm": "several results match: a.bmp, a.png"}
