"""Burned-in labels: they are detected completely, do not change, and do not affect the classification."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from restore.images import read
from restore.images.noise_model import NoiseLevel
from restore.inference import excluded_regions, radiograph, uniform_borders

ROOT = Path(__file__).resolve().parents[2]
CLIPPED = NoiseLevel.gaussian(25.5)


def noisy(shape: tuple[int, int], sigma: float = 0.1, seed: int = 3) -> np.ndarray:
    """A ramp from below black to above white, clipped: (H, W, 1) in steps of 8 bits."""
    ramp = np.linspace(-0.2, 1.2, shape[1])[None] + sigma * np.random.default_rng(seed).standard_normal(shape)
    return np.asarray(np.rint(np.clip(ramp, 0, 1) * 255) / 255, np.float32)[:, :, None]


def label(picture: np.ndarray, top: int, left: int, size: tuple[int, int], values: tuple[float, float]) -> np.ndarray:
    """The picture with text on a field of one value, and where it lies."""
    field = np.full(size, round(values[0] * 255), np.uint8)
    cv2.putText(field, "L 42", (4, size[0] - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.7, round(values[1] * 255), 2, cv2.LINE_AA)
    labelled = picture.copy()
    labelled[top : top + size[0], left : left + size[1], 0] = field / np.float32(255)
    return labelled


@pytest.mark.parametrize("values", [(0, 1), (1, 0), (0.4, 1)])
@pytest.mark.parametrize(("top", "left", "size"), [(10, 90, (30, 90)), (60, 100, (26, 70)), (0, 100, (34, 80))])
def test_a_whole_label_is_excluded_and_nothing_else(top: int, left: int, size: tuple[int, int], values: tuple[float, float]) -> None:
    picture = label(noisy((128, 256)), top, left, size, values)
    excluded = excluded_regions.find(picture, CLIPPED)
    truth = np.zeros((128, 256), bool)
    truth[top : top + size[0], left : left + size[1]] = True
    assert excluded is not None
    assert excluded[truth].all()
    assert np.count_nonzero(excluded & ~truth) <= 0.002 * truth.size


def test_clipped_noise_is_not_a_label() -> None:
    assert uniform_borders.labels(noisy((128, 256))) is None
    assert excluded_regions.find(noisy((128, 256)), CLIPPED) is None


def test_a_picture_in_a_mat_is_not_a_label() -> None:
    picture = noisy((200, 200), seed=5)
    picture[40:160, 40:160] = 0.8
    picture[60:140, 60:140] = noisy((80, 80), seed=7)  # the mat covers more than half of its box
    found = uniform_borders.labels(picture)
    assert found is None or not found[70:130, 70:130].any()
    excluded = excluded_regions.find(picture, CLIPPED)
    assert excluded is not None
    assert not excluded[70:130, 70:130].all()


def test_labels_are_detected_in_large_pictures() -> None:
    picture = noisy((1500, 1600))
    picture[200:400, 300:900] = 0
    found = uniform_borders.labels(picture)
    assert found is not None
    assert found[200:400, 300:900].all()
    assert np.count_nonzero(found) <= 1.05 * 200 * 600


def test_a_label_does_not_affect_the_classification() -> None:
    chests = [read(path).frame(0).normalized()[:, :, :1] for path in sorted((ROOT / "data" / "xray" / "chest").glob("*.*"))]
    kept = 0
    for chest in chests:
        small = cv2.resize(chest, (256, 256), interpolation=cv2.INTER_AREA)[:, :, None]
        labelled = label(small, 120, 30, (40, 90), (0, 1))
        without, plain, fooled = (
            radiograph.probability(picture, excluded)
            for picture, excluded in ((labelled, uniform_borders.labels(labelled)), (small, None), (labelled, None))
        )
        assert abs(without - plain) <= max(0.35, abs(fooled - plain))
        kept += (without > radiograph.CERTAIN) == (plain > radiograph.CERTAIN)
    assert kept >= 0.8 * len(chests)
