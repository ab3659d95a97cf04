"""Several steps on one decoded picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from batch_steps import Identity, folder, picture
from PIL import Image as Pillow
from pydicom.data import get_testdata_file

from restore.images import read
from restore.pipeline.batch import BatchOptions, run
from restore.pipeline.chain import Chain
from restore.pipeline.discovery import Job
from restore.pipeline.step import Image, ImageInfo, Masks, Result, Sidecars, Step


class Scaled(Step[float]):
    """Multiplies by `factor` and enlarges; its analysis is the mean of what it sees."""

    def __init__(self, factor: float, scale: int = 1) -> None:
        self.name, self.factor, self.scale = f"times{factor:g}", factor, float(scale)
        self.analysed: list[float] = []

    def settings(self) -> dict[str, Any]:
        return {"factor": self.factor}

    def analyse(self, image: Image) -> float:
        self.analysed.append(float(image.pixels.mean()))
        return self.analysed[-1]

    def __call__(self, image: Image, analysis: float | None = None, sidecars: Sidecars | None = None) -> Result:
        mean = self.analyse(image) if analysis is None else analysis
        pixels = np.repeat(np.repeat(image.pixels * self.factor, int(self.scale), 0), int(self.scale), 1)
        return Result(pixels, {"mean": mean}, (f"{self.name} was here",))


class Masked(Step[None]):
    """Blackens where its mask file is white."""

    name = "masked"

    def __init__(self, mask: Path) -> None:
        self.mask = mask

    def settings(self) -> dict[str, Any]:
        return {}

    def sidecars(self, source: Path, relative: Path) -> list[Path]:
        return [self.mask]

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        assert sidecars is not None
        mask = sidecars[self.mask].picture.frame(0).normalized()[:, :, 0] > 0.5
        return Result(np.where(mask[:, :, None], 0, image.pixels), opaque=mask, masks=(mask,))


def test_steps_see_what_the_one_before_returned_and_each_is_analysed_once() -> None:
    first, second = Scaled(0.5, 2), Scaled(4.0)
    chain = Chain([first, second])
    image = Image(np.full((4, 6, 1), 0.25, np.float32))
    result = chain(image, chain.analyse(image))
    assert (chain.scale, chain.name) == (2.0, "times0.5+times4")
    np.testing.assert_array_equal(result.pixels, np.full((8, 12, 1), 0.5, np.float32))
    assert (first.analysed, second.analysed) == ([0.25], [0.125])
    assert result.stats == {"times0.5": {"mean": 0.25}, "times4": {"mean": 0.125}}
    assert result.warnings == ("times0.5 was here", "times4 was here")


def test_alpha_and_validity_follow_the_size() -> None:
    images: list[Image] = []

    class Watch(Identity):
        def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
            images.append(image)
            return super().__call__(image)

    alpha, valid = np.array([[0, 255], [255, 255]], np.uint8), np.array([[True, True], [False, True]])
    image = Image(np.zeros((2, 2, 3), np.float32), alpha, valid, ImageInfo(size=(2, 2)))
    Chain([Scaled(1.0, 3), Watch()])(image)
    assert images[0].pixels.shape == (6, 6, 3)
    assert images[0].alpha is not None and images[0].valid is not None
    np.testing.assert_array_equal(images[0].alpha, np.kron(alpha, np.ones((3, 3), np.uint8)))
    np.testing.assert_array_equal(images[0].valid, np.kron(valid, np.ones((3, 3), bool)))
    assert images[0].info.size == (2, 2)


def test_what_a_step_made_opaque_and_its_mask_reach_the_end(tmp_path: Path) -> None:
    mask = np.zeros((4, 5), np.uint8)
    mask[1:3, 2:4] = 255
    Pillow.fromarray(mask).save(tmp_path / "mask.png")
    picture(tmp_path / "in/a.png", size=(4, 5))
    Pillow.fromarray(np.full((4, 5, 2), 90, np.uint8)).save(tmp_path / "in/b.png")
    step = Masked(tmp_path / "mask.png")
    chain = Chain([step, Scaled(1.0, 2)])
    report = run(chain, [tmp_path / "in"], tmp_path / "out")
    assert not report.failed, report.records[0].error
    result = read(tmp_path / "out/a.png").frame(0).stored
    assert result.shape == (8, 10)
    holes = np.kron(mask, np.ones((2, 2))) > 0
    assert not result[holes].any()
    result = read(tmp_path / "out/b.png").frame(0).stored
    assert set(result[..., 1][~holes]) == {90} == set(result[..., 1][holes])  # as opaque as the picture is anywhere
    assert set(result[..., 0][holes]) == {0}


class Keeping(Scaled):
    """Scales, and writes down the masks that it is given."""

    def __init__(self, scale: int, folder: Path | None) -> None:
        super().__init__(1.0, scale)
        self.side_folders, self.kept = (() if folder is None else (("--keep", folder),)), []

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        result = super().__call__(image)
        return replace(result, masks=(image.pixels[:, :, 0] > 0.5,) if self.side_folders else ())

    def write_side_files(self, job: Job, frames: int, masks: Sequence[Masks]) -> None:
        self.kept += masks


def test_each_step_saves_its_own_masks_in_the_size_of_the_input(tmp_path: Path) -> None:
    rows = np.zeros((6, 8), np.uint8)
    rows[2:4, 3:5] = 255
    (tmp_path / "in").mkdir()
    Pillow.fromarray(rows).save(tmp_path / "in/a.png")
    steps = [Keeping(2, tmp_path / "one"), Keeping(1, None), Keeping(2, tmp_path / "two")]
    assert run(Chain([*steps, Scaled(0.0)]), [tmp_path / "in"], tmp_path / "out").done == 1
    for step, count in zip(steps, (1, 0, 1), strict=True):
        (masks,) = step.kept
        assert [mask.shape for mask in masks if mask is not None] == [(6, 8)] * count
        assert all(np.array_equal(mask, rows > 0) for mask in masks if mask is not None)
    with pytest.raises(ValueError, match="give each a folder of its own"):
        Chain([Keeping(1, tmp_path / "one"), Keeping(1, tmp_path / "one")])


def test_only_the_first_step_learns_from_the_pictures() -> None:
    first, second = Scaled(1.0), Scaled(1.0)
    first.learns_from_inputs = True
    assert Chain([first, second]).learns_from_inputs
    with pytest.raises(ValueError, match="only the first step of a pipeline can adapt"):
        Chain([second, first])


def test_the_same_step_twice_has_its_own_stats() -> None:
    result = Chain([Scaled(2.0), Scaled(2.0)])(Image(np.full((3, 3, 1), 0.1, np.float32)))
    assert list(result.stats) == ["times2", "times2 2"]


def test_settings_tell_the_steps_and_their_order() -> None:
    first, second = Scaled(2.0), Scaled(3.0)
    assert Chain([first, second]).settings() != Chain([second, first]).settings()
    with pytest.raises(ValueError, match="at least one step"):
        Chain([])


def test_a_chain_over_files_is_the_steps_over_arrays(tmp_path: Path) -> None:
    folder(tmp_path / "in", 3)
    chain = Chain([Scaled(0.5), Scaled(1.6)])
    report = run(chain, [tmp_path / "in"], tmp_path / "out")
    assert report.done == 3
    for record in report.records:
        frame = read(record.input).frame(0)
        expected = frame.normalized() * np.float32(0.5) * np.float32(1.6)
        assert record.output is not None
        np.testing.assert_array_equal(read(record.output).frame(0).stored, frame.encode(expected))


class Fractional(Identity):
    """Enlarges by a fraction, nearest neighbours; each step rounds its own size."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.name, self.scale = f"by{scale:g}", scale

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        rows, columns = (np.arange(round(side * self.scale)) * side // round(side * self.scale) for side in image.pixels.shape[:2])
        return Result(image.pixels[rows[:, None], columns])


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg", "dcm"])
def test_fractional_scales_are_rounded_step_by_step(tmp_path: Path, suffix: str) -> None:
    chain = Chain([Fractional(1.5), Fractional(1.5)])
    assert chain.result_size((31, 37)) == (69, 84) and Fractional(1.5).result_size((31, 37)) == (46, 56)
    source = tmp_path / f"in/a.{suffix}"
    if suffix == "dcm":
        ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        ds.Rows, ds.Columns, ds.PixelData = 31, 37, ds.pixel_array[:31, :37].tobytes()
        source.parent.mkdir()
        ds.save_as(source)
    else:
        source.parent.mkdir()
        exif = Pillow.Exif()
        exif.get_ifd(0x8769).update({0xA002: 37, 0xA003: 31})
        pixels = np.random.default_rng(0).integers(0, 256, (31, 37, 3), dtype=np.uint8)
        Pillow.fromarray(pixels).save(source, exif=exif)
    for format in (None, "png"):
        (record,) = run(chain, [source], tmp_path / f"out-{format}", BatchOptions(format=format)).records
        assert record.error == "" and record.output is not None
        assert read(record.output).size == (69, 84)
        if suffix in ("webp", "jpg"):
            with Pillow.open(record.output) as image:
                fields = image.getexif().get_ifd(0x8769)
            assert (fields[0xA002], fields[0xA003]) == (84, 69)


def test_both_windows_of_an_openexr_follow_fractional_scales(tmp_path: Path) -> None:
    exr = pytest.importorskip("OpenEXR")
    picture(tmp_path / "in/a.png", size=(31, 37))
    run(Identity(), [tmp_path / "in"], tmp_path / "exr", BatchOptions(format="exr"))
    (record,) = run(Chain([Fractional(1.5), Fractional(1.5)]), [tmp_path / "exr"], tmp_path / "out").records
    with exr.File(str(record.output)) as file:
        windows = [file.header()[name] for name in ("dataWindow", "displayWindow")]
    assert [(low.tolist(), high.tolist()) for low, high in windows] == [([0, 0], [83, 68])] * 2
