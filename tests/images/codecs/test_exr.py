"""OpenEXR: attributes, channel names, types and other channels stay; layers; linear light in other formats; what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import format_samples as samples
import numpy as np
import OpenEXR
import pytest
import tifffile
from picture_samples import ALL, passed
from PIL import Image, ImageCms

from restore.images import ImageError, colour_profiles, read
from restore.images.codecs.exr.codec import ExrCodec
from restore.images.packages import Package


def _save(path: Path, channels: dict[str, np.ndarray], **header: object) -> Path:
    with OpenEXR.File({"type": OpenEXR.scanlineimage, **header}, channels) as file:
        file.write(str(path))
    return path


def _planes(path: Path) -> dict[str, np.ndarray]:
    with OpenEXR.File(str(path), separate_channels=True) as file:
        return {name: np.array(channel.pixels) for name, channel in file.channels().items()}


def _header(path: Path) -> dict[str, object]:
    with OpenEXR.File(str(path), header_only=True) as file:
        return dict(file.header())


def test_everything_but_the_picture_stays(tmp_path: Path) -> None:
    source, out = tmp_path / "a.exr", tmp_path / "b.exr"
    light, mask = samples.LIGHT.astype(np.float16), samples.G16.astype(np.uint32)
    planes = {"R": light[..., 0], "G": light[..., 1], "B": light[..., 2], "Z": samples.FLOAT, "crypto.id": mask}
    more = {"comments": "shot 7", "expTime": 0.01, "compression": OpenEXR.PIZ_COMPRESSION, "tiles": OpenEXR.TileDescription()}
    more["tiles"].xSize, more["tiles"].ySize = 16, 8
    _save(source, {name: np.ascontiguousarray(plane) for name, plane in planes.items()}, **more, type=OpenEXR.tiledimage)
    given = passed(read(source), out, lambda seen: seen * np.float32(0.5))[0]
    assert given.dtype == np.float16
    old, new = _header(source), _header(out)
    assert [c.name for c in old["channels"]] == [c.name for c in new["channels"]]
    assert new["tiles"].xSize == 16 and new["tiles"].ySize == 8
    for key in old.keys() - {"channels", "tiles", "dataWindow", "displayWindow", "screenWindowCenter"}:
        assert old[key] == new[key], key
    written, before = _planes(out), _planes(source)
    assert [plane.dtype for plane in written.values()] == [plane.dtype for plane in before.values()]
    assert np.array_equal(np.stack([written[name] for name in "RGB"], -1), given)
    assert np.array_equal(written["Z"], samples.FLOAT) and np.array_equal(written["crypto.id"], mask)


def test_enlarged_windows_and_other_channels(tmp_path: Path) -> None:
    window = (np.array([-3, 5], np.int32), np.array([26, 23], np.int32))
    planes = {"Y": samples.FLOAT.astype(np.float16), "Z": samples.FLOAT}
    source = _save(tmp_path / "a.exr", planes, dataWindow=window, displayWindow=window, xDensity=100.0)
    picture = read(source)
    stored = picture.frame(0).resized(38, 60).stored
    picture.save(tmp_path / "b.exr", [stored], scale=2)
    header = _header(tmp_path / "b.exr")
    assert [corner.tolist() for corner in header["dataWindow"]] == [[-6, 10], [53, 47]]
    assert [corner.tolist() for corner in header["displayWindow"]] == [[-6, 10], [53, 47]]
    assert header["xDensity"] == 200.0
    assert np.array_equal(_planes(tmp_path / "b.exr")["Z"], samples.FLOAT.repeat(2, 0).repeat(2, 1))


def test_one_layer_is_the_picture_and_several_are_refused(tmp_path: Path) -> None:
    layer = {f"diffuse.{name}": np.ascontiguousarray(samples.LIGHT[..., index]) for index, name in enumerate("RGB")}
    picture = read(_save(tmp_path / "a.exr", layer | {"Z": samples.FLOAT}))
    assert np.array_equal(picture.frame(0).stored, samples.LIGHT)
    picture.save(tmp_path / "b.exr", [samples.LIGHT * np.float32(2)])
    assert np.array_equal(_planes(tmp_path / "b.exr")["diffuse.G"], samples.LIGHT[..., 1] * 2)
    more = {f"specular.{name[-1]}": plane for name, plane in layer.items()}
    with pytest.raises(ImageError, match=r"its channels \(diffuse.B, .*save one layer as R, G, B"):
        read(_save(tmp_path / "c.exr", layer | more))


def test_colours_are_normalized_without_their_alpha(tmp_path: Path) -> None:
    samples.LOSSLESS["rgba-float.exr"](tmp_path / "a.exr")
    frame = read(tmp_path / "a.exr").frame(0)
    seen = frame.normalized()
    inside = samples.OPACITY > 0
    ratio = seen[inside].ravel() / samples.LIGHT[inside].ravel()
    middle = samples.LIGHT[inside].ravel() < np.percentile(samples.LIGHT, 90)
    assert np.ptp(ratio[middle]) < 1e-3 * ratio.mean()
    assert np.array_equal(frame.alpha, samples.OPACITY)


def test_another_format_gets_a_profile_of_linear_light(tmp_path: Path) -> None:
    light = np.ascontiguousarray(np.linspace(0, 1, samples.WIDTH * samples.HEIGHT, dtype=np.float32).reshape(samples.HEIGHT, -1))
    picture = read(_save(tmp_path / "a.exr", {"RGB": np.stack([light, light, light], -1)}))
    picture.save(tmp_path / "a.tif", [picture.frame(0).stored], format="tiff")
    picture.save(tmp_path / "a.png", [picture.frame(0).stored], format="png")
    assert np.array_equal(read(tmp_path / "a.tif").frame(0).stored[..., 0], light)
    with Image.open(tmp_path / "a.png") as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    gray = Image.fromarray(np.full((1, 1, 3), 55, np.uint8))  # 0.2140 of the light of white is 127 in sRGB
    shown = ImageCms.profileToProfile(gray, profile, ImageCms.createProfile("sRGB"), renderingIntent=1)
    assert abs(shown.getpixel((0, 0))[0] - 128) <= 2


def test_what_is_refused(tmp_path: Path) -> None:
    part = OpenEXR.Part({"type": OpenEXR.scanlineimage, "name": "one"}, {"Y": samples.FLOAT})
    with OpenEXR.File([part, OpenEXR.Part({"type": OpenEXR.scanlineimage, "name": "two"}, {"Y": samples.FLOAT})]) as file:
        file.write(str(tmp_path / "parts.exr"))
    with pytest.raises(ImageError, match="several parts"):
        read(tmp_path / "parts.exr")
    with pytest.raises(ImageError, match="no gray or RGB picture"):
        read(_save(tmp_path / "ids.exr", {"id": samples.G16.astype(np.uint32)}))
    samples.LOSSLESS["gray-half.exr"](tmp_path / "a.exr")
    data = (tmp_path / "a.exr").read_bytes()
    at = data.index(b"dataWindow\0box2i\0") + 21
    (tmp_path / "a.exr").write_bytes(data[:at] + b"\0\0\0\0\0\0\0\0\x1f\x4e\0\0\x1f\x4e\0\0" + data[at + 16 :])
    with pytest.raises(ImageError, match="bytes of OpenEXR can hold"):
        read(tmp_path / "a.exr")


def test_a_missing_package_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples.LOSSLESS["depth.exr"](tmp_path / "a.exr")
    monkeypatch.setattr(ExrCodec, "needs", Package("no_such_module_of_exr", "exr"))
    with pytest.raises(
        ImageError, match=r"^a.exr: exr needs a package: install no_such_module_of_exr \(pip install 'restore-suite\[exr\]'\)$"
    ):
        read(tmp_path / "a.exr")


def _srgb_light(encoded: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, of values in 0..1."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("name", ["gray8.png", "rgb8.png", "gray16.png", "rgb16.png", "la16.png", "rgba8.png", "rgba16.png"])
def test_integers_become_linear_light(name: str, tmp_path: Path) -> None:
    ALL[name](tmp_path / name)
    picture = read(tmp_path / name)
    stored = picture.frame(0).stored
    picture.save(tmp_path / "a.exr", [stored], format="exr")
    planes = _planes(tmp_path / "a.exr")
    share = stored.reshape(*stored.shape[:2], -1) / np.iinfo(stored.dtype).max
    names = {1: "Y", 2: "YA", 3: "RGB", 4: "RGBA"}[share.shape[2]]
    assert sorted(planes) == sorted(names) and {plane.dtype for plane in planes.values()} == {np.dtype(("f2", "f4")["16" in name])}
    alpha = share[..., -1] if "A" in names else 1.0
    for index, channel in enumerate(names):
        expected = share[..., index] if channel == "A" else _srgb_light(share[..., index]) * alpha
        assert np.allclose(planes[channel], expected, rtol=2e-3 if stored.dtype == np.uint8 else 1e-6, atol=1e-6)


def test_a_profile_decodes_the_samples(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 30).astype(np.uint16), (19, 1))
    for gray in (True, False):
        for gamma in (1.0, 1.8):
            icc = colour_profiles.profile(colour_profiles.Colours(gamma=gamma), gray=gray)
            tifffile.imwrite(tmp_path / "a.tif", ramp if gray else np.stack([ramp] * 3, -1), iccprofile=icc)
            picture = read(tmp_path / "a.tif")
            picture.save(tmp_path / "a.exr", [picture.frame(0).stored], format="exr")
            light = next(iter(_planes(tmp_path / "a.exr").values()))
            assert np.allclose(light, (ramp / 65535.0) ** gamma, atol=3e-4)
    places = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
    red = np.zeros((4, 4, 3), np.uint16)
    red[..., 0] = 65535
    tifffile.imwrite(
        tmp_path / "a.tif", red, photometric="rgb", iccprofile=colour_profiles.profile(colour_profiles.Colours(places), gray=False)
    )
    read(tmp_path / "a.tif").save(tmp_path / "a.exr", [red], format="exr")
    planes = _planes(tmp_path / "a.exr")
    found = [planes[name][0, 0] for name in "RGB"]
    assert np.allclose(found, (1.2249, -0.0420, -0.0197), atol=3e-3)  # Display P3's red in sRGB's linear light


def test_linear_light_goes_to_tiff_and_back_unchanged(tmp_path: Path) -> None:
    source = tmp_path / "a.exr"
    samples.LOSSLESS["gray-half.exr"](source)
    _save(source, {"RGB": samples.LIGHT})
    picture = read(source)
    picture.save(tmp_path / "b.tif", [picture.frame(0).stored], format="tiff")
    again = read(tmp_path / "b.tif")
    again.save(tmp_path / "c.exr", [again.frame(0).stored], format="exr")
    assert np.array_equal(read(tmp_path / "c.exr").frame(0).stored, samples.LIGHT)


def test_floats_that_a_profile_does_not_describe_are_refused(tmp_path: Path) -> None:
    icc = colour_profiles.profile(colour_profiles.Colours(gamma=1.8), gray=False)
    tifffile.imwrite(tmp_path / "a.tif", samples.LIGHT, photometric="rgb", iccprofile=icc)
    picture = read(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"values below 0 or above 1.*choose tiff"):
        picture.save(tmp_path / "a.exr", [picture.frame(0).stored], format="exr")
    tifffile.imwrite(tmp_path / "b.tif", samples.LIGHT, photometric="rgb")  # without one they are light
    picture = read(tmp_path / "b.tif")
    picture.save(tmp_path / "b.exr", [picture.frame(0).stored], format="exr")
    assert np.array_equal(read(tmp_path / "b.exr").frame(0).stored, samples.LIGHT)


def test_the_resolution_goes_along(tmp_path: Path) -> None:
    Image.fromarray(samples.RGB8).save(tmp_path / "a.png", dpi=(300, 150))
    picture = read(tmp_path / "a.png")
    picture.save(tmp_path / "a.exr", [picture.frame(0).stored], format="exr")
    header = _header(tmp_path / "a.exr")
    assert np.allclose([header["xDensity"], header["pixelAspectRatio"]], [300, 2], rtol=1e-3)


def test_a_truncated_file_is_called_so(tmp_path: Path) -> None:
    source = tmp_path / "a.exr"
    samples.LOSSLESS["rgb-half.exr"](source)
    source.write_bytes(source.read_bytes()[:-200])
    with pytest.raises(ImageError, match=r"truncated OpenEXR.*copy it again"):
        read(source).frame(0)
