"""`restore simulate`: pairs of every format, seeded, with the clean originals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import restore
from restore import api
from restore.datasets.simulation import SIMULATIONS
from restore.images import read


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """A 16-bit TIFF and an 8-bit PNG in a folder below, and a bad file."""
    folder = tmp_path / "photos"
    (folder / "a").mkdir(parents=True)
    y, x = np.mgrid[:60, :70]
    Image.fromarray((300 * x + 200 * y).astype(np.uint16)).save(folder / "scan.tif")
    Image.fromarray(np.stack([3 * x, 2 * y, x + y], 2).astype(np.uint8)).save(folder / "a" / "photo.png")
    (folder / "bad.png").write_text("no picture")
    return folder


def test_pairs_and_what_was_drawn(clean: Path, tmp_path: Path) -> None:
    damaged, copies = tmp_path / "pairs" / "damaged", tmp_path / "pairs" / "clean"
    report = api.run("simulate", clean, damaged, options={"recipe": "xray-low-dose", "clean": copies})
    done = {record.output.relative_to(damaged).as_posix(): record for record in report.records if record.output}
    assert done.keys() == {"scan.tif", "a/photo.png"}
    for name, record in done.items():
        assert (copies / name).read_bytes() == (clean / name).read_bytes()
        assert 20 <= record.stats["counts"] <= 200 and record.stats["recipe"] == "xray-low-dose"
        assert not np.array_equal(read(damaged / name).frame(0).normalized(), read(clean / name).frame(0).normalized())
    assert not (copies / "bad.png").exists()
    again = api.run("simulate", clean, tmp_path / "again", options={"recipe": "xray-low-dose"})
    assert {record.status for record in again.records} == {"done", "failed"}
    for name in done:
        assert (tmp_path / "again" / name).read_bytes() == (damaged / name).read_bytes()


def test_clean_copies_never_replace_anything(clean: Path, tmp_path: Path) -> None:
    for folder in (clean, tmp_path / "out"):
        with pytest.raises(ValueError, match=r"would replace|outside the inputs"):
            api.run("simulate", clean, tmp_path / "out", options={"recipe": "jpeg", "clean": folder})
    other = tmp_path / "clean"
    other.mkdir()
    (other / "scan.tif").write_text("the user's own file")
    report = api.run("simulate", clean, tmp_path / "out", options={"recipe": "jpeg", "clean": other})
    assert (other / "scan.tif").read_text() == "the user's own file"
    assert any("already exists" in text for text in report.unwritten)


def test_copies_have_the_names_of_their_results(clean: Path, tmp_path: Path) -> None:
    second = tmp_path / "other"
    second.mkdir()
    Image.fromarray(np.full((20, 30), 90, np.uint8)).save(second / "scan.tif")
    report = api.run("simulate", [clean, second], tmp_path / "out", options={"recipe": "jpeg", "clean": tmp_path / "clean"})
    assert not report.unwritten
    results = [record for record in report.records if record.output]
    assert {record.output.name for record in results if record.output} == {"scan.tif", "scan-2.tif", "photo.png"}
    for record in results:
        assert record.output is not None
        assert (tmp_path / "clean" / record.output.relative_to(tmp_path / "out")).read_bytes() == record.input.read_bytes()


def test_copies_that_are_missing_are_made_by_a_rerun(clean: Path, tmp_path: Path) -> None:
    api.run("simulate", clean, tmp_path / "out", options={"recipe": "jpeg"})
    options = {"recipe": "jpeg", "clean": tmp_path / "clean"}
    for count in (2, 0):
        report = api.run("simulate", clean, tmp_path / "out", options=options)
        assert (report.done, report.failed, report.skipped) == (count, 1, 2 - count)
        assert (tmp_path / "clean/scan.tif").is_file() and (tmp_path / "clean/a/photo.png").is_file()
    (tmp_path / "clean/scan.tif").unlink()
    assert api.run("simulate", clean, tmp_path / "out", options=options).done == 1 and (tmp_path / "clean/scan.tif").is_file()


def test_a_link_to_itself_fails_alone(clean: Path, tmp_path: Path) -> None:
    (clean / "loop.png").symlink_to("loop.png")
    report = api.run("simulate", clean, tmp_path / "out", options={"recipe": "jpeg", "clean": tmp_path / "clean"})
    assert (report.done, report.failed) == (2, 2)
    assert any("leads back to itself" in record.error for record in report.records)


def test_a_recipe_must_be_named(clean: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="old-photo"):
        api.run("simulate", clean, tmp_path / "out")
    with pytest.raises(ValueError, match="no weights"):
        api.run("simulate", clean, tmp_path / "out", weights="denoise-gray", options={"recipe": "jpeg"})


def test_copies_never_become_inputs(clean: Path, tmp_path: Path) -> None:
    for inputs, copies in ((clean, clean / "copies"), (clean / "a", clean), (clean / "a" / "photo.png", clean / "a")):
        with pytest.raises(ValueError, match=r"outside the inputs for --clean"):
            api.run("simulate", inputs, tmp_path / "out", options={"recipe": "gaussian", "clean": copies})
    assert not (clean / "copies").exists()


@pytest.mark.parametrize("recipe", ["gaussian", "xray-low-dose", "jpeg", "phone", "old-photo", "low-resolution"])
def test_arrays_are_degraded_as_files_are(recipe: str, clean: Path, tmp_path: Path) -> None:
    report = api.run("simulate", clean / "a", tmp_path / "out", options={"recipe": recipe, "seed": 3})
    picture = np.asarray(Image.open(clean / "a" / "photo.png"))
    degraded, drawn = restore.simulate(picture, recipe, seed=3)
    assert degraded.dtype == np.uint8
    np.testing.assert_array_equal(degraded, np.asarray(Image.open(tmp_path / "out" / "photo.png")))
    assert drawn.items() <= report.records[0].stats.items()


@pytest.mark.parametrize("shape", [(7, 7), (1, 1, 3), (7, 90, 1)])
def test_tiny_pictures_are_degraded_too(shape: tuple[int, ...]) -> None:
    picture = np.full(shape, 128, np.uint8)
    for recipe in SIMULATIONS:
        for seed in range(4):
            assert restore.simulate(picture, recipe, seed)[0].shape == shape


def test_what_cannot_be_simulated_is_refused() -> None:
    picture = np.zeros((8, 8), np.uint8)
    for arguments in ((picture, "nope"), (picture, "jpeg", -1), (picture[:0], "jpeg"), (picture.astype(bool), "jpeg")):
        with pytest.raises(ValueError, match=r"recipe must be|seed must be|a picture must"):
            restore.simulate(*arguments)


def test_a_clean_copy_of_another_content_is_reported_by_every_rerun(clean: Path, tmp_path: Path) -> None:
    options = {"recipe": "jpeg", "clean": tmp_path / "clean"}
    api.run("simulate", clean / "a", tmp_path / "out", options=options)
    Image.fromarray(np.full((60, 70, 3), 90, np.uint8)).save(clean / "a" / "photo.png")
    for done in (1, 0):
        report = api.run("simulate", clean / "a", tmp_path / "out", options=options)
        assert (report.done, report.skipped) == (done, 1 - done)
        assert [str(tmp_path / "clean/photo.png") in text and "another picture" in text for text in report.unwritten] == [True]
    (tmp_path / "clean/photo.png").unlink()
    assert not api.run("simulate", clean / "a", tmp_path / "out", options=options).unwritten
    assert (tmp_path / "clean/photo.png").read_bytes() == (clean / "a" / "photo.png").read_bytes()
