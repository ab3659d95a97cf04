"""The page of a training run in a headless Chromium. Run with `-m browser`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from restore.training import run_page
from restore.training.previews import save_grid

pytestmark = pytest.mark.browser


def test_the_previews_follow_the_slider_and_nothing_is_requested(chromium: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run <i>1"
    for step in (0, 10, 20):
        save_grid(folder / "previews" / f"{step:06d}.png", {"<b>title": torch.full((1, 1, 32, 32), step / 20)})
    rows = [{"step": step, "pixel <u>": 1 / step, "validation psnr": float(step)} for step in (5, 10, 20)]
    notes = [{"step": 10, "diagnosis": "collapse", "text": "<script>alert(1)</script>"}]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, *notes]))
    page = run_page.write(folder)
    context = chromium.new_context(viewport={"width": 390, "height": 800}, color_scheme="dark")
    tab = context.new_page()
    said: list[str] = []
    requests: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri())
    newest = tab.locator("#preview").get_attribute("src")
    tab.locator("#slider").focus()
    tab.keyboard.press("ArrowLeft")
    assert tab.locator("#step").inner_text() == "10"
    assert tab.locator("#preview").get_attribute("src") != newest
    tab.keyboard.press("End")
    assert tab.locator("#preview").get_attribute("src") == newest
    text = tab.locator("body").inner_text()
    assert "<script>alert(1)</script>" in text and "pixel <u>" in text and "run <i>1" in text
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is as wide as the window"
    assert not said
    assert [url for url in requests if not url.startswith("data:")] == [page.as_uri()]
    context.close()
