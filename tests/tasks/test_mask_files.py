"""Mask files: their sizes are compared before they are decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import restore
from restore.images import Picture
from restore.pipeline.step import Image, ImageInfo, Sidecar


def test_a_mask_of_another_size_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mask.jpg"
    Pillow.fromarray(np.zeros((300, 500), np.uint8)).save(path)

    def frame(picture: Picture, index: int = 0) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(Picture, "frame", frame)
    step = restore.step("inpaint", options={"masks": path, "method": "telea"})
    image = Image(np.zeros((30, 50, 1), np.float32), info=ImageInfo(size=(30, 50)))
    with pytest.raises(ValueError, match=r"its mask .*mask\.jpg is 500 x 300 pixels, the picture 50 x 30"):
        step(image, None, {path: Sidecar(path)})
    with pytest.raises(AssertionError, match="decoded"):
        step(Image(np.zeros((300, 500, 1), np.float32), info=ImageInfo(size=(300, 500))), None, {path: Sidecar(path)})
