"""Cards' figures: read from the benchmarks' output, and written between the marks alone."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
DENOISE = """\
set12 sigma 15                     float  restore     32.66 dB  SSIM 0.9000    0.100 s  n=12
set12 sigma 25                     float  restore     30.28 dB  SSIM 0.8600    0.100 s  n=12
set12 sigma 25                     8-bit  restore, blind  30.26 dB  SSIM 0.8600  LPIPS 0.1234    0.100 s  n=12
xray 20 counts                     xray   bm3d + anscombe  33.22 dB  SSIM 0.8600    0.100 s  n=20
set14 clean against itself         8-bit  restore, blind  43.30 dB  SSIM 0.9900    0.100 s  n=14
"""
UPSCALE = """\
set5 x2 self-test: cubic 33.66 / 0.9299
  cubic                     33.65 dB  SSIM 0.9295  LPIPS    nan    0.011 s/megapixel  n=5
  upscale-x2                37.69 dB  SSIM 0.9590  LPIPS 0.0500    0.111 s/megapixel  n=5
set14 x2 self-test: cubic 33.66 / 0.9299
  cubic                     30.32 dB  SSIM 0.8692  LPIPS    nan    0.011 s/megapixel  n=14
"""
ARTIFACTS = """\
gray    q10           JPEG 27.82  restored 29.15  gain +1.33 (least +0.62)  n=5
double  q10 then q30  JPEG 27.61  restored 28.37  gain +0.76 (least -0.01)  n=5
"""


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import cards

    return cards


def test_what_the_benchmarks_print_becomes_cells(cards: ModuleType) -> None:
    assert cards.denoise(DENOISE) == {
        "set12 (12), float: restore": {"sigma 15": "32.66", "sigma 25": "30.28"},
        "set12 (12), 8-bit: restore, blind": {"sigma 25": "30.26", "LPIPS, sigma 25": "0.1234"},
        "xray (20), xray: bm3d + anscombe": {"20 counts": "33.22"},
        "set14 clean against itself (14), 8-bit: restore, blind": {"PSNR, dB": "43.30"},
    }
    assert cards.upscale(UPSCALE) == {
        "cubic": {"set5 (5)": "33.65 / 0.9295", "set14 (14)": "30.32 / 0.8692"},
        "upscale-x2": {"set5 (5)": "37.69 / 0.9590 / 0.0500"},
    }
    assert cards.artifacts(ARTIFACTS) == {
        "gray (5), q10": {"JPEG, dB": "27.82", "restored": "29.15", "gain": "+1.33", "least gain": "+0.62"},
        "double (5), q10 then q30": {"JPEG, dB": "27.61", "restored": "28.37", "gain": "+0.76", "least gain": "-0.01"},
    }
    assert cards.sharpen("width 1.5 noise 1  input 25.72  ours, specified 29.66  least of ours 24.86  n=16\n") == {
        "blur 1.5, noise 1 (16)": {"input": "25.72", "ours, specified": "29.66", "least of ours": "24.86"}
    }
    assert cards.table({"a": {"x": "1"}, "b": {"y": "2"}}) == "|  | x | y |\n| --- | --- | --- |\n| a | 1 |  |\n| b |  | 2 |\n"


def test_only_what_stands_between_the_marks_changes(cards: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "mine.md"
    card.write_text("# mine\n\n<!-- figures: upscale.py --scale 2 -->\n\n| old | 1 |\n\n<!-- end of figures -->\nafter\n")
    (tmp_path / "other.md").write_text("# without marks\n")
    monkeypatch.setattr(
        cards, "renewed", lambda text, datasets: cards.BLOCK.sub(lambda found: f"{found[1]}\n| new | 2 |\n\n{found[4]}", text)
    )
    with pytest.raises(SystemExit, match="1"):
        cards.main([str(tmp_path), "--cards", str(tmp_path), "--check"])
    assert "| old | 1 |" in card.read_text()
    cards.main([str(tmp_path), "--cards", str(tmp_path)])
    assert card.read_text() == "# mine\n\n<!-- figures: upscale.py --scale 2 -->\n\n| new | 2 |\n\n<!-- end of figures -->\nafter\n"
    cards.main([str(tmp_path), "--cards", str(tmp_path), "--check"])
    with pytest.raises(SystemExit, match="2"):
        cards.main([str(tmp_path), "--cards", str(tmp_path), "--weights", "other"])


def test_a_command_that_fails_is_named(cards: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none of denoise\.py"):
        cards.measure("cards.py", tmp_path)
    with pytest.raises(ValueError, match=r"--no-such-option failed"):
        cards.measure("upscale.py --no-such-option", tmp_path)


def test_the_marks_of_the_shipped_cards_name_commands(cards: ModuleType) -> None:
    marked = {path.stem: cards.BLOCK.findall(path.read_text()) for path in sorted((ROOT / "weights").glob("*.md"))}
    commands = [shlex.split(block[1]) for blocks in marked.values() for block in blocks]
    assert {"denoise-gray", "denoise-color", "denoise-xray", "upscale-x2", "upscale-x4", "upscale-x4-photo"} <= {
        name for name, blocks in marked.items() if blocks
    }
    assert {command[0] for command in commands} <= cards.PARSERS.keys()
    assert all(path.read_text().count("<!-- figures") == len(marked[path.stem]) for path in (ROOT / "weights").glob("*.md"))
