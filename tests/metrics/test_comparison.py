"""Results against references: partners, scores, and the page."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from restore_cli import main

from restore.metrics import METRICS, psnr, ssim
from restore.metrics import comparison as scoring
from restore.metrics.comparison import page as page_writer
from restore.networks.backbones import FOLDER as BACKBONES

Smooth = Callable[..., np.ndarray]
PLAIN = scoring.Setting({name: METRICS[name] for name in ("psnr", "ssim")})


@pytest.fixture(autouse=True)
def no_backbones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LPIPS' weights are nowhere, whatever the machine has."""
    from restore.networks import backbones

    monkeypatch.setenv(BACKBONES, str(tmp_path))
    backbones.lpips.cache_clear()


def _save(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path)
    return path


@pytest.fixture
def folders(tmp_path: Path, smooth: Smooth) -> tuple[Path, Path]:
    """Results and references: two pairs, one of them of another format, and one identical."""
    results, reference = tmp_path / "results", tmp_path / "reference"
    for index, (mine, theirs) in enumerate([("a.png", "a.png"), ("deep/b.bmp", "deep/b.png"), ("same.png", "same.png")]):
        picture = smooth(24, 30, 3 if index else 1, seed=index)
        _save(reference / theirs, picture)
        _save(results / mine, picture + (0.1 if index < 2 else 0))
    return results, reference


def test_the_scores_are_those_of_the_metrics(folders: tuple[Path, Path], smooth: Smooth) -> None:
    comparison = scoring.compare(*folders, setting=PLAIN)
    assert [picture.name for picture in comparison.pictures] == ["a.png", "deep/b.bmp", "same.png"]
    stored = [np.rint(np.clip(smooth(24, 30) + offset, 0, 1) * 255) / 255 for offset in (0.1, 0)]
    assert comparison.pictures[0].scores[0] == pytest.approx({"psnr": psnr(*stored), "ssim": ssim(*stored)}, rel=1e-4)
    assert comparison.pictures[2].scores[0] == {"psnr": float("inf"), "ssim": pytest.approx(1)}
    assert comparison.means()["ssim"] == pytest.approx(np.mean([picture.scores[0]["ssim"] for picture in comparison.pictures]))
    assert not comparison.problems


@pytest.mark.parametrize(
    ("lacking", "fault"),
    [("result", "where the reference has values"), ("reference", "of the reference alone"), ("all", "nothing to compare")],
)
def test_missing_values_are_not_scored(tmp_path: Path, smooth: Smooth, lacking: str, fault: str) -> None:
    """They would be scored as what they are filled with, which nobody wrote."""
    picture = smooth(24, 30)[:, :, 0]
    holed = np.where(np.arange(24)[:, None] < (24 if lacking == "all" else 5), np.float32(np.nan), picture)
    for name, pixels in (
        ("result", picture if lacking == "reference" else holed),
        ("reference", picture if lacking == "result" else holed),
    ):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", pixels)
    comparison = scoring.compare(tmp_path / "result", tmp_path / "reference", setting=PLAIN)
    assert not comparison.pictures and fault in comparison.problems[0].reason


def test_what_both_pictures_lack_is_left_out(tmp_path: Path, smooth: Smooth) -> None:
    picture = smooth(24, 30)[:, :, 0]
    for name, offset in (("result", 0.1), ("reference", 0.0)):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", np.where(np.arange(24)[:, None] < 12, np.float32(np.nan), picture + np.float32(offset)))
    scores = scoring.compare(tmp_path / "result", tmp_path / "reference", setting=PLAIN).pictures[0].scores[0]
    assert scores["psnr"] == pytest.approx(-10 * np.log10(0.5 * 0.1**2), abs=0.01)


def test_identical_pictures_are_counted_and_left_out_of_the_mean(folders: tuple[Path, Path]) -> None:
    comparison = scoring.compare(*folders, setting=PLAIN)
    differing = [picture.scores[0]["psnr"] for picture in comparison.pictures if np.isfinite(picture.scores[0]["psnr"])]
    assert len(differing) == 2
    assert comparison.means()["psnr"] == pytest.approx(np.mean(differing))
    assert comparison.identical() == 1
    assert comparison.mean_of == "mean of 3 (PSNR of the 2 that differ, 1 identical)"


