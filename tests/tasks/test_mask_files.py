"""Mask files: their headers are checked before they are decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore.images import Picture
from restore.tasks import mask_files


def test_a_mask_of_another_size_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mask.jpg"
    Image.fromarray(np.zeros((300, 500), np.uint8)).save(path)

    def frame(picture: Picture, index: int = 0) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(Picture, "frame", frame)
    with pytest.raises(ValueError, match=r"its mask .*mask\.jpg is 500 x 300 pixels, the picture 50 x 30"):
        mask_files.opened(path, (30, 50))
    assert mask_files.opened(path, (300, 500)).size == (300, 500)
