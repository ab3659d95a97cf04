"""Folders compared as sets, with an extractor that needs no weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore.metrics import extractors, picture_sets, set_page, set_scorer
from restore.metrics.extractors import EXTRACTORS, Extractor, Features
from restore.metrics.sets import compare_sets


def _extract(pictures: Iterable[np.ndarray]) -> Features:
    vectors = [[picture.mean(), picture.std(), picture[0].mean(), picture[:, 0].mean()] for picture in pictures]
    return Features(extractors._stacked([np.array(vector) for vector in vectors]), np.array(vectors) @ np.ones((4, 3)))


@pytest.fixture(autouse=True)
def simple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restore.metrics.sets.EXTRACTORS", {**EXTRACTORS, "simple": Extractor(_extract, "mean and deviation")})


def _folder(folder: Path, shift: int, *, seed: int, count: int = 12) -> Path:
    """Gray and colour PNGs and 16-bit TIFFs of several sizes, in two folders."""
    random = np.random.default_rng(seed)
    for number in range(count):
        path = folder / ("a" if number % 2 else "b/c") / f"{number}.{'tif' if number % 3 == 0 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = random.integers(shift, shift + 100, (20 + number, 31, 3))
        pixels = values.astype(np.uint8) if number % 3 else values[:, :, 0].astype(np.uint16) * 257
        Image.fromarray(pixels).save(path)
    return folder


def test_equal_and_unlike_sets(tmp_path: Path) -> None:
    first, second, far = _folder(tmp_path / "1", 0, seed=1), _folder(tmp_path / "2", 0, seed=5), _folder(tmp_path / "3", 120, seed=3)
    near = compare_sets(first, second, extractor="simple")
    off = compare_sets(far, second, extractor="simple")
    assert near.scores["fid"].value < off.scores["fid"].value
    assert near.scores["kid"].low <= 0 <= near.scores["kid"].high < off.scores["kid"].low
    assert near.protocol["extractor"] == "mean and deviation" and near.protocol["results"] == near.protocol["references"] == "12"
    assert near.scores["inception score"].value >= 1


def test_a_bad_file_costs_a_line_and_the_copy_test_needs_the_training_set(tmp_path: Path) -> None:
    training, test = _folder(tmp_path / "training", 0, seed=1, count=24), _folder(tmp_path / "test", 0, seed=2)
    (test / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    copied = compare_sets(training, test, extractor="simple", training=training)
    assert [problem.name for problem in copied.problems] == ["bad.png"]
    assert copied.scores["copy test"].value < -3
    assert copied.protocol["training"] == "24"
    assert copied.copies is not None and copied.copies.verdict.startswith("copies")
    assert (copied.copies.index == np.arange(24)).all() and (copied.copies.distance == 0).all()
    trained_on = compare_sets(test, training, extractor="simple", training=training)
    assert trained_on.copies is None and "has not seen" in trained_on.left_out["copy test"]


def test_the_page_shows_each_result_beside_its_nearest_training_picture(tmp_path: Path) -> None:
    training, test, made = (_folder(tmp_path / name, 0, seed=seed) for seed, name in enumerate(("training", "test", "made")))
    (training / "a" / "1.png").replace(training / "a" / "original.png")
    (made / "a" / "1.png").write_bytes((training / "a" / "original.png").read_bytes())
    comparison = compare_sets(made, test, extractor="simple", training=training)
    page = set_page.page_of(comparison, "made against test")
    first = page.figures[0]
    assert [layer.path for layer in first.layers] == [made / "a" / "1.png", training / "a" / "original.png"]
    assert [row.figure for row in page.pictures.rows] == list(range(12))
    assert set_page.write(tmp_path / "page.html", comparison, "made <against> test") == []
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "made &lt;against&gt; test" in text and "original.png" in text and "copy test" in text
    without = set_page.page_of(compare_sets(made, test, extractor="simple"), "")
    assert not without.figures and "--training" in without.pictures.caption


def test_the_scorer_gives_the_numbers_of_the_comparison(tmp_path: Path) -> None:
    training, test, made = (_folder(tmp_path / name, 0, seed=seed) for seed, name in enumerate(("training", "test", "made")))
    comparison = compare_sets(made, test, extractor="simple", training=training)
    arrays = [[frame for _, frame in picture_sets.frames(folder, [])] for folder in (made, test, training)]
    found = set_scorer.scorer(Extractor(_extract, ""), arrays[1], arrays[2]).scores(arrays[0])
    assert found["kid"] == comparison.scores["kid"].value and found["copy_test"] == comparison.scores["copy test"].value
    few = set_scorer.scorer(Extractor(_extract, ""), arrays[1]).scores(arrays[0][:3])
    assert "recall" not in few and "copy_test" not in few and np.isfinite(few["fid"])


def test_pixels_need_no_weights(tmp_path: Path) -> None:
    training, test = _folder(tmp_path / "training", 0, seed=1), _folder(tmp_path / "test", 0, seed=2)
    found = compare_sets(training, test, extractor="pixels", training=training)
    assert found.scores["distance ratio"].value == 0 and found.scores["authenticity"].value == 0


def test_too_few_pictures_leave_metrics_out(tmp_path: Path) -> None:
    few = compare_sets(_folder(tmp_path / "1", 0, seed=1, count=3), _folder(tmp_path / "2", 0, seed=2, count=3), extractor="simple")
    assert "fid" in few.scores and "needs more than 5 pictures" in few.left_out["precision"].replace("each set needs", "needs")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty.*no picture"):
        compare_sets(tmp_path / "empty", tmp_path / "1", extractor="simple")
    with pytest.raises(ValueError, match="did you mean inception"):
        compare_sets(tmp_path / "1", tmp_path / "2", extractor="incepton")