@pytest.mark.parametrize(("equal", "differ"), [(1, 2), (3, 1), (2, 0), (0, 2)])
def test_the_mean_whatever_is_identical(tmp_path: Path, smooth: Smooth, equal: int, differ: int) -> None:
    for index in range(equal + differ):
        picture = smooth(16, 20, seed=index)
        _save(tmp_path / "reference" / f"{index}.png", picture)
        _save(tmp_path / "results" / f"{index}.png", picture + (0 if index < equal else 0.05 * (index + 1)))
    comparison = scoring.compare(tmp_path / "results", tmp_path / "reference", setting=PLAIN)
    assert comparison.identical() == equal
    scores = [picture.scores[0]["psnr"] for picture in comparison.pictures][equal:]
    assert comparison.means()["psnr"] == (pytest.approx(np.mean(scores)) if differ else float("inf"))
    assert (f"{equal} identical" in comparison.mean_of) == (equal > 0 and differ > 0)


def test_one_identical_page_does_not_make_a_picture_identical(tmp_path: Path) -> None:
    pages = np.stack([np.full((16, 16), 100, np.uint8), np.full((16, 16), 200, np.uint8)])
    other = pages.copy()
    other[1] += 51
    for name, stack in (("a.tif", pages), ("b.tif", other)):
        tifffile.imwrite(tmp_path / name, stack, photometric="minisblack")
    comparison = scoring.compare(tmp_path / "a.tif", tmp_path / "b.tif", setting=PLAIN)
    assert comparison.pictures[0].scores[0]["psnr"] == pytest.approx(20 * np.log10(5), abs=1e-3)
    assert comparison.identical() == 0


@pytest.mark.parametrize(
    ("inputs", "results", "partners"),
    [
        (("a.png", "a.bmp"), ("a.png", "a.bmp.png"), ("a.png", "a.bmp")),
        (("a.tif", "a.bmp"), ("a.tif.png", "a.bmp.png"), ("a.tif", "a.bmp")),
        (("A.PNG", "a.png"), ("A.PNG", "a-2.png"), ("A.PNG", "a.png")),
        (("d/A.PNG", "d/a.bmp", "d/a.png"), ("d/A.PNG", "d/a.bmp.png", "d/a-2.png"), ("d/A.PNG", "d/a.bmp", "d/a.png")),
        (("v1.2", "v1.3"), ("v1.2.png", "v1.3.png"), ("v1.2", "v1.3")),
    ],
)
def test_partners_of_names_given_by_rule(
    tmp_path: Path, smooth: Smooth, inputs: tuple[str, ...], results: tuple[str, ...], partners: tuple[str, ...]
) -> None:
    for folder, names in (("reference", inputs), ("results", results)):
        for name in names:
            suffix = Path(name).suffix if Path(name).suffix in (".bmp", ".tif") else ".png"
            written = _save(tmp_path / folder / f"draft{suffix}", smooth(12, 12))
            (tmp_path / folder / name).parent.mkdir(exist_ok=True)
            written.rename(tmp_path / folder / name)
    pairs, problems = scoring.pair(tmp_path / "results", tmp_path / "reference")
    assert not problems
    comparison = {entry.name: entry.reference.relative_to(tmp_path / "reference").as_posix() for entry in pairs}
    assert comparison == dict(zip(results, partners, strict=True))


def test_what_cannot_be_read_gets_its_line(folders: tuple[Path, Path]) -> None:
    results, reference = folders
    for folder in folders:
        (folder / "game.qoi").write_bytes(b"qoif" + bytes(300))
        (folder / "notes.txt").write_text("no picture")
    (problem,) = scoring.compare(results, reference, setting=PLAIN).problems
    assert problem.name == "game.qoi" and "QOI" in problem.reason and "convert" in problem.reason


@pytest.mark.parametrize("leads_to", ["loop.png", "nowhere.png"])
def test_a_link_that_leads_nowhere_gets_its_line(folders: tuple[Path, Path], leads_to: str) -> None:
    results, reference = folders
    (results / "loop.png").symlink_to(leads_to)
    _save(reference / "loop.png", np.zeros((8, 8, 1), np.float32))
    (problem,) = scoring.compare(results, reference, setting=PLAIN).problems
    assert problem.name == "loop.png" and "no reference" not in problem.reason


def test_linked_folders_are_compared_too(tmp_path: Path, smooth: Smooth) -> None:
    for name in ("results/scans", "elsewhere"):
        _save(tmp_path / name / "a.png", smooth())
    (tmp_path / "references").mkdir()
    (tmp_path / "references" / "scans").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "references")
    assert [path.as_posix() for path in scoring.pictures_in(tmp_path / "references")] == ["scans/a.png"]
    pairs, problems = scoring.pair(tmp_path / "results", tmp_path / "references")
    assert [one.name for one in pairs] == ["scans/a.png"] and not problems


