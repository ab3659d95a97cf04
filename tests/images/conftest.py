"""Where the real DICOM files are."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def dicoms() -> Path:
    """The folder of real DICOM files next to the checkout; skips where it isn't."""
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "datasets" / "dicom"
    if not folder.is_dir():
        pytest.skip("the real DICOM files aren't here")
    return folder
