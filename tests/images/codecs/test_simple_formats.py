"""PAM, PFM, NumPy arrays and TGA: what is kept when pixels change, what is refused, and the samples as other libraries read them."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import format_samples as samples
import numpy as np
import pytest
from picture_samples import ALL, passed, stored
from PIL import Image

from restore.images import ImageError, read


def half(seen: np.ndarray) -> np.ndarray:
    return seen * np.float32(0.5)


def _made(name: str, folder: Path) -> Path:
    samples.LOSSLESS[name](folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["gray8.tga", "gray8-runs.tga", "la8.tga", "rgb8-runs.tga", "rgba8.tga", "palette.tga"])
def test_pillow_reads_what_we_write_as_tga(name: str, tmp_path: Path) -> None:
    source, out = _made(name, tmp_path), tmp_path / "out.tga"
    with Image.open(source) as image:
        shown = np.asarray(image.convert("RGB") if image.mode == "P" else image)
        assert np.array_equal(stored(source)[0], shown)
    given = passed(read(source), out, half)[0]
    with Image.open(out) as image, Image.open(source) as old:
        assert np.array_equal(np.asarray(image), given)
        for key in ("compression", "orientation", "id_section"):
            assert image.info.get(key) == old.info.get(key) or name == "palette.tga"


def test_tga_runs_compress(tmp_path: Path) -> None:
    source, out = _made("rgb8-runs.tga", tmp_path), tmp_path / "out.tga"
    picture = read(source)
    picture.save(out, [np.full((samples.HEIGHT, samples.WIDTH, 3), 7, np.uint8)])
    assert out.stat().st_size < 200


@pytest.mark.parametrize("depth", [15, 16])
def test_tga_of_five_bits_a_channel(depth: int, tmp_path: Path) -> None:
    words = np.arange(0, 65536, 131, dtype="<u2")[:500].reshape(20, 25)
    header = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 25, 20, depth, 0x20 | (depth == 16))
    (tmp_path / "a.tga").write_bytes(header + words.tobytes())
    frame = read(tmp_path / "a.tga").frame(0)
    assert np.array_equal(frame.stored[..., 0], np.rint((words >> 10 & 31) * 255 / 31))
    assert (frame.alpha is None) == (depth == 15)
    if frame.alpha is not None:
        assert np.array_equal(frame.alpha > 0, words >> 15 == 1)


@pytest.mark.parametrize("varied", [False, True])
@pytest.mark.parametrize("runs", [False, True])
def test_tga_with_alpha_that_its_header_does_not_mention(varied: bool, runs: bool, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 25, 4), dtype=np.uint8)
    if not varied:
        pixels[..., 3] = 0  # filling
    rows = b"".join(b"\x00" + pixel.tobytes() for pixel in pixels.reshape(-1, 4)) if runs else pixels.tobytes()
    (tmp_path / "a.tga").write_bytes(struct.pack("<BBBHHBHHHHBB", 0, 0, 10 if runs else 2, 0, 0, 0, 0, 0, 25, 20, 32, 0x20) + rows)
    picture = read(tmp_path / "a.tga")
    assert (picture.frame(0).alpha is not None) == varied
    given = passed(picture, tmp_path / "b.tga", half)[0]
    with Image.open(tmp_path / "b.tga") as image:
        assert image.mode == ("RGBA" if varied else "RGB") and np.array_equal(np.asarray(image), given)


def test_tga_without_its_suffix_is_known_by_its_footer(tmp_path: Path) -> None:
    source = _made("rgb8-runs.tga", tmp_path).rename(tmp_path / "texture")
    assert read(source).format == "tga"
    source.write_bytes(source.read_bytes()[:-26])
    with pytest.raises(ImageError, match="not a picture"):
        read(source)


def test_opencv_reads_what_we_write_as_pfm(tmp_path: Path) -> None:
    for name in ("gray-float.pfm", "rgb-float.pfm"):
        source, out = _made(name, tmp_path), tmp_path / "out.pfm"
        given = passed(read(source), out, half)[0]
        seen = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
        assert seen is not None and np.array_equal(seen if seen.ndim == 2 else seen[..., ::-1], given)


def test_pfm_of_the_other_byte_order_keeps_it(tmp_path: Path) -> None:
    path, out = tmp_path / "a.pfm", tmp_path / "out.pfm"
    path.write_bytes(b"Pf\n30 19\n2.5\n" + samples.FLOAT[::-1].astype(">f4").tobytes())
    assert np.array_equal(stored(path)[0], samples.FLOAT)
    given = passed(read(path), out, half)[0]
    assert out.read_bytes() == b"Pf\n30 19\n2.5\n" + given[::-1].astype(">f4").tobytes()


def test_integers_become_floats_with_white_1(tmp_path: Path) -> None:
    Image.fromarray(samples.G16).save(tmp_path / "a.png")
    picture = read(tmp_path / "a.png")
    picture.save(tmp_path / "a.pfm", [picture.frame(0).stored], format="pfm")
    read(tmp_path / "a.pfm").save(tmp_path / "b.png", [read(tmp_path / "a.pfm").frame(0).stored], format="png")
    assert np.array_equal(stored(tmp_path / "b.png")[0], samples.G16)


def test_pam_keeps_its_header(tmp_path: Path) -> None:
    source, out = _made("la12.pam", tmp_path), tmp_path / "out.pam"
    given = passed(read(source), out, half)[0]
    head = source.read_bytes().split(b"ENDHDR\n")[0]
    assert out.read_bytes() == head + b"ENDHDR\n" + given.astype(">u2").tobytes()
    read(source).save(tmp_path / "big.pam", [np.zeros((38, 60, 2), np.uint16)], scale=2)
    assert b"# a comment\nWIDTH 60\nHEIGHT 38\nDEPTH 2" in (tmp_path / "big.pam").read_bytes()


def test_arrays_keep_type_and_order(tmp_path: Path) -> None:
    for name in (
        "rgba16-be.npy",
        "float64-f.npy",
        "stack-int16.npy",
        "stack-rgb-f.npy",
        "bool.npy",
        "one-channel.npy",
        "stack-one-channel-f.npy",
    ):
        source, out = _made(name, tmp_path), tmp_path / "out.npy"
        given = passed(read(source), out, half)
        old, new = np.load(source), np.load(out)
        assert (new.dtype, new.shape, new.flags.f_contiguous) == (old.dtype, old.shape, old.flags.f_contiguous)
        assert np.array_equal(new, np.reshape(given if name.startswith("stack") else given[0], new.shape))


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("kind", ["u2", "i2", "f4"])
@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize("frames", [1, 2])
def test_arrays_keep_their_byte_order(order: str, kind: str, fortran: bool, frames: int, tmp_path: Path) -> None:
    array = (np.arange(frames * 20 * 30).reshape(frames, 20, 30) * 7).astype(order + kind)
    np.save(tmp_path / "a.npy", np.asarray(array, order="F" if fortran else "C"))
    given = passed(read(tmp_path / "a.npy"), tmp_path / "b.npy", half)
    new = np.load(tmp_path / "b.npy")
    assert (new.dtype, new.flags.f_contiguous) == (array.dtype, fortran)
    assert np.array_equal(new, np.stack(given))


def test_all_frames_of_a_stack_have_one_range(tmp_path: Path) -> None:
    frames = [read(_made("stack-int16.npy", tmp_path)).frame(index) for index in range(3)]
    assert frames[0].mapping == frames[2].mapping
    ratio = [frame.normalized().ravel() for frame in frames]
    assert np.allclose(np.ptp(np.concatenate(ratio)), np.ptp(samples.STACK) / (frames[0].mapping.levels), rtol=1e-5)


@pytest.mark.parametrize(("array", "why"), [
    (np.zeros((4, 5), complex), "type complex128"), (np.zeros(7), "no picture"), (np.zeros((2, 3, 4, 5, 6)), "no picture"),
    (np.zeros((4, 5), "datetime64[s]"), "type datetime64"), (np.zeros((4, 0)), "5|0 x"),
])  # fmt: skip
def test_arrays_that_are_no_pictures(array: np.ndarray, why: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ImageError, match=why):
        read(tmp_path / "a.npy")


def test_an_array_of_objects_runs_no_code(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[{}, {}]], object), allow_pickle=True)
    with pytest.raises(ImageError, match="type object"):
        read(tmp_path / "a.npy")


BAD = {
    "a.pam": (b"P7\nWIDTH 4\nHEIGHT 4\n", "breaks off"),
    "b.pam": (b"P7\nWIDTH 60000\nHEIGHT 60000\nDEPTH 3\nMAXVAL 255\nENDHDR\n", "over the limit"),
    "c.pam": (b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 7\nMAXVAL 255\nENDHDR\n" + bytes(14), "neither gray nor RGB"),
    "d.pam": (b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 1\nMAXVAL 10\nENDHDR\n\x0b\x0a", "exceeds maxval"),
    "e.pam": (b"P7\nWIDTH 2\nHEIGHT 9\nDEPTH 1\nMAXVAL 10\nENDHDR\n\x01\x02", "rows are missing"),
    "a.pfm": (b"Pf\n20000 20000\n-1.0\n" + bytes(99), "rows are missing"),
    "b.pfm": (b"Pf\n2 2\n0\n" + bytes(16), "its scale"),
    "c.pfm": (b"Pf\n60000 60000\n1\n" + bytes(16), "over the limit"),
    "d.pfm": (2 * (b"Pf\n2 1\n-1.0\n" + bytes(8)), "several pictures"),
    "two.ppm": (2 * b"P2 1 1 255\n7\n", "several pictures"),
    "a.tga": (struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 20000, 20000, 24, 0) + bytes(99), "can hold"),
    "b.tga": (struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 20, 20, 24, 0) + bytes(9), "truncated TGA"),
    "c.tga": (struct.pack("<BBBHHBHHHHBB", 0, 1, 1, 0, 2, 24, 0, 0, 2, 1, 8, 0) + bytes(6) + b"\1\2", "outside its colour map"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_name_their_reason(name: str, tmp_path: Path) -> None:
    data, why = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=why) as caught:
        read(tmp_path / name).frame(0)
    assert name in str(caught.value)


def test_a_truncated_array_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (9, 20000, 20000)})
    with pytest.raises(ImageError, match="truncated NumPy array"):
        read(tmp_path / "a.npy")


def test_missing_rows_are_salvaged(tmp_path: Path) -> None:
    for name, rows in (("rgb8.pam", slice(0, 5)), ("gray-float.pfm", slice(-5, None))):
        source, row = _made(name, tmp_path), samples.WIDTH * (3 if name == "rgb8.pam" else 4)
        whole = stored(source)[0]
        source.write_bytes(source.read_bytes()[: -14 * row])
        with pytest.raises(ImageError, match="--salvage"):
            read(source).frame(0)
        picture = read(source, salvage=True)
        frame = picture.frame(0)
        assert np.array_equal(frame.stored[rows], whole[rows]) and np.count_nonzero(frame.stored) <= whole[rows].size
        assert "74 % of its rows are missing" in picture.warnings[0]


def test_several_arrays_in_one_file_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        for _ in range(2):
            np.save(file, samples.STACK[0])
    with pytest.raises(ImageError, match=r"a.npy: holds several arrays; save each in a file of its own"):
        read(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["gray8.npy", "stack-rgb-f.npy", "gray-float.pfm", "rgb8.pam", "p5.pgm", "p6-16bit.ppm"])
def test_what_follows_the_picture_stays(name: str, tmp_path: Path) -> None:
    source, out = tmp_path / name, tmp_path / f"out-{name}"
    ALL[name](source)
    source.write_bytes(source.read_bytes() + b"\0note of the lab\n")
    passed(read(source), out, lambda seen: 1 - seen)
    assert out.read_bytes() != source.read_bytes() and out.read_bytes().endswith(b"\0note of the lab\n")
    assert len(out.read_bytes()) == len(source.read_bytes())