def test_missing_partners_and_bad_files_stop_nothing(folders: tuple[Path, Path], smooth: Smooth) -> None:
    results, reference = folders
    _save(results / "extra.png", smooth(12, 12))
    _save(reference / "lacking.png", smooth(12, 12))
    _save(results / "small.png", smooth(12, 12))
    _save(reference / "small.png", smooth(12, 13))
    (results / "broken.png").write_text("no picture")
    _save(reference / "broken.png", smooth(12, 12))
    _save(results / "two.bmp", smooth(12, 12))
    for name in ("two.png", "two.tif"):
        _save(reference / name, smooth(12, 12))
    _save(results / ".restore" / "own.png", smooth(12, 12))
    events: list[object] = []
    comparison = scoring.compare(results, reference, setting=PLAIN, listeners=scoring.Listeners(happened=events.append))
    reasons = {problem.name: problem.reason for problem in comparison.problems}
    assert reasons.keys() == {"extra.png", "lacking.png", "small.png", "broken.png", "two.bmp"}
    assert reasons["extra.png"] == "no reference"
    assert reasons["lacking.png"] == "no result for this reference"
    assert reasons["small.png"] == "12 x 12 pixels against 13 x 12 of the reference"
    assert "two.png, two.tif" in reasons["two.bmp"]
    assert len(comparison.pictures) == 3
    assert len(events) == 8


def test_the_same_name_goes_before_another_suffix(folders: tuple[Path, Path], smooth: Smooth) -> None:
    results, reference = folders
    _save(reference / "a.bmp", smooth(9, 9))
    pairs, problems = scoring.pair(results, reference)
    assert {entry.name: entry.reference.name for entry in pairs}["a.png"] == "a.png"
    assert not problems


def test_gray_against_colour_and_frames(tmp_path: Path, smooth: Smooth) -> None:
    gray = smooth(20, 20)
    first, second = _save(tmp_path / "a.png", gray), _save(tmp_path / "b.png", np.repeat(gray, 3, axis=2))
    assert scoring.compare(first, second, setting=PLAIN).pictures[0].scores[0]["psnr"] == float("inf")
    pages = np.stack([np.full((16, 16), 100, np.uint8), np.full((16, 16), 200, np.uint8)])
    for name, stack in (("c.tif", pages), ("d.tif", pages + np.uint8(51)), ("e.tif", pages[:1])):
        tifffile.imwrite(tmp_path / name, stack, photometric="minisblack")
    (picture,) = scoring.compare(tmp_path / "c.tif", tmp_path / "d.tif", setting=PLAIN).pictures
    assert picture.scores[0]["psnr"] == pytest.approx(20 * np.log10(5), abs=1e-3)
    (problem,) = scoring.compare(tmp_path / "c.tif", tmp_path / "e.tif", setting=PLAIN).problems
    assert "2 frames against 1" in problem.reason


def test_too_small_for_a_metric_leaves_that_one_out(tmp_path: Path, smooth: Smooth) -> None:
    first, second = _save(tmp_path / "a.png", smooth(8, 8)), _save(tmp_path / "b.png", smooth(8, 8) + 0.1)
    comparison = scoring.compare(first, second, setting=PLAIN)
    assert comparison.pictures[0].scores[0].keys() == {"psnr"}
    assert comparison.means().keys() == {"psnr"}


@pytest.mark.parametrize("case", ["nowhere", "mixed", "empty"])
def test_nothing_to_compare_is_a_value_error(tmp_path: Path, smooth: Smooth, case: str) -> None:
    picture, empty = _save(tmp_path / "set" / "a.png", smooth(8, 8)), tmp_path / "empty"
    empty.mkdir()
    pairs = {"nowhere": (tmp_path / "no", picture), "mixed": (picture, empty), "empty": (empty, tmp_path / "set")}
    with pytest.raises(ValueError, match=r"no such|must both be|contains no picture"):
        scoring.compare(*pairs[case])


def test_metrics_without_their_weights_are_left_out(folders: tuple[Path, Path]) -> None:
    comparison = scoring.compare(*folders)
    assert comparison.metrics == ("psnr", "ssim")
    assert "lpips" in comparison.left_out


def test_the_page_shows_rows_means_problems_and_protocol(folders: tuple[Path, Path], tmp_path: Path, smooth: Smooth) -> None:
    results, reference = folders
    _save(results / "<b>&.png", smooth(8, 8))
    page = tmp_path / "new" / "report.html"
    page_writer.write(page, scoring.compare(results, reference), "results < reference")
    content = page.read_text()
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]
    heads, metrics, pictures, problems = 2, 2, 3, 1
    assert content.count("<tr>") == heads + metrics + pictures + problems
    for word in (
        "deep/b.bmp",
        "20.",
        "identical",
        "mean of 3",
        "&lt;b&gt;&amp;.png",
        "is left out",
        "left out",
        "higher",
    ):
        assert word in content, word
    assert "<b>&.png" not in content
    assert "Protocol" in content
    assert {address[:5] for address in re.findall(r'(?:src|href)="([^"#][^"]*)"', content)} == {"data:"}


