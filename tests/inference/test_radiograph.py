"""Classifying radiographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from restore.images import read
from restore.images.luma import luma
from restore.inference import drawings, radiograph

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


def _page(softness: float = 0.0) -> np.ndarray:
    """(360, 480, 1) float32: twelve lines of gray text on white paper."""
    page = Image.new("L", (480, 360), 255)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(17)
    for line in range(12):
        draw.text((20, 20 + 26 * line), "The keeper of the light wrote down the wind, 14 knots.", fill=(20, 0, 30)[line % 3], font=font)
    pixels = np.asarray(page, np.float32)
    return np.float32((cv2.GaussianBlur(pixels, (0, 0), softness) if softness else pixels)[:, :, None] / 255)


@pytest.mark.parametrize("softness", [0.0, 0.8])
@pytest.mark.parametrize("inverted", [False, True])
def test_pages_of_text_are_not_unless_it_is_said(softness: float, inverted: bool) -> None:
    page = 1 - _page(softness) if inverted else _page(softness)
    assert not radiograph.is_radiograph(page)
    assert radiograph.is_radiograph(page, stated=True) and radiograph.is_radiograph(page, content="radiograph")


@pytest.mark.parametrize("quality", [50, 80])
def test_dense_pages_in_jpeg_are_not(quality: int) -> None:
    dense = np.tile(_page()[20:332, 20:436], (1, 2, 1))
    _, code = cv2.imencode(".jpg", np.uint8(255 * dense), [cv2.IMWRITE_JPEG_QUALITY, quality])
    page = np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE), np.float32)[:, :, None] / 255
    assert drawings.is_page(page) and not radiograph.is_radiograph(page)


@pytest.mark.parametrize("times", [4, 5])
def test_an_enlarged_page_is_not(times: int) -> None:
    page = cv2.resize(_page(), None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)[:, :, None]
    assert drawings.is_page(page) and not radiograph.is_radiograph(page)


def test_a_dim_chest_with_bright_letters_is_no_page() -> None:
    for path in sorted((ROOT / "data" / "xray" / "chest").glob("*.*")):
        chest = 0.1 * read(path).frame(0).normalized()
        height, width = chest.shape[:2]
        chest[:, : width // 3] = 0
        letters = np.zeros((height, width), np.uint8)
        cv2.putText(letters, "L 12.03.1999", (5, height // 12), cv2.FONT_HERSHEY_SIMPLEX, height / 900, 255, 1)
        assert not drawings.is_page(np.maximum(np.float32(chest), np.float32(letters[:, :, None] / 255)))


@pytest.mark.parametrize("softness", [0.0, 0.8])
def test_line_art_is_not(softness: float) -> None:
    drawing = np.full((300, 400), 255, np.uint8)
    for radius in range(20, 140, 12):
        cv2.circle(drawing, (200, 150), radius, 30, 1, cv2.LINE_AA)
    lines = cv2.GaussianBlur(drawing, (0, 0), softness) if softness else drawing
    assert drawings.is_page(np.float32(lines[:, :, None] / 255)) and not radiograph.is_radiograph(np.float32(lines[:, :, None] / 255))


@pytest.mark.parametrize("tilted", [False, True])
def test_chests_on_paper_white_are_no_pages(tilted: bool) -> None:
    """A white collimator, straight or not, and letters burned into it."""
    for path in sorted((ROOT / "data" / "xray" / "chest").glob("*.*")):
        chest = np.uint8(255 * read(path).frame(0).normalized()[:, :, 0])
        height, width = chest.shape
        turned = cv2.getRotationMatrix2D((width / 2, height / 2), 10 if tilted else 0, 0.6)
        framed = cv2.warpAffine(chest, turned, (width, height), borderValue=255)
        cv2.putText(framed, "L 12.03.1999", (5, height // 12), cv2.FONT_HERSHEY_SIMPLEX, height / 600, 0, 1)
        assert not drawings.is_page(np.float32(framed[:, :, None] / 255))


def test_a_blank_picture_is_no_page() -> None:
    assert not drawings.is_page(np.ones((64, 64, 1), np.float32))


def test_photographs_are_not() -> None:
    photographs = sorted((ROOT.parent / "shared" / "datasets" / "test" / "set12").glob("*.png"))
    if not photographs:
        pytest.skip("the photographs aren't here")
    assert not any(radiograph.probability(read(path).frame(0).normalized()) > radiograph.CERTAIN for path in photographs)
