"""Classifying radiographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from restore.images import read
from restore.images.luma import luma
from restore.inference import radiograph

ROOT = Path(__file__).resolve().parents[2]
Smooth = Callable[..., np.ndarray]


def test_colour_and_tiny_pictures_are_none(smooth: Smooth) -> None:
    assert radiograph.probability(smooth(80, 80, 3)) == 0
    assert radiograph.probability(smooth(63, 200)) == 0


def test_gray_stored_as_colour_counts_as_gray(smooth: Smooth) -> None:
    gray = smooth(80, 80)
    assert radiograph.is_gray(np.repeat(gray, 3, axis=2))
    assert not radiograph.is_gray(smooth(80, 80, 3))
    assert radiograph.probability(np.repeat(gray, 3, axis=2)) == radiograph.probability(gray)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_blank_picture_has_a_probability(value: float) -> None:
    assert 0 <= radiograph.probability(np.full((64, 64, 1), value, np.float32)) <= 1


def test_the_sample_chests_are_radiographs() -> None:
    chests = sorted((ROOT / "data" / "xray" / "chest").glob("*.*"))
    assert chests
    certain = [radiograph.probability(read(path).frame(0).normalized()) > radiograph.CERTAIN for path in chests]
    assert sum(certain) >= 0.8 * len(chests)


@pytest.mark.parametrize("exposure", [0.15, 0.25, 0.5, 1.0])
def test_dark_photographs_are_not(exposure: float) -> None:
    photographs = sorted((ROOT / "data" / "photo2paint" / "source").glob("*.*"))
    assert photographs
    gray = [luma(read(path).frame(0).normalized())[:, :, None] for path in photographs]
    certain = [radiograph.probability(np.float32(exposure) * picture) > radiograph.CERTAIN for picture in gray]
    assert sum(certain) <= 1  # a sunset is as smooth as a radiograph


@pytest.mark.parametrize("exposure", [0.25, 0.5])
def test_dark_chests_are(exposure: float) -> None:
    chests = sorted((ROOT / "data" / "xray" / "chest").glob("*.*"))
    certain = [radiograph.probability(np.float32(exposure) * read(path).frame(0).normalized()) > radiograph.CERTAIN for path in chests]
    assert sum(certain) >= 0.8 * len(chests)


def test_photographs_are_not() -> None:
    photographs = sorted((ROOT.parent / "shared" / "datasets" / "test" / "set12").glob("*.png"))
    if not photographs:
        pytest.skip("the photographs aren't here")
    assert not any(radiograph.probability(read(path).frame(0).normalized()) > radiograph.CERTAIN for path in photographs)
