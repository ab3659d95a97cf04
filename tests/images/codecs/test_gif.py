"""GIF: what is kept when pixels change, how colours beyond 256 are written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import format_samples as samples
import numpy as np
import pytest
from picture_samples import passed, stored
from PIL import Image

from restore.images import ImageError, read


def _made(name: str, folder: Path) -> Path:
    samples.LOSSLESS[name](folder / name)
    return folder / name


def test_a_gray_gif_keeps_all_values(tmp_path: Path) -> None:
    source, out = _made("gray.gif", tmp_path), tmp_path / "out.gif"
    assert read(source).warnings == []
    given = passed(read(source), out, lambda seen: 1 - seen)[0]
    with Image.open(out) as image:
        assert np.array_equal(np.asarray(image.convert("L")), given)
        assert given.ndim == 2 and len(np.unique(given)) > 200


def test_transparency_comment_and_interlacing_stay(tmp_path: Path) -> None:
    for name in ("gray-alpha.gif", "palette-alpha.gif", "palette.gif"):
        source, out = _made(name, tmp_path), tmp_path / "out.gif"
        passed(read(source), out, lambda seen: seen * np.float32(0.5))
        with Image.open(source) as old, Image.open(out) as new:
            for key in ("comment", "interlace"):
                assert old.info.get(key) == new.info.get(key)
            assert np.array_equal(np.asarray(old.convert("RGBA"))[..., 3], np.asarray(new.convert("RGBA"))[..., 3])


def test_many_colours_become_the_nearest_of_256(tmp_path: Path) -> None:
    source, out = tmp_path / "a.gif", tmp_path / "b.gif"
    Image.fromarray(samples.SMOOTH).quantize(256).save(source)
    picture = read(source)
    assert "256 colours" in picture.warnings[0]
    gradient = np.linspace(0, 0.2, samples.WIDTH, dtype=np.float32)[None, :, None]
    given = passed(picture, out, lambda seen: np.clip(seen * np.float32(0.7) + gradient * seen[..., ::-1], 0, 1))[0]
    assert len(np.unique(given.reshape(-1, 3), axis=0)) > 256
    error = np.abs(stored(out)[0].astype(int) - given)
    assert 0 < error.mean() < 4


def test_animations_and_broken_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [Image.fromarray(samples.noise()) for _ in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match=r"animated GIF \(3 pictures\); save its frames as PNG"):
        read(path)
    whole = _made("gray.gif", tmp_path).read_bytes()
    for change, why in (((6, 0xFF), "outside its screen|its picture"), ((len(whole) // 2, None), "GIF")):
        at, value = change
        path.write_bytes(whole[:at] if value is None else whole[:at] + b"\1\0" + whole[at + 2 :])
        with pytest.raises(ImageError, match=why):
            read(path).frame(0)


def test_a_bomb_is_refused_before_decoding(tmp_path: Path) -> None:
    whole = bytearray(_made("gray.gif", tmp_path).read_bytes())
    at = whole.index(b"\x2c", 13 + 768)
    for place in (6, at + 5):
        whole[place : place + 4] = b"\x20\x4e\x20\x4e"
    (tmp_path / "b.gif").write_bytes(whole)
    with pytest.raises(ImageError, match="LZW can hold"):
        read(tmp_path / "b.gif")
