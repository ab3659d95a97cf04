"""A browser for the tests of web pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's, Google's or Playwright's own headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api")
    found = next((path for name in ("chromium", "google-chrome", "chromium-browser") if (path := shutil.which(name))), None)
    with sync_api.sync_playwright() as playwright:
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no Chromium here")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
