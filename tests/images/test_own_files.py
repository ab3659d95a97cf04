"""A run knows its own masks and sheets by a text in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.images import own_files


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_own_files_are_known_however_large(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, pixels = tmp_path / f"mask{suffix}", np.zeros((40, 50), np.uint8)
    if suffix == ".png":
        Image.fromarray(pixels).save(path, pnginfo=own_files.png_text("restore inpaint", "abc"))
    else:
        tifffile.imwrite(path, pixels, software=own_files.signature("restore inpaint", "abc"), metadata=None)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # as a mask of 180 megapixels exceeds the default
    assert own_files.is_made_by("restore inpaint", path)
    assert own_files.is_made_by("restore inpaint", path, "abc")
    assert not own_files.is_made_by("restore inpaint", path, "abd")
    assert not own_files.is_made_by("restore", path, "abc")
    path.write_bytes(b"text")
    assert not own_files.is_made_by("restore inpaint", path)
