"""What results are called where pictures would share a name: every picture gets its result, by rule, the same at every run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from batch_steps import Identity, Inverse, picture, results, tree

from restore.images import error_maps, naming, read
from restore.images.error_maps import MapFormat
from restore.pipeline.batch import BatchOptions, run
from restore.pipeline.discovery import plan


def _names(pictures: list[str], suffixes: tuple[str, ...] | None = None) -> list[str]:
    return [named.path.as_posix() for named in naming.results([Path(name) for name in pictures], suffixes)]


PNG = (".png",)
RULES: list[tuple[list[str], tuple[str, ...] | None, list[str]]] = [
    (["a.jpg", "a.png"], PNG, ["a.jpg.png", "a.png"]),
    (["a.jpg", "a.tif"], PNG, ["a.jpg.png", "a.tif.png"]),
    (["a.jpg", "a.tif"], None, ["a.jpg", "a.tif"]),
    (["a.jpg", "b.tif"], PNG, ["a.png", "b.png"]),
    (["A.PNG", "a.png"], None, ["A.PNG", "a-2.png"]),
    (["A.PNG", "a.jpg", "a.png"], PNG, ["A.PNG", "a.jpg.png", "a-2.png"]),
    (["a.JPG", "a.jpg", "a.tif"], PNG, ["a.JPG.png", "a.jpg-2.png", "a.tif.png"]),
    (["a-2.png", "A.png", "a.png"], None, ["a-2.png", "A.png", "a-3.png"]),
    (["a.jpg", "a.jpg.png", "a.png"], PNG, ["a.jpg-2.png", "a.jpg.png", "a.png"]),
    (["e\u0301.png", "\u00e9.png"], None, ["e\u0301.png", "\u00e9-2.png"]),
    (["1.2.840.1", "1.2.840.2"], PNG, ["1.2.840.1.png", "1.2.840.2.png"]),
    (["IM1", "im1"], None, ["IM1", "im1-2"]),
    (["x.png", "x.png"], None, ["x.png", "x-2.png"]),
    (["x.png", "x.png/y.png"], None, ["x-2.png", "x.png/y.png"]),
    (["d/a.bmp", "d/a.webp", "e/a.bmp"], (".tif", ".tiff"), ["d/a.bmp.tif", "d/a.webp.tif", "e/a.tif"]),
]


@pytest.mark.parametrize(("pictures", "suffixes", "expected"), RULES, ids=lambda value: "+".join(value) if value else "own")
def test_the_rule(pictures: list[str], suffixes: tuple[str, ...] | None, expected: list[str]) -> None:
    assert _names(pictures, suffixes) == expected


@pytest.mark.parametrize("suffixes", [None, PNG, (".jpg", ".jpeg")])
def test_no_two_results_share_a_name(suffixes: tuple[str, ...] | None) -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        stems, ends = ("a", "A", "a-2", "b.jpg", "\u00e9", "e\u0301"), (".png", ".PNG", ".jpg", ".tif", ".jpg.png", "", ".2")
        files = sorted({f"{rng.choice(stems)}{rng.choice(ends)}" for _ in range(rng.integers(1, 14))})
        names = _names(files, suffixes)
        assert len({naming.key(Path(name)) for name in names}) == len(files)
        assert names == _names(files, suffixes)


@pytest.mark.parametrize(
    ("files", "format", "expected"),
    [
        (("a.png", "a.jpg"), "png", {"a.png", "a.jpg.png"}),
        (("x/s.tif", "x/s.bmp", "x/t.bmp"), "png", {"x/s.tif.png", "x/s.bmp.png", "x/t.png"}),
        (("u.png", "u.webp"), "tiff", {"u.png.tif", "u.webp.tif"}),
        (("a.png", "A.PNG"), None, {"A.PNG", "a-2.png"}),
        (("e\u0301.png", "\u00e9.png"), None, {"e\u0301.png", "\u00e9-2.png"}),
    ],
)
def test_every_picture_gets_its_own_result(tmp_path: Path, files: tuple[str, ...], format: str | None, expected: set[str]) -> None:
    for seed, name in enumerate(files):
        source = picture((tmp_path / "in" / name).with_suffix(Path(name).suffix.lower()), seed)
        source.rename(tmp_path / "in" / name)
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out", BatchOptions(format=format))
    assert [(record.status, record.error) for record in report.records] == [("done", "")] * len(files)
    assert results(tmp_path / "out") == expected
    for record in report.records:
        assert record.output is not None
        if record.input.suffix.lower() != ".jpg":
            np.testing.assert_array_equal(read(record.output).frame(0).normalized(), read(record.input).frame(0).normalized())
        renamed = record.output.name not in (record.input.name, record.input.with_suffix(f".{format}").name)
        assert [record.output.name in text for text in record.warnings] == [True] * renamed
    before = tree(tmp_path / "out")
    again = run(Identity(), [tmp_path / "in"], tmp_path / "out", BatchOptions(format=format))
    assert again.skipped == len(files)
    assert [record.warnings for record in again.records] == [record.warnings for record in report.records]
    assert tree(tmp_path / "out") == before


def test_names_do_not_depend_on_which_pictures_fail(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "b.png", "b.bmp"):
        picture(tmp_path / "in" / name)
    (tmp_path / "in/a.png").write_bytes(b"broken")
    (tmp_path / "in/b.bmp").unlink()
    (tmp_path / "in/b.bmp").symlink_to("nowhere.bmp")
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out", BatchOptions(format="png"))
    assert report.failed == 2
    assert results(tmp_path / "out") == {"a.bmp.png", "b.png"}


def test_the_same_name_in_two_folders(tmp_path: Path) -> None:
    first, second = picture(tmp_path / "a/x.png", 1), picture(tmp_path / "b/x.png", 2)
    report = run(Identity(), [second.parent, first.parent], tmp_path / "out")
    assert [(record.input, record.output and record.output.name) for record in report.records] == [(first, "x.png"), (second, "x-2.png")]
    assert str(first) in report.records[1].warnings[0]
    assert (tmp_path / "out/x-2.png").read_bytes() == second.read_bytes()


def test_a_file_and_a_folder_of_one_name(tmp_path: Path) -> None:
    picture(tmp_path / "a/x.png", 1)
    picture(tmp_path / "b/x.png/y.png", 2)
    report = run(Identity(), [tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert [record.status for record in report.records] == ["done", "done"]
    assert results(tmp_path / "out") == {"x-2.png", "x.png/y.png"}


def test_an_input_is_never_overwritten_by_a_name_of_the_rule(tmp_path: Path) -> None:
    """The result of b/x.png would be called x-2.png, and there lies an input."""
    for place, seed in (("a/x.png", 1), ("b/x.png", 2), ("out/in/x-2.png", 3)):
        picture(tmp_path / place, seed)
    picture(tmp_path / "c/in/x.png", 4)
    picture(tmp_path / "d/in/x.png", 5)
    before = (tmp_path / "out/in/x-2.png").read_bytes()
    report = run(Inverse(), [tmp_path / "c", tmp_path / "d", tmp_path / "out/in"], tmp_path / "out", BatchOptions(overwrite=True))
    assert [record.status for record in report.records] == ["done", "failed", "done"]
    assert "would overwrite the input" in report.records[1].error
    assert (tmp_path / "out/in/x-2.png").read_bytes() == before


def test_a_folder_is_searched_for_dicom_without_a_suffix(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("IM0001", "1.2.840.113619.2.5"):
        (tmp_path / "in" / name).write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "in/README").write_text("no picture")
    found = plan([tmp_path / "in"], tmp_path / "out", "png")
    assert [(job.target.name, job.error) for job in found.jobs] == [("1.2.840.113619.2.5.png", ""), ("IM0001.png", "")]
    assert (found.ignored, found.objects) == (1, {})


def test_maps_beside_their_pictures_are_no_pictures(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for name in ("a.png", "b.error.png", "d/a.bound.png", "c.tif"):
        picture(source / name)
    for name, format in (("a.error.png", "png"), ("a.bound.png", "png"), ("c.error.tif", "tiff")):
        plane = np.zeros((20, 30), np.float32)
        error_maps.save(source / name, [plane], MapFormat(format, 8, False, 1), "expected absolute error", source / "a.png", "denoise")
    planned = plan([source], tmp_path / "out")
    assert [job.relative.as_posix() for job in planned.jobs] == ["a.png", "b.error.png", "c.tif", "d/a.bound.png"]
    assert planned.maps == 3
    named = plan([source / "a.png", source / "a.error.png"], tmp_path / "out")
    assert len(named.jobs) == 2 and named.maps == 0, "a file that is named is always tried"
    report = run(Identity(), [source], tmp_path / "out")
    assert report.maps == report.summary()["ignored_maps"] == 3
