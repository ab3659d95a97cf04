"""Mask files: their sizes are compared before they are decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def _saved(path: Path, size: tuple[int, int] = (50, 30), **settings: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(size[::-1], np.uint8)
    mask[10:14, 10:14] = 255
    Pillow.fromarray(mask).save(path, **settings)
    return path


@pytest.mark.parametrize("place", ["sub", "fold/sub"])
@pytest.mark.parametrize("name", ["d.jpg", "x/d.jpg"])
def test_masks_with_one_folder_more_than_their_pictures_are_pointed_out(tmp_path: Path, place: str, name: str) -> None:
    source = _saved(tmp_path / "fold/sub" / name)
    mask = _saved((tmp_path / "fm" / place / name).with_suffix(".png"))
    given = source if name == "d.jpg" else tmp_path / "fold/sub"
    options = {"masks": tmp_path / "fm", "method": "telea"}
    (record,) = restore.run("inpaint", given, tmp_path / "out", options=options).records
    assert f"but {mask} is one: --masks {tmp_path / 'fm' / place}" in record.error
    options["masks"] = tmp_path / "fm" / place
    assert restore.run("inpaint", given, tmp_path / "out", options=options).done == 1


def test_a_mask_of_an_unrelated_folder_is_not_pointed_out(tmp_path: Path) -> None:
    source = _saved(tmp_path / "fold/sub/d.jpg")
    _saved(tmp_path / "fm/other/d.png")
    (record,) = restore.run("inpaint", source, tmp_path / "out", options={"masks": tmp_path / "fm", "method": "telea"}).records
    assert record.error.endswith("fm contains no picture called d")


@pytest.mark.parametrize(("source", "masks"), [("../pics/d.jpg", "../fm"), ("sub/d.jpg", ".")])
def test_a_picture_is_not_pointed_out_as_its_own_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, masks: str) -> None:
    (tmp_path / "fm").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    _saved(Path(source))
    (record,) = restore.run("inpaint", source, tmp_path / "out", options={"masks": masks, "method": "telea"}).records
    assert record.error.endswith("contains no picture called d")


def test_a_mask_that_is_not_turned_as_its_picture_is_explained(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    turned, plain = _saved(tmp_path / "in/turned.jpg", exif=exif), _saved(tmp_path / "in/plain.jpg", (30, 50))
    options = {"masks": _saved(tmp_path / "mask.png"), "method": "telea"}
    errors = [restore.run("inpaint", path, tmp_path / "out", options=options).records[0].error for path in (turned, plain)]
    assert all("50 x 30 pixels, the picture 30 x 50" in error for error in errors)
    assert "turned by its EXIF orientation: draw the mask on the turned picture" in errors[0] and "EXIF" not in errors[1]
    options["masks"] = _saved(tmp_path / "other.png", (40, 30))
    assert "EXIF" not in restore.run("inpaint", turned, tmp_path / "out", options=options).records[0].error