# the command


def _call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *map(str, arguments)])
    return int(stop.value.code or 0), *capsys.readouterr()


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str], folders: tuple[Path, Path], tmp_path: Path) -> None:
    code, out, err = _call(capsys, *folders, "--html", tmp_path / "report.html")
    pictures, contenders, protocol = (part.splitlines() for part in out.split("\n\n"))
    lines = pictures
    assert code == 0
    assert lines[0].split() == ["picture", "psnr", "ssim"]
    assert lines[1].startswith("a.png ")
    assert " dB " in lines[1]
    assert lines[-1].startswith("mean of 3 ")
    assert len({len(line) for line in lines}) == 1
    assert contenders[0].split()[:5] == ["contender", "metric", "pictures", "mean", "95"]
    assert protocol[0].strip() == "protocol" and any(line.startswith("border ") for line in protocol)
    assert "lpips is left out" in err
    assert (tmp_path / "report.html").is_file()


def test_the_command_speaks_json(capsys: pytest.CaptureFixture[str], folders: tuple[Path, Path], smooth: Smooth) -> None:
    _save(folders[0] / "extra.png", smooth(8, 8))
    code, out, err = _call(capsys, *folders, "--json")
    lines = {line.get("picture", "summary"): line for line in map(json.loads, out.splitlines())}
    assert code == 1
    assert lines["same.png"]["scores"]["psnr"] is None
    assert lines["a.png"]["scores"]["psnr"] == pytest.approx(20, abs=0.5)
    assert lines["extra.png"]["error"] == "no reference"
    assert lines["summary"]["summary"]["compared"] == 3
    assert lines["summary"]["summary"]["identical"] == 1
    assert lines["summary"]["summary"]["mean"]["psnr"] == pytest.approx(20, abs=0.5)
    assert "not compared: extra.png" in err


def test_json_counts_identical_pictures_of_each_contender(
    capsys: pytest.CaptureFixture[str], folders: tuple[Path, Path], tmp_path: Path
) -> None:
    results, reference = folders
    other = tmp_path / "other"
    shutil.copytree(reference, other)
    _, out, _ = _call(capsys, results, reference, "--against", other, "--json")
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert [contender["identical"] for contender in summary["contenders"]] == [1, 3]


def test_a_page_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str], folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    full = Path("/dev/full")
    if full.exists():
        assert _call(capsys, *folders, "--html", full)[0] == 1
        assert full.is_char_device()
    code, out, err = _call(capsys, *folders, "--html", tmp_path / "file/page.html")
    assert code == 1
    assert "mean of 3" in out
    assert str(tmp_path / "file/page.html") in err


def test_the_command_refuses_what_makes_no_sense(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = _call(capsys, tmp_path / "no", tmp_path)
    assert (code, out) == (2, "")
    assert "no such file" in err


def test_maps_next_to_results_are_no_results(tmp_path: Path) -> None:
    from restore.images import error_maps
    from restore.tasks.confidence import NAMES

    assert error_maps.NAMES == NAMES
    for folder, names in (
        ("results", ("a.png", "a.error.png", "a.bound.png", "b.error.png", "c.png", "c.error.png")),
        ("real", ("a.png", "c.png", "c.error.png")),
    ):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / folder / name)
    pairs, problems = scoring.pair(tmp_path / "results", tmp_path / "real")
    assert [entry.name for entry in pairs] == ["a.png", "c.error.png", "c.png"]
    assert [problem.name for problem in problems] == ["b.error.png"], "it has no result"


def test_metrics_that_a_picture_lacks_are_named_and_counted(
    capsys: pytest.CaptureFixture[str], folders: tuple[Path, Path], smooth: Smooth
) -> None:
    results, reference = folders
    _save(results / "tiny.png", smooth(9, 9))
    _save(reference / "tiny.png", smooth(9, 9) * 0.9)
    comparison = scoring.compare(results, reference, setting=scoring.Setting({name: METRICS[name] for name in ("psnr", "ssim")}))
    assert comparison.lacking == {"ssim": {"tiny.png": "SSIM needs at least 11 x 11 pixels, not 9 x 9"}}
    count = len(comparison.complete)
    assert comparison.mean_of.endswith(f"ssim of {count - 1})")
    _, out, err = _call(capsys, results, reference, "--metrics", "psnr,ssim")
    assert f"ssim of {count - 1})" in out and "ssim has no score for tiny.png: SSIM needs at least 11 x 11 pixels" in err


@pytest.mark.parametrize("name", ["ssim", "psnr"])
def test_no_score_is_a_negative_zero(name: str) -> None:
    assert scoring.text(-1e-9, METRICS[name]).startswith("0.00")
