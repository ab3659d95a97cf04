"""The page as a file: previews within the budget, which pictures get them, nothing unescaped, what cannot be shown."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore import html_report
from restore.html_report import Cell, Chart, Column, Figure, Layer, Listing, Page, Row, Table, previews
from restore.html_report import page as writing
from restore.parallel import PixelBudget

BUDGET = PixelBudget(10**9)
HOSTILE = """</script><script>alert(1)</script>"><img src=x onerror=alert(2)>'&\u202egnp.exe\x1b\udcff"""


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def page(tmp_path: Path) -> Page:
    """Three pictures of noise, 300 x 200, whose results differ by 10, 20 and 30 steps in one place."""
    generator = np.random.default_rng(3)
    figures = []
    for index in range(3):
        before = generator.integers(40, 200, (200, 300), np.uint8)
        after = before.copy()
        after[100:140, 200:240] += np.uint8(10 * (index + 1))
        layers = (Layer("result", save(tmp_path / f"r{index}.png", after)), Layer("reference", save(tmp_path / f"b{index}.png", before)))
        figures.append(Figure(f"{index}.png", ("psnr 30 dB",), layers, 1))
    rows = [Row((Cell(f"{index}.png"), Cell(f"{index}", float(index))), index) for index in range(3)]
    table = Table("Scores", (Column("picture"), Column("psnr")), rows)
    return Page("Title", table, [("border", "0")], [Chart("psnr", "dB", {"a": [1.0, 2.0, 2.5]})], figures, "the worst first", 10, table)


