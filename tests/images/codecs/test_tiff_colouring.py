"""What a gray TIFF says of its channels when its pages get colours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from restore.images import Picture, read
from restore.images.colouring import in_colour

GRAY = np.random.default_rng(4).integers(0, 65536, (3, 24, 36), np.uint16)


def colour(picture: Picture, out: Path, scale: int = 1) -> list[np.ndarray]:
    """Save a picture whose gray frames have got red, green and blue; its frames."""
    frames = [in_colour(picture.frame(i)).stored.repeat(scale, 0).repeat(scale, 1) for i in range(picture.frames)]
    for frame in frames:
        frame[..., 0] //= 2
    picture.save(out, iter(frames), coloured=True, scale=float(scale))
    return frames


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("pages", [1, 3])
@pytest.mark.parametrize("kind", ["plain", "axes", "one directory", "alpha", "planar alpha"])
def test_the_shape_gets_the_channels(kind: str, pages: int, scale: int, tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    data, options = GRAY[:pages] if pages > 1 else GRAY[0], dict[str, Any]()
    if "alpha" in kind:
        data = np.stack([data, data], data.ndim if kind == "alpha" else -3)
        options = {"planarconfig": "contig" if kind == "alpha" else "separate", "extrasamples": ["unassalpha"]}
    if kind == "axes":
        options["metadata"] = {"axes": "ZYX"[-data.ndim :], "about": "a hand"}
    if kind == "one directory":
        options["metadata"] = {"truncated": True}
    tifffile.imwrite(source, data, photometric="minisblack", **options)
    picture = read(source)
    frames = colour(picture, out, scale)
    assert picture.warnings == []
    with tifffile.TiffFile(out) as file:
        described = json.loads(file.pages[0].description)
        assert described["shape"] == [*([pages] if pages > 1 else []), *frames[0].shape]
        assert described.get("axes") == ("ZYXS"[-1 - data.ndim :] if kind == "axes" else None)
        assert described.get("about") == ("a hand" if kind == "axes" else None)
        (series,) = file.series
        np.testing.assert_array_equal(series.asarray(), np.stack(frames) if pages > 1 else frames[0])


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(
    ("kind", "name"), [({"ome": True}, "OME"), ({"imagej": True, "metadata": {"axes": "ZYX", "mode": "grayscale"}}, "ImageJ")]
)
def test_what_says_gray_is_left_out_with_a_warning(kind: dict[str, Any], name: str, scale: int, tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(source, GRAY, **kind)
    picture = read(source)
    assert picture.warnings == []
    frames = colour(picture, out, scale)
    (warning,) = picture.warnings
    assert f"{name} description" in warning
    with tifffile.TiffFile(out) as file:
        assert not file.is_ome and not file.is_imagej
        for page in file.pages:
            assert not page.aspage().description
            assert not {50838, 50839} & set(page.aspage().tags.keys())
    result = read(out)
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(result.frame(index).stored, frame)


def test_a_caption_and_a_shape_of_other_pages_stay_or_go(tmp_path: Path) -> None:
    for text, kept in (("a hand", True), ('{"shape": [7, 9]}', False)):
        source, out = tmp_path / "a.tif", tmp_path / "b.tif"
        tifffile.imwrite(source, GRAY[0], description=text, metadata=None, photometric="minisblack")
        colour(read(source), out)
        with tifffile.TiffFile(out) as file:
            assert file.pages[0].description == (text if kept else "")
