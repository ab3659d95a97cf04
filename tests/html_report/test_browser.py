"""The page in a headless Chromium: sliders, sorting, and that nothing is requested. Run with `-m browser`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from restore import html_report
from restore.html_report import Cell, Chart, Column, Figure, Layer, Listing, Page, Row, Table

pytestmark = pytest.mark.browser
HOSTILE = "</script><img src=x onerror=alert(1)>\"'.png"
NAMES = ("b10.png", "b9.png", HOSTILE)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three figures of three layers each: black, white, and gray as the base."""
    folder = tmp_path_factory.mktemp("page")
    layers = []
    for label, level in (("black", 0), ("white", 255), ("gray", 128)):
        Image.fromarray(np.full((240, 320), level, np.uint8)).save(folder / f"{label}.png")
        layers.append(Layer(label, folder / f"{label}.png"))
    figures = [Figure(name, ("psnr 30 dB",), tuple(layers), 2) for name in NAMES]
    scores = (float("inf"), 9.5, None)
    rows = [
        Row((Cell(name), Cell("-" if score is None else f"{score:g} dB", score)), place)
        for place, (name, score) in enumerate(zip(NAMES, scores, strict=True))
    ]
    table = Table("Scores", (Column("picture"), Column("psnr", "higher is better")), rows)
    charts = [Chart("psnr", "dB", {"[1] a": [1.0, 2.0, 5.0], "[2] b": [2.0, 3.0]})]
    content = Page(HOSTILE, table, [("border", "0")], charts, figures, "in order", 10, table, [Listing("Failed", [(HOSTILE, HOSTILE)])])
    assert not html_report.write(folder / "page.html", content)
    return folder / "page.html"


@pytest.fixture(params=[(1440, "light"), (390, "dark")], ids=["wide", "narrow"])
def tab(chromium: Any, page_file: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The open page. At the end, nothing was said on the console, asked for, or requested."""
    width, scheme = request.param
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=width < 600)
    tab = context.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page_file.as_uri())
    yield tab
    assert not said
    assert [url for url in requests if not url.startswith("data:")] == [page_file.as_uri()]
    context.close()


def _divider(stage: Any) -> float:
    """Where the divider is drawn, as a fraction of the stage's width."""
    inner, outer = stage.locator(".handle").bounding_box(), stage.bounding_box()
    return float((inner["x"] + inner["width"] / 2 - outer["x"]) / outer["width"])


def _brightness(tab: Any, stage: Any, fraction: float) -> float:
    """Of the pixels that the browser draws at a fraction of the stage's width."""
    box = stage.bounding_box()
    clip = {"x": box["x"] + fraction * box["width"] - 2, "y": box["y"] + 8, "width": 4, "height": 4}
    image = Image.open(io.BytesIO(tab.screenshot(clip=clip)))
    return float(np.asarray(image.convert("L")).mean())


def test_the_slider_follows_the_pointer(tab: Any) -> None:
    stage = tab.locator(".stage").first
    stage.scroll_into_view_if_needed()
    assert _divider(stage) == pytest.approx(0.5, abs=0.02)
    box = stage.bounding_box()
    middle = box["y"] + box["height"] / 3
    tab.mouse.move(box["x"] + box["width"] / 2, middle)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * 0.2, middle, steps=4)
    tab.mouse.up()
    assert _divider(stage) == pytest.approx(0.2, abs=0.02)
    assert _brightness(tab, stage, 0.1) < 10
    assert _brightness(tab, stage, 0.4) == pytest.approx(128, abs=5)
    tab.mouse.move(box["x"] + box["width"] * 0.9, middle)
    assert _divider(stage) == pytest.approx(0.2, abs=0.02), "the pointer is up"


def test_the_slider_follows_a_touch(tab: Any) -> None:
    if tab.viewport_size["width"] > 600:
        pytest.skip("no touch screen")
    stage = tab.locator(".stage").first
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    tab.touchscreen.tap(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 3)
    assert _divider(stage) == pytest.approx(0.75, abs=0.02)


def test_the_slider_follows_the_keyboard(tab: Any) -> None:
    stage = tab.locator(".stage").nth(1)
    range_ = stage.locator("input")
    range_.focus()
    for _ in range(10):
        tab.keyboard.press("ArrowRight")
    assert _divider(stage) == pytest.approx(0.6, abs=0.02)
    tab.keyboard.press("Home")
    assert _divider(stage) == pytest.approx(0, abs=0.02)
    assert tab.get_by_role("slider", name="Position of the divider, b9.png").count() == 1


def test_each_side_shows_what_is_chosen(tab: Any) -> None:
    stage = tab.locator(".stage").first
    stage.scroll_into_view_if_needed()
    tab.locator("select[data-side=r]").first.select_option(label="white")
    assert _brightness(tab, stage, 0.9) > 245
    assert _brightness(tab, stage, 0.1) < 10
    tab.locator("select[data-side=l]").first.select_option(label="gray")
    assert _brightness(tab, stage, 0.1) == pytest.approx(128, abs=5)


def test_the_table_sorts_by_click_and_keyboard(tab: Any) -> None:
    table = tab.locator("table.sortable")

    def names() -> list[str]:
        return list(table.locator("tbody tr td:first-child").all_inner_texts())

    head = table.locator("th").nth(1)
    assert head.get_attribute("aria-sort") == "none"
    head.locator("button").click()
    assert names() == ["b9.png", "b10.png", HOSTILE] and head.get_attribute("aria-sort") == "ascending"
    tab.keyboard.press("Enter")
    assert names() == ["b10.png", "b9.png", HOSTILE] and head.get_attribute("aria-sort") == "descending"
    first = table.locator("th").first
    first.locator("button").focus()
    tab.keyboard.press("Space")
    assert names() == [HOSTILE, "b9.png", "b10.png"] and first.get_attribute("aria-sort") == "ascending"
    assert head.get_attribute("aria-sort") == "none"


def test_hostile_names_are_text(tab: Any) -> None:
    assert tab.locator("h1").inner_text() == HOSTILE
    assert tab.locator(".card h3").nth(2).text_content() == HOSTILE
    assert tab.locator("img[src=x]").count() == 0


def test_the_page_fits_its_window(tab: Any) -> None:
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    tab.locator("a[href='#p1']").click()
    assert tab.locator("#p1").bounding_box()["y"] < 900


def test_text_has_contrast(tab: Any) -> None:
    """WCAG 2.1 AA: at least 4.5 to 1, for ink and dim text on the paper."""
    for selector in ("h1", "dt", "td a"):
        colour, paper = tab.evaluate(
            "(s) => [getComputedStyle(document.querySelector(s)).color, getComputedStyle(document.body).backgroundColor]", selector
        )
        dark, light = sorted(_luminance(text) for text in (colour, paper))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, selector


def _luminance(colour: str) -> float:
    channels = np.array([float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
