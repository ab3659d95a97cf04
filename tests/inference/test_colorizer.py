"""`Colorizer` on arrays and tensors: the luma stays exactly, whatever the type, the size and the network."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from restore.images import frame, luma
from restore.inference.colorizer import SHORT_SIDE, VIVID, Colorizer, palette_of
from restore.inference.loading import InferenceOptions
from restore.runtime import Runtime

Make = Callable[..., torch.nn.Module]


@pytest.fixture
def colorizer(tiny: Make, fp32: Runtime) -> Colorizer:
    """A tiny network whose chroma is strong enough to leave the gamut."""
    network = tiny("colorizer", 3)
    with torch.no_grad():
        network.tail.weight.mul_(10)
        network.tail.bias.copy_(torch.tensor([-0.2, 0.3]))
    return Colorizer(network, options=InferenceOptions(fp32))


def _gray(*size: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, size, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("size", [(1, 1), (7, 33), (61, 40), (150, 333)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_keep_their_luma(colorizer: Colorizer, size: tuple[int, int], dtype: type) -> None:
    gray = _gray(*size, dtype=dtype)
    coloured = colorizer(gray)
    assert coloured.shape == (*size, 3)
    assert coloured.dtype == dtype
    assert np.array_equal(np.rint(coloured @ [0.299, 0.587, 0.114]), gray)
    if min(size) > 1:
        assert np.ptp(coloured.astype(int), axis=2).max() > 20 * np.iinfo(dtype).max / 255


def test_opencv_finds_the_input_again(colorizer: Colorizer) -> None:
    gray = _gray(50, 70)
    assert np.array_equal(cv2.cvtColor(colorizer(gray), cv2.COLOR_RGB2GRAY), gray)


def test_floats_and_tensors(colorizer: Colorizer) -> None:
    gray = np.random.default_rng(0).random((40, 50), np.float32)
    coloured = colorizer(gray)
    np.testing.assert_allclose(luma.luma(coloured), gray, atol=1e-6)
    batch = torch.from_numpy(gray)[None, None].repeat(2, 1, 1, 1)
    made = colorizer(batch)
    assert made.shape == (2, 3, 40, 50)
    np.testing.assert_allclose(made[1].permute(1, 2, 0).numpy(), coloured, atol=1e-6)


def test_alpha_is_kept_and_colour_is_replaced(colorizer: Colorizer) -> None:
    pixels = _gray(40, 50, 4)
    coloured = colorizer(pixels)
    assert np.array_equal(coloured[..., 3], pixels[..., 3])
    gray = pixels[..., :3] @ [0.299, 0.587, 0.114]
    clear = np.abs(gray % 1 - 0.5) > 1e-3  # the luma of whole colours may lie halfway between two gray values
    assert np.array_equal(np.rint(coloured[..., :3] @ [0.299, 0.587, 0.114])[clear], np.rint(gray)[clear])
    assert clear.mean() > 0.9
    with_alpha = colorizer(pixels[..., :2])
    assert with_alpha.shape == (40, 50, 4)
    assert np.array_equal(with_alpha[..., 3], pixels[..., 1])


def _tinting(tiny: Make, runtime: Runtime, strength: float) -> Colorizer:
    """A network that answers every picture with a red difference of this strength."""
    network = tiny("colorizer", 3)
    with torch.no_grad():
        network.tail.weight.zero_()
        network.tail.bias.copy_(torch.tensor([0.0, strength]))
    return Colorizer(network, options=InferenceOptions(runtime))


def test_strength_scales_the_saturation(tiny: Make, fp32: Runtime) -> None:
    gray, colorizer = np.full((64, 64), 128, np.uint8), _tinting(tiny, fp32, 0.08)
    none, half, full = (np.ptp(colorizer(gray, strength).astype(int), axis=2).mean() for strength in (0.0, 0.5, 1.0))
    assert none == 0
    assert half == pytest.approx(full / 2, rel=0.1)


def test_strong_colours_become_stronger_and_weak_ones_weaker(tiny: Make, fp32: Runtime) -> None:
    gray = np.full((48, 48), 0.5, np.float32)
    weak, strong = (luma.chroma(_tinting(tiny, fp32, strength)(gray))[24, 24, 1] for strength in (0.02, 0.1))
    assert weak == pytest.approx(0.02 * 0.02 / VIVID, rel=1e-3)
    assert strong == pytest.approx(0.1 * 0.1 / VIVID, rel=1e-3)
    assert weak < 0.02
    assert strong > 0.1


def test_a_mirrored_picture_gets_mirrored_colours(colorizer: Colorizer, smooth: Callable[..., np.ndarray]) -> None:
    gray = np.ascontiguousarray(smooth(64, 96)[:, :, 0])
    mirrored = colorizer(np.ascontiguousarray(gray[:, ::-1]))[:, ::-1]
    np.testing.assert_allclose(mirrored, colorizer(gray), atol=1e-5)


def test_three_equal_channels_are_gray(colorizer: Colorizer) -> None:
    gray = _gray(40, 50)
    assert np.array_equal(colorizer(np.repeat(gray[..., None], 3, 2)), colorizer(gray))


@pytest.mark.parametrize("tile", [0, 64])
def test_tiles_and_bands_change_nothing(tiny: Make, fp32: Runtime, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gray = _gray(2 * SHORT_SIDE, 3 * SHORT_SIDE)
    whole = Colorizer(tiny("colorizer", 3), options=InferenceOptions(fp32))(gray)
    monkeypatch.setattr(frame, "BAND", 5000)
    assert np.array_equal(Colorizer(tiny("colorizer", 3), options=InferenceOptions(fp32, tile=tile))(gray), whole)


def test_the_size_of_the_picture_matters_little(colorizer: Colorizer, smooth: Callable[..., np.ndarray]) -> None:
    """Smooth pictures of different sizes look the same to the network."""
    small = smooth(SHORT_SIDE, SHORT_SIDE)[:, :, 0]
    large = cv2.resize(small, (4 * SHORT_SIDE, 4 * SHORT_SIDE), interpolation=cv2.INTER_CUBIC)
    shrunk = cv2.resize(colorizer(large), (SHORT_SIDE, SHORT_SIDE), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk - colorizer(small)).mean() < 0.01


def test_a_hint_gives_its_palette(colorizer: Colorizer, smooth: Callable[..., np.ndarray]) -> None:
    gray = smooth(90, 110)[:, :, 0]
    rng = np.random.default_rng(0)
    green = luma.with_chroma(smooth(60, 60)[:, :, 0], np.float32([-0.15, -0.1]) + rng.normal(0, 0.02, (60, 60, 2)).astype(np.float32))
    made = luma.chroma(colorizer(gray, hint=palette_of(green))).mean((0, 1))
    assert made == pytest.approx([-0.15, -0.1], abs=0.03)


def test_a_gray_hint_is_refused() -> None:
    for channels in (1, 3):
        with pytest.raises(ValueError, match="the hint is gray"):
            palette_of(np.full((8, 8, channels), 0.5, np.float32))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mat_stays_gray_and_is_not_seen(colorizer: Colorizer, photograph: Callable[..., np.ndarray], channels: int) -> None:
    photo = np.rint(photograph(90, 120)[:, :, 0] * 255).astype(np.uint8)
    mat = np.full((200, 260), 128, np.uint8)
    mat[:20] = 250  # a second tone around the first
    inside = np.s_[50:140, 60:180]
    mat[inside] = photo
    coloured = colorizer(mat if channels == 1 else np.repeat(mat[..., None], 3, 2))
    alone = colorizer(photo)
    assert np.ptp(alone.astype(int), axis=2).max() > 20
    np.testing.assert_array_equal(coloured[inside], alone)
    coloured[inside] = mat[inside][..., None]
    np.testing.assert_array_equal(coloured, np.repeat(mat[..., None], 3, 2))


def test_a_hint_gives_no_hidden_colour(smooth: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    green = luma.with_chroma(smooth(200, 200)[:, :, 0], np.float32([-0.15, -0.1]) + rng.normal(0, 0.02, (200, 200, 2)).astype(np.float32))
    visible = np.zeros((200, 200), bool)
    visible[40:160, 50:150] = True
    shown = palette_of(green, visible)
    np.testing.assert_allclose(shown.means, palette_of(green[40:160, 50:150]).means, atol=0.01)
    for hidden in ((1, 0, 1), (0, 0, 0)):
        seen = palette_of(np.where(visible[:, :, None], green, np.float32(hidden)), visible)
        np.testing.assert_allclose(seen.means, shown.means, atol=0.01)
        np.testing.assert_allclose(seen.deviations, shown.deviations, atol=0.01)
    with pytest.raises(ValueError, match="the hint is gray"):
        palette_of(np.where(visible[:, :, None], smooth(200, 200), np.float32((1, 0, 1))), visible)
