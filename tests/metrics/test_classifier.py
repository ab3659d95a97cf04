"""The classifier of class folders, and what is measured with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.metrics import classifier
from restore.metrics.classes import class_accuracy, class_imbalance, class_shares
from restore.metrics.classifier import Classifier, ClassifierConfig, resized, shifted, train
from restore.metrics.sets import compare_sets

CONFIG = ClassifierConfig(width=4, epochs=1, fewest_steps=25, batch_size=16)


def _picture(kind: str, random: np.random.Generator, side: int = 28) -> np.ndarray:
    """A bar that lies or stands, on noise: (side, side) uint8."""
    pixels = random.integers(0, 60, (side, side))
    start = int(random.integers(4, side - 8))
    pixels[(slice(start, start + 4), slice(None)) if kind == "lying" else (slice(None), slice(start, start + 4))] += 150
    return pixels.astype(np.uint8)


def _folder(folder: Path, count: int, *, seed: int, kinds: tuple[str, ...] = ("lying", "standing"), swapped: int = 0) -> Path:
    """Class folders of `count` pictures each; the first `swapped` ones of each show the other class."""
    random = np.random.default_rng(seed)
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            shown = kind if number >= swapped else {"lying": "standing", "standing": "lying"}[kind]
            Image.fromarray(_picture(shown, random)).save(folder / kind / f"{number}.png")
    return folder


def _tensors(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    kinds = [("lying", "standing")[number % 2] for number in range(count)]
    pictures = [_picture(kind, random)[:, :, None].astype(np.float32) / 255 for kind in kinds]
    return resized(pictures, 28, 1), torch.arange(count) % 2


@pytest.fixture(scope="module")
def trained() -> Classifier:
    return train(*_tensors(64, 0), ("lying", "standing"), CONFIG)


def test_it_learns_classes_and_is_repeatable(trained: Classifier) -> None:
    pictures, labels = _tensors(64, 1)
    with torch.inference_mode():
        assert (trained(pictures).argmax(1) == labels).float().mean() > 0.9
    again = train(*_tensors(64, 0), ("lying", "standing"), CONFIG)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in trained.state_dict().items())


def test_features_do_not_depend_on_the_batch(trained: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [_picture("lying", np.random.default_rng(seed), side)[:, :, None] / 255 for seed, side in enumerate((28, 40, 28, 20, 64))]
    whole = np.stack([features for features, _ in trained.of_pictures(pictures)])
    monkeypatch.setattr(classifier, "BATCH", 2)
    parts = np.stack([features for features, _ in trained.of_pictures(pictures)])
    assert whole.shape == (5, 32) and parts == pytest.approx(whole, abs=1e-5)


def test_training_goes_on_from_given_weights(trained: Classifier) -> None:
    before = {key: value.clone() for key, value in trained.state_dict().items()}
    onward = train(*_tensors(16, 2), trained.classes, ClassifierConfig(width=4, epochs=0, fewest_steps=1, learning_rate=0), initial=trained)
    weights = dict(onward.named_parameters())  # not the statistics, which are measured anew
    assert all(torch.equal(weights[key], value) for key, value in trained.named_parameters())
    assert all(torch.equal(trained.state_dict()[key], value) for key, value in before.items())


def test_shifts_keep_the_shape_and_move_each_picture_alone() -> None:
    pictures = torch.rand(6, 1, 28, 28)
    moved = shifted(pictures, torch.Generator().manual_seed(0))
    assert moved.shape == pictures.shape and not torch.equal(moved, pictures)
    assert torch.equal(moved, shifted(pictures, torch.Generator().manual_seed(0)))


def test_colours_and_sizes_become_those_of_the_classifier() -> None:
    colour = np.random.default_rng(0).random((31, 47, 3))
    assert resized([colour, colour[:, :, :1]], 28, 1).shape == (2, 1, 28, 28)
    assert resized([colour], 64, 3).shape == (1, 3, 64, 64)
    assert resized([np.full((56, 56, 1), 0.25)], 28, 1).numpy() == pytest.approx(0.25)


def test_what_no_classifier_can_learn_is_refused() -> None:
    pictures, labels = _tensors(8, 0)
    with pytest.raises(ValueError, match="at least two class folders"):
        train(pictures, labels * 0, ("lying",), CONFIG)
    with pytest.raises(ValueError, match="no picture of the class gone"):
        train(pictures, labels, ("lying", "standing", "gone"), CONFIG)


def test_class_accuracy_and_shares() -> None:
    logits = 5 * np.eye(3)[[0, 1, 2, 0, 0, 1]]
    accuracy = class_accuracy(logits, np.array([0, 1, 2, 1, -1, -1]))
    assert accuracy.value == 0.75 and 0.2 < accuracy.low < 0.75 < accuracy.high < 1
    assert class_shares(logits) == pytest.approx([1 / 2, 1 / 3, 1 / 6])
    assert class_imbalance(logits, 5 * np.eye(3)) == pytest.approx(1 / 6)
    with pytest.raises(ValueError, match="named like a class"):
        class_accuracy(logits, np.full(6, -1))


def test_sets_are_compared_by_a_classifier_of_the_training_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restore.metrics.picture_sets.ClassifierConfig", lambda side: CONFIG)
    training, real = _folder(tmp_path / "training", 30, seed=0), _folder(tmp_path / "real", 12, seed=1)
    made = _folder(tmp_path / "made", 12, seed=2, swapped=6)
    found = compare_sets(made, real, extractor="classifier", training=training)
    assert found.scores["class accuracy"].value == pytest.approx(0.5, abs=0.1)
    assert found.scores["real accuracy"].value > 0.8
    assert set(found.classes) == {"lying", "standing"} and found.scores["class imbalance"].value < 0.15
    assert "2 classes trained on the class folders of training" in found.protocol["extractor"]
    one = _folder(tmp_path / "one", 12, seed=3, kinds=("standing",))
    assert compare_sets(one, real, extractor="classifier", training=training).scores["class imbalance"].value == pytest.approx(0.5, abs=0.1)
    with pytest.raises(ValueError, match="name them"):
        compare_sets(made, real, extractor="classifier")
    with pytest.raises(ValueError, match="at least two class folders"):
        compare_sets(made, real, extractor="classifier", training=training / "lying")
