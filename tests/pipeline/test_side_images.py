"""Images next to each result: their names, reruns, and committing them with the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from batch_steps import Identity, folder, picture
from PIL import Image as Pillow

from restore.images import error_maps
from restore.pipeline import discovery, side_images
from restore.pipeline.batch import BatchOptions, run
from restore.pipeline.chain import Chain
from restore.pipeline.step import Image, Result, Sidecars, SideImage


class Mapped(Identity):
    """Writes two maps beside each result."""

    name = "mapped"
    side_images = ("error", "bound")

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        plane = np.full(image.pixels.shape[:2], 0.02, np.float32)
        side = SideImage("error", "expected absolute error", plane), SideImage("bound", "bound", 2 * plane)
        return replace(super().__call__(image), side=side)


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_maps_lie_beside_each_result(tmp_path: Path, executor: str) -> None:
    folder(tmp_path / "in", 2)
    report = run(Mapped(), [tmp_path / "in"], tmp_path / "out", BatchOptions(executor=executor))
    assert report.done == 2
    for record in report.records:
        assert record.output is not None
        side = record.stats["side_images"]
        for name, level in (("error", 0.02), ("bound", 0.04)):
            path = record.output.with_name(f"{record.output.stem}.{name}.png")
            assert side[name]["file"] == str(path)
            with Pillow.open(path) as opened:
                white = 255 if record.bits == 8 else 65535
                np.testing.assert_allclose(np.asarray(opened) / side[name]["steps"], level * white, rtol=0.02)
    assert not list((tmp_path / "out/.restore").glob("tmp/*"))


def test_a_rerun_skips_and_replaces_what_is_missing(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/a.png")
    assert run(Mapped(), [source], tmp_path / "out").done == 1
    assert run(Mapped(), [source], tmp_path / "out").skipped == 1
    (tmp_path / "out/a.bound.png").unlink()
    assert run(Mapped(), [source], tmp_path / "out").done == 1
    (tmp_path / "out/a.error.png").write_bytes(b"changed")
    report = run(Mapped(), [source], tmp_path / "out")
    assert report.done == 1 and "a.error.png had been changed" in report.records[0].warnings[0]
    assert (tmp_path / "out/.restore/replaced/a.error.png.edited").read_bytes() == b"changed"


def test_a_file_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.error.png").write_bytes(b"mine")
    report = run(Mapped(), [source], tmp_path / "out")
    assert report.failed == 1 and "a.error.png" in report.records[0].error
    assert (tmp_path / "out/a.error.png").read_bytes() == b"mine"
    assert run(Mapped(), [source], tmp_path / "out", BatchOptions(overwrite=True)).done == 1


def test_a_map_with_the_name_of_a_result_is_refused(tmp_path: Path) -> None:
    pictures = [picture(tmp_path / "in/a.png"), picture(tmp_path / "in/a.error.png")]
    with pytest.raises(ValueError, match="has the name of another result"):
        run(Mapped(), pictures, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_pictures_that_share_a_stem_have_maps_of_their_own(tmp_path: Path, executor: str) -> None:
    for name, size in (("a.png", (30, 20)), ("a.bmp", (16, 12)), ("deep/a.png", (18, 14)), ("b.png", (10, 8))):
        (tmp_path / "in/deep").mkdir(parents=True, exist_ok=True)
        Pillow.new("L", size, 90).save(tmp_path / "in" / name)
    options = BatchOptions(executor=executor)
    report = run(Mapped(), [tmp_path / "in"], tmp_path / "out", options)
    assert report.done == 4
    for name, size in (
        ("a.png.error.png", (30, 20)),
        ("a.bmp.bound.png", (16, 12)),
        ("deep/a.error.png", (18, 14)),
        ("b.bound.png", (10, 8)),
    ):
        with Pillow.open(tmp_path / "out" / name) as image:
            assert image.size == size
    assert len(list((tmp_path / "out").rglob("*.*.*"))) - len(list((tmp_path / "out/.restore").rglob("*.*.*"))) == 8
    assert run(Mapped(), [tmp_path / "in"], tmp_path / "out", options).skipped == 4
    plan = discovery.plan([tmp_path / "out"], tmp_path / "again")
    assert len(plan.jobs) == 4 and plan.maps == 8


def test_a_picture_named_like_a_map_is_restored(tmp_path: Path) -> None:
    for name in ("a.png", "a.error.png", "a.bound.tif", "b.png", "b.bound.jpg"):
        picture(tmp_path / "in" / name)
    plan = discovery.plan([tmp_path / "in"], tmp_path / "out")
    assert len(plan.jobs) == 5 and not plan.maps
    assert run(Mapped(), [tmp_path / "in/b.png"], tmp_path / "in2").done == 1
    plan = discovery.plan([tmp_path / "in2"], tmp_path / "out")
    assert [job.source.name for job in plan.jobs] == ["b.png"] and plan.maps


def test_without_its_maps_there_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> float:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(error_maps, "save", full)
    report = run(Mapped(), [picture(tmp_path / "in/a.png")], tmp_path / "out")
    assert report.failed == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".restore"]


def test_pages_become_pages(tmp_path: Path) -> None:
    pages = np.random.default_rng(0).integers(0, 60000, (3, 20, 30)).astype(np.uint16)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/a.tif", pages, photometric="minisblack")
    assert run(Mapped(), [tmp_path / "in"], tmp_path / "out").done == 1
    assert tifffile.imread(tmp_path / "out/a.error.tif").shape == (3, 20, 30)


def test_only_the_last_step_of_a_chain_writes_maps(tmp_path: Path) -> None:
    report = run(Chain([Identity(), Mapped()]), [picture(tmp_path / "in/a.png")], tmp_path / "out")
    assert report.done == 1 and (tmp_path / "out/a.error.png").exists()
    with pytest.raises(ValueError, match="only the last step"):
        Chain([Mapped(), Identity()])


def test_a_range_beyond_float32_is_no_error() -> None:
    frame = SimpleNamespace(mapping=SimpleNamespace(levels=1e300))
    planes = side_images.planes_of(frame, [SideImage("error", "expected error", np.zeros((2, 2), np.float32))])  # type: ignore[arg-type]
    assert np.isfinite(planes["error"].values).all()
    assert side_images.planes_of(frame, []) == {}  # type: ignore[arg-type]