class _Tags(HTMLParser):
    """Collects what a browser would see as tags, attributes and text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def _written(path: Path, page: Page) -> _Tags:
    html_report.write(path, page)
    return _Tags(path.read_text(encoding="utf-8"))


def test_hostile_texts_are_only_texts(tmp_path: Path, page: Page) -> None:
    hostile = replace(
        page, title=HOSTILE, facts=[(HOSTILE, HOSTILE)], order=HOSTILE, listings=[Listing(HOSTILE, [(HOSTILE, HOSTILE)])],
        figures=[replace(figure, name=HOSTILE, lines=(HOSTILE,), layers=tuple(Layer(HOSTILE, layer.path) for layer in figure.layers))
                 for figure in page.figures],
        charts=[Chart(HOSTILE, HOSTILE, {HOSTILE: [1.0, 2.0], "b": [1.0]})],
        pictures=Table(HOSTILE, (Column(HOSTILE, HOSTILE), Column("n")), [Row((Cell(HOSTILE), Cell(HOSTILE)), 0)]),
    )  # fmt: skip
    plain, found = _written(tmp_path / "plain.html", page), _written(tmp_path / "page.html", hostile)
    assert found.tags.count("script") == 1
    assert {name for name, _ in found.attributes} <= {name for name, _ in plain.attributes}
    assert set(found.tags) <= {*plain.tags, "li", "ul", "small"}
    assert "alert(1)" in found.text
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "\u202e" not in content and "\x1b" not in content and "\\u202e" in content and "\\udcff" in content


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path, page: Page) -> None:
    found = _written(tmp_path / "page.html", page)
    addresses = [value or "" for name, value in found.attributes if name in ("src", "href", "srcset", "action", "data")]
    assert addresses and all(value.startswith(("data:", "#")) for value in addresses)
    content = re.sub(r"data:image/webp;base64,[A-Za-z0-9+/=]+", "", (tmp_path / "page.html").read_text(encoding="utf-8"))
    assert not re.search(r"https?:|//[a-z]|url\(|@import", content)
    assert "default-src 'none'" in content


def test_previews_are_the_pictures(page: Page) -> None:
    preview, used = previews.preview(page.figures[2], 10**9, 0, BUDGET)
    assert used == 0 and preview.crop is None and preview.whole.size == preview.size
    result, reference, heat = (_decoded(uri) for uri in (*preview.whole.layers, preview.whole.differences[0]))
    assert np.abs(result[5:95, 5:95].mean() - reference[5:95, 5:95].mean()) < 1
    assert result[105:135, 205:235].mean() - reference[105:135, 205:235].mean() == pytest.approx(30, abs=2)
    assert heat[105:135, 205:235].mean() > 150
    assert heat[5:95, 5:195].mean() < 20
    assert preview.limit == pytest.approx(30 / 255)
    assert preview.whole.differences[1] == ""


def _decoded(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"), np.float32)


def test_a_large_picture_has_a_crop_around_its_largest_difference(tmp_path: Path) -> None:
    before = np.full((900, 1600), 100, np.uint8)
    after = before.copy()
    after[700:730, 1500:1530] = 180
    layers = (Layer("a", save(tmp_path / "a.png", after)), Layer("b", save(tmp_path / "b.png", before)))
    preview, _ = previews.preview(Figure("x", (), layers, 1), 10**9, 0, BUDGET)
    assert preview.crop is not None and preview.whole.size == (675, 1200)
    left, top, right, bottom = preview.box
    assert left <= 1500 and right >= 1530 and top <= 700 and bottom >= 730
    assert _decoded(preview.crop.layers[0])[715 - top, 1515 - left] == pytest.approx(180, abs=3)
    assert preview.crop.size == (bottom - top, right - left)


@pytest.mark.parametrize("middle", [(5, 5), (300, 1595), (180, 700)])
def test_small_crops_lie_in_the_large_one_and_hold_its_middle(middle: tuple[int, int]) -> None:
    outer = previews.square(middle, previews.LARGEST_CROP, (899, 1600))
    for setting in previews.SETTINGS:
        left, top, right, bottom = previews.square(middle, setting.crop, (899, 1600))
        assert left >= outer[0] and top >= outer[1] and right <= outer[2] and bottom <= outer[3]
        assert (bottom - top, right - left) == (setting.crop, setting.crop)
        assert top <= middle[0] < bottom and left <= middle[1] < right


def test_a_smaller_input_is_upscaled_and_gray_compared_with_colour(tmp_path: Path) -> None:
    before = save(tmp_path / "b.png", np.full((20, 30), 100, np.uint8))
    after = save(tmp_path / "a.png", np.full((40, 60, 3), 110, np.uint8))
    preview, _ = previews.preview(Figure("x", (), (Layer("input", before), Layer("result", after)), 0), 10**9, 0, BUDGET)
    assert preview.size == (40, 60) and preview.limit == pytest.approx(10 / 255)
    assert all(_decoded(uri).shape == (40, 60) for uri in preview.whole.layers)


def test_few_bytes_give_smaller_previews(page: Page) -> None:
    sizes = [previews.preview(page.figures[0], share, 0, BUDGET)[0] for share in (400_000, 100_000, 60_000)]
    assert sizes[0].bytes > sizes[1].bytes > sizes[2].bytes
    assert sizes[1].bytes <= 100_000


def test_the_page_keeps_its_budget(tmp_path: Path, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    many = replace(page, figures=[page.figures[index % 3] for index in range(40)], most_figures=300)
    monkeypatch.setattr(writing, "MOST_BYTES", 600_000)
    monkeypatch.setattr(writing, "LEAST_FIGURE_BYTES", 50_000)
    html_report.write(tmp_path / "page.html", many)
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert 300_000 < len(content) < 600_000
    shown = content.count('class="card"')
    assert 5 <= shown < 40
    assert f"Previews of {shown} of 40 pictures" in content


@pytest.mark.parametrize(("count", "most"), [(5, 9), (9, 9), (10, 9), (1000, 60), (3, 1), (7, 2)])
def test_the_chosen_are_the_first_the_last_and_some_between(count: int, most: int) -> None:
    for evenly in (False, True):
        chosen = previews.chosen(count, most, evenly=evenly)
        assert len(chosen) == min(count, most) and chosen == sorted(set(chosen)) and chosen[0] == 0 and chosen[-1] < count
    if count > most > 1:
        assert previews.chosen(count, most)[-1] == count - 1


def test_what_cannot_be_read_is_named_and_stops_nothing(tmp_path: Path, page: Page) -> None:
    page.figures[1].layers[0].path.write_bytes(b"no picture")
    remarks = html_report.write(tmp_path / "page.html", page)
    assert len(remarks) == 1 and "1.png" in remarks[0]
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert content.count('class="card"') == 3 and content.count("It cannot be shown") == 1


def test_a_histogram_counts_every_value() -> None:
    from restore.html_report.histogram import histogram

    assert histogram(Chart("x", "", {"a": []})) == ""
    assert histogram(Chart("x", "", {"a": [float("inf")]})) == ""
    assert "1 values from 2 to 2" in histogram(Chart("x", "", {"a": [2.0, float("inf")]}))
    assert histogram(Chart("x", "", {"a": [1.0, 2.0], "b": [3.0]})).count('<path class="s') == 2
