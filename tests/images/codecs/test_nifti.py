"""NIfTI: what nibabel reads of results, the place of enlarged slices in space, order of slices, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import format_samples as samples
import nibabel
import numpy as np
import pytest
import tifffile
from picture_samples import ALL, passed

from restore.images import ImageError, file_kind, naming, read

KEPT = ("pixdim", "descrip", "xyzt_units", "qform_code", "sform_code", "scl_slope", "scl_inter", "intent_code", "cal_max")


def _made(name: str, folder: Path) -> Path:
    samples.LOSSLESS[name](folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["volume-int16.nii", "volume-float-be.nii.gz", "series-uint8.nii", "slice-uint16.nii", "rgb8.nii"])
def test_nibabel_reads_what_was_written(name: str, tmp_path: Path) -> None:
    source, out = _made(name, tmp_path), tmp_path / ("out.nii.gz" if name.endswith("gz") else "out.nii")
    given = passed(read(source), out, lambda seen: seen * np.float32(0.5))
    old, new = nibabel.load(source), nibabel.load(out)
    assert new.header.endianness == old.header.endianness and new.get_data_dtype() == old.get_data_dtype()
    assert new.shape == old.shape and np.array_equal(new.affine, old.affine)
    for key in KEPT:
        assert np.array_equal(old.header[key], new.header[key], equal_nan=old.header[key].dtype.kind == "f"), key
    assert [e.get_content() for e in old.header.extensions] == [e.get_content() for e in new.header.extensions]
    data = np.asanyarray(new.dataobj)
    if name == "rgb8.nii":
        assert np.array_equal(data[:, :, 0].T["G"], given[0][..., 1])
    else:
        slices = data.reshape(data.shape[0], data.shape[1], -1, order="F")
        assert all(np.array_equal(slices[..., index].T, frame) for index, frame in enumerate(given))


def test_enlarged_slices_stay_at_their_place(tmp_path: Path) -> None:
    source = _made("volume-int16.nii", tmp_path)
    picture = read(source)
    stored = [picture.frame(index).resized(38, 60).stored for index in range(3)]
    picture.save(tmp_path / "b.nii", stored, scale=2)
    old, new = nibabel.load(source), nibabel.load(tmp_path / "b.nii")
    assert new.shape == (60, 38, 3) and np.allclose(new.header.get_zooms(), np.array(old.header.get_zooms()) / (2, 2, 1))
    for affine in ("get_qform", "get_sform"):
        before, after = getattr(old.header, affine)(), getattr(new.header, affine)()
        for low, high in (((-0.5, -0.5, 0), (-0.5, -0.5, 0)), ((29.5, 18.5, 2), (59.5, 37.5, 2))):  # the slices' corners
            assert np.allclose(before @ [*low, 1], after @ [*high, 1], atol=1e-4), affine


def test_slope_and_intercept_stay_and_the_range_is_that_of_the_volume(tmp_path: Path) -> None:
    samples.nifti(samples.STACK.transpose(2, 1, 0), slope=-2.0)(tmp_path / "a.nii")
    picture = read(tmp_path / "a.nii")
    frames = [picture.frame(index) for index in range(3)]
    assert len({frame.mapping for frame in frames}) == 1
    darker = frames[0].stored.ravel().argmax()  # a negative slope: the largest stored value is the darkest
    assert frames[0].normalized().ravel()[darker] < 0.2
    passed(picture, tmp_path / "b.nii", lambda seen: seen * np.float32(0.9))
    header = nibabel.load(tmp_path / "b.nii").dataobj
    assert (header.slope, header.inter) == (-2.0, 5.0)


def test_a_colour_result_is_rgb24(tmp_path: Path) -> None:
    samples.nifti(samples.G8.T)(tmp_path / "a.nii")
    picture = read(tmp_path / "a.nii")
    picture.save(tmp_path / "b.nii", [samples.RGB8], coloured=True)
    assert np.array_equal(np.asanyarray(nibabel.load(tmp_path / "b.nii").dataobj).T["B"].squeeze(), samples.RGB8[..., 2])


def test_the_name_has_two_suffixes(tmp_path: Path) -> None:
    assert file_kind.stem("brain.t1.nii.gz") == "brain.t1" and file_kind.stem("a.nii") == "a"
    assert naming.results([Path("brain.nii.gz")], (".tif", ".tiff"))[0].path == Path("brain.tif")
    assert file_kind.look(_made("volume-float-be.nii.gz", tmp_path)).is_picture
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(b"words"))
    assert file_kind.look(tmp_path / "b.nii.gz").is_picture  # by its suffix: it is reported as broken
    with pytest.raises(ImageError, match="gzip archive"):
        read(tmp_path / "b.nii.gz")


def test_what_is_refused(tmp_path: Path) -> None:
    volume = nibabel.Nifti1Image(np.zeros((4, 5, 2), np.complex64), np.eye(4))
    nibabel.save(volume, tmp_path / "a.nii")
    with pytest.raises(ImageError, match="type complex64"):
        read(tmp_path / "a.nii")
    source = _made("volume-int16.nii", tmp_path)
    whole = bytearray(source.read_bytes())
    source.write_bytes(whole[:-100])
    with pytest.raises(ImageError, match="truncated NIfTI"):
        read(source)
    whole[42:46] = b"\x30\x75\x30\x75"
    for name, data in (("b.nii", bytes(whole)), ("c.nii.gz", gzip.compress(bytes(whole)))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=r"truncated NIfTI|over the limit"):
            read(tmp_path / name)


@pytest.mark.parametrize("name", ["gray8.png", "gray16.png", "rgb8.png", "rgba8.png", "float32.tif", "float64-hot.tif", "palette.png"])
def test_other_formats_become_slices_unchanged(name: str, tmp_path: Path) -> None:
    ALL[name](tmp_path / name)
    picture = read(tmp_path / name)
    stored = picture.frame(0).stored
    picture.save(tmp_path / "a.nii", [stored], format="nifti")
    volume = nibabel.load(tmp_path / "a.nii")
    data = np.asanyarray(volume.dataobj)[:, :, 0]
    if data.dtype.names:
        data = np.stack([data[channel] for channel in data.dtype.names], -1)
    assert np.array_equal(np.moveaxis(data, 0, 1), stored, equal_nan=stored.dtype.kind == "f") and data.dtype == stored.dtype
    assert np.array_equal(read(tmp_path / "a.nii").frame(0).stored, stored, equal_nan=stored.dtype.kind == "f")
    if stored.ndim == 2 and stored.dtype.kind == "u":
        assert volume.header["cal_max"] == np.iinfo(stored.dtype).max


def test_pages_become_slices_of_one_type(tmp_path: Path) -> None:
    stack = np.stack([samples.G16, samples.G16[::-1], samples.G16 // 2])
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", resolution=(254, 127), resolutionunit="inch")
    picture = read(tmp_path / "a.tif")
    picture.save(tmp_path / "a.nii", (picture.frame(index).stored for index in range(3)), format="nifti")
    volume = nibabel.load(tmp_path / "a.nii")
    assert volume.shape == (samples.WIDTH, samples.HEIGHT, 3) and np.array_equal(np.asanyarray(volume.dataobj).T, stack)
    assert np.allclose(volume.header.get_zooms()[:2], (0.1, 0.2)) and volume.header.get_xyzt_units()[0] == "mm"
    ALL["pages.tif"](tmp_path / "b.tif")
    picture = read(tmp_path / "b.tif")
    with pytest.raises(ImageError, match=r"slices of one size and type.*choose tiff"):
        picture.save(tmp_path / "b.nii", (picture.frame(index).stored for index in range(3)), format="nifti")
    assert not (tmp_path / "b.nii").exists()


@pytest.mark.parametrize(
    ("name", "why"), [("rgb16.png", "colours of 8 bits"), ("la8.png", "transparency"), ("rgb-float.pfm", "colours of 8 bits")]
)
def test_what_slices_cannot_hold_is_refused(name: str, why: str, tmp_path: Path) -> None:
    ALL[name](tmp_path / name)
    picture = read(tmp_path / name)
    with pytest.raises(ImageError, match=why):
        picture.save(tmp_path / "a.nii", [picture.frame(0).stored], format="nifti")


def test_long_sides_become_nifti_2(tmp_path: Path) -> None:
    wide = np.arange(40000, dtype=np.uint16)[None].repeat(2, 0)
    tifffile.imwrite(tmp_path / "a.tif", wide)
    read(tmp_path / "a.tif").save(tmp_path / "a.nii", [wide], format="nifti")
    assert isinstance(nibabel.load(tmp_path / "a.nii"), nibabel.Nifti2Image)
    assert np.array_equal(read(tmp_path / "a.nii").frame(0).stored, wide)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("target", ["tiff", "npy", "png"])
def test_unsigned_samples_become_other_formats_unchanged(kind: type[np.generic], target: str, tmp_path: Path) -> None:
    labels = np.arange(19 * 30).reshape(19, 30).astype(kind) % 200 + 3
    nibabel.save(nibabel.Nifti1Image(labels.T[..., None], np.eye(4)), tmp_path / "a.nii")
    picture = read(tmp_path / "a.nii")
    picture.save(tmp_path / f"b.{target}", [picture.frame(0).stored], format=target)
    assert np.array_equal(read(tmp_path / f"b.{target}").frame(0).stored, labels)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_what_follows_the_samples_stays(suffix: str, tmp_path: Path) -> None:
    name = "volume-float-be.nii.gz" if suffix == ".nii.gz" else "volume-int16.nii"
    source = _made(name, tmp_path)
    opened = gzip.open if suffix == ".nii.gz" else open
    with opened(source, "ab") as file:
        file.write(b"a note")
    passed(read(source), tmp_path / f"b{suffix}", lambda seen: seen * np.float32(0.5))
    with opened(tmp_path / f"b{suffix}", "rb") as file:
        assert file.read().endswith(b"a note")
