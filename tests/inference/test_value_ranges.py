"""Values that a restoration must preserve: the shipped weights on steps, ranges, mats, hot pixels, narrow pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

import restore
from restore.images.noise_model import NoiseLevel
from restore.inference import excluded_regions, mean_preservation, residual_check
from restore.inference.array_interface import apply
from restore.inference.denoiser import Denoiser
from restore.inference.ranges import range_of
from restore.runtime import Runtime

Smooth = Callable[..., np.ndarray]
GRAY = ("denoise-gray", "denoise-xray")


@pytest.fixture(scope="module")
def restorers() -> dict[str, Denoiser]:
    """The shipped gray weights, in float32."""
    return {name: restore.load(name, device="cpu", precision="fp32") for name in GRAY}


def _steps(levels: list[float], side: int = 64) -> tuple[np.ndarray, list[tuple[slice, slice]]]:
    """(H, W, 1) squares of the given levels, three a row, and the inner part of each."""
    clean = np.kron(np.array(levels, np.float32).reshape(-1, 3), np.ones((side, side), np.float32))[:, :, None]
    inner = [
        (slice(row * side + 12, (row + 1) * side - 12), slice(column * side + 12, (column + 1) * side - 12))
        for row in range(len(levels) // 3)
        for column in range(3)
    ]
    return clean, inner


@pytest.mark.parametrize("name", GRAY)
@pytest.mark.parametrize(
    ("black", "width", "sigma"), [(1600, 800, 20), (1600, -800, 20), (1800, 400, 20), (-200, 900, 35), (2500, 300, 12)]
)
def test_flat_steps_keep_their_level_inside_and_outside_the_window(
    restorers: dict[str, Denoiser], name: str, black: float, width: float, sigma: float
) -> None:
    """Stored values 1300 to 2600 through a window, rising or (MONOCHROME1) falling: the mean shifts by at most a tenth of sigma."""
    clean, inner = _steps([1300, 1400, 1500, 1600, 1800, 2000, 2200, 2400, 2600])
    stored = clean + np.random.default_rng(0).normal(0, sigma, clean.shape)
    pixels = ((stored - black) / width).astype(np.float32)
    restored = restorers[name](pixels) * width + black
    for part in inner:
        assert abs(float((restored[part] - stored[part]).mean())) <= 0.1 * sigma
        assert restored[part].std() < 0.5 * sigma


@pytest.mark.parametrize("name", GRAY)
@pytest.mark.parametrize(
    ("low", "high", "sigma"), [(-1.0, 1.0, 0.15), (-1024.0, 1024.0, 80.0), (0.0, 0.01, 0.0006), (300.0, 4000.0, 150.0)]
)
def test_any_range_of_floats_is_restored(restorers: dict[str, Denoiser], name: str, low: float, high: float, sigma: float) -> None:
    y, x = np.mgrid[:96, :96]
    clean = np.where(np.hypot(x - 48, y - 48) < 30, high, low)
    noisy = (clean + np.random.default_rng(1).normal(0, sigma, clean.shape)).astype(np.float32)
    restored = restorers[name](noisy)
    assert np.sqrt(np.mean((restored - clean) ** 2)) < 0.45 * sigma
    assert abs(float((restored - noisy)[clean == low].mean())) < 0.1 * sigma


def test_nan_stays_and_does_not_harm_an_array(restorers: dict[str, Denoiser], smooth: Smooth) -> None:
    clean = smooth(128, 128)[:, :, 0]
    noisy = clean + np.random.default_rng(9).normal(0, 0.05, clean.shape).astype(np.float32)
    holed = noisy.copy()
    holed[20:40, 30:60] = np.nan
    holed[90, 90] = np.inf
    restored, alone = restorers["denoise-gray"](holed), restorers["denoise-gray"](noisy)
    np.testing.assert_array_equal(restored[~np.isfinite(holed)], holed[~np.isfinite(holed)])
    rest = np.isfinite(holed)
    errors = [float(np.sqrt(np.mean((output - clean)[rest] ** 2))) for output in (restored, alone)]
    assert errors[0] < 1.1 * errors[1]


@pytest.mark.parametrize("name", GRAY)
@pytest.mark.parametrize("value", [1, 77, 250])
def test_a_flat_picture_keeps_its_value_whatever_the_level(restorers: dict[str, Denoiser], name: str, value: int) -> None:
    restored = restorers[name](np.full((96, 128), value, np.uint8), 12.0)
    assert np.abs(restored.astype(int) - value).max() <= 1


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("border", [8, 12, 40])
def test_a_mat_stays_and_does_not_harm_the_picture(restorers: dict[str, Denoiser], smooth: Smooth, border: int, value: int) -> None:
    clean = smooth(192, 224) * 400 - 60  # clipped in the dark and in the light
    noisy = np.clip(np.rint(clean + np.random.default_rng(2).normal(0, 14, clean.shape)), 0, 255).astype(np.uint8)
    framed, inner = np.full_like(noisy, value), np.s_[border:-border, border:-border]
    framed[inner] = noisy[inner]
    with_mat, alone = (restorers["denoise-gray"](picture) for picture in (framed, np.ascontiguousarray(noisy[inner])))
    outside = np.ones(noisy.shape, bool)
    outside[inner] = False
    assert (with_mat[outside] == value).all()
    np.testing.assert_array_equal(with_mat[inner], alone)


@pytest.mark.parametrize("noise", [(0.0, 14.0), (50.0, 2.0)])
def test_hot_and_dead_pixels_within_the_range_stay_and_do_no_harm(
    restorers: dict[str, Denoiser], smooth: Smooth, noise: tuple[float, float]
) -> None:
    """Noise clipped in the dark, too: what is put in place of a hot pixel must not be darker than black."""
    clean, rng = np.clip(smooth(192, 192) * 1.2 - 0.2, 0, 1), np.random.default_rng(10)
    counts, sigma = noise
    light = rng.poisson(clean * counts) / counts if counts else clean
    noisy = np.clip(np.rint(255 * light + rng.normal(0, sigma, clean.shape)), 0, 255).astype(np.uint8)
    hot = noisy.copy()
    rows, columns = rng.integers(0, 192, (2, 12))
    hot[rows, columns] = rng.choice([0, 255], (12, 1))
    rest = np.ones((192, 192), bool)
    rest[rows, columns] = False
    errors = [np.sqrt(np.mean((restorers["denoise-gray"](one)[rest] / 255 - clean[rest]) ** 2)) for one in (hot, noisy)]
    assert errors[0] < 10 ** (0.1 / 20) * errors[1]


def test_hot_pixels_stay_and_do_not_harm_the_picture(restorers: dict[str, Denoiser]) -> None:
    y, x = np.mgrid[:96, :96]
    clean = 100 + 400 * np.exp(-((x - 48) ** 2 + (y - 48) ** 2) / 400.0)
    noisy = np.rint(clean + np.random.default_rng(3).normal(0, 25, clean.shape)).astype(np.uint16)
    hot = noisy.copy()
    hot[20, 20] = hot[60, 70] = 65535
    with_hot, without = (restorers["denoise-gray"](picture).astype(float) for picture in (hot, noisy))
    assert with_hot[20, 20] > 60000
    rest = hot < 60000
    errors = [float(np.sqrt(np.mean((output - clean)[rest] ** 2))) for output in (with_hot, without)]
    assert errors[0] < 1.05 * errors[1] < 5


@pytest.mark.parametrize("name", [*GRAY, "denoise-color", "upscale-x2", "upscale-x4", "photo2paint"])
def test_narrow_pictures_are_reproducible_in_half_precision(name: str) -> None:
    """oneDNN's bf16 convolutions of maps two pixels wide are wrong, and differently at every call."""
    half, full = (restore.load(name, device="cpu", precision=precision) for precision in ("bf16", "fp32"))
    y, x = np.mgrid[:40, :40] / 40
    picture = (0.5 + 0.3 * np.sin(6 * y + 2 * x)).astype(np.float32)[:, :, None]
    picture += np.random.default_rng(4).normal(0, 0.03, picture.shape).astype(np.float32)
    for side in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17):
        for part in (picture[:, :side], picture[:side], picture[:side, :side]):
            part = np.ascontiguousarray(part)
            first, second = (half.runner.run(part, level=NoiseLevel.gaussian(8.0))[0] for _ in range(2))
            np.testing.assert_array_equal(first, second)
            assert np.abs(first - full.runner.run(part, level=NoiseLevel.gaussian(8.0))[0]).max() < 0.06


def test_fine_noise_in_a_wide_range_is_restored_in_float32(smooth: Smooth) -> None:
    """A window of 400 in a range of 4,000: noise of 8 is half a step of bf16 in the network's range."""
    bf16 = restore.load("denoise-gray", device="cpu", precision="bf16")
    clean = smooth(128, 128) * 4000 - 1000
    noisy = clean + np.random.default_rng(5).normal(0, 8, clean.shape)
    restored, trace = bf16.denoise(((noisy - 100) / 400).astype(np.float32))
    assert trace.precision == "fp32"
    assert np.sqrt(np.mean((restored * 400 + 100 - clean) ** 2)) < 0.6 * 8
    loud, trace = bf16.denoise(((clean + 10 * (noisy - clean) - 100) / 400).astype(np.float32))
    assert trace.precision == "bf16"
    assert np.sqrt(np.mean((loud * 400 + 100 - clean) ** 2)) < 0.3 * 80


# the parts


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.05, 0.4), (-0.01, 1.01)])
def test_ordinary_pictures_are_not_mapped(low: float, high: float) -> None:
    pixels = np.linspace(low, high, 64 * 64, dtype=np.float32).reshape(64, 64, 1)
    assert range_of(pixels, NoiseLevel.gaussian(10), homogeneous=True, narrow=0.25).normalize(pixels) is pixels


@pytest.mark.parametrize("homogeneous", [True, False])
@pytest.mark.parametrize(("low", "high"), [(-3.0, 9.0), (-0.5, 0.5), (2.0, 5.0), (0.0, 1e-3)])
def test_other_ranges_are_normalized_and_denormalized(low: float, high: float, homogeneous: bool) -> None:
    pixels = np.linspace(low, high, 64 * 64, dtype=np.float32).reshape(64, 64, 1)
    value_range = range_of(pixels, NoiseLevel(), homogeneous=homogeneous, narrow=0.25)
    inputs = value_range.normalize(pixels)
    assert inputs.min() > -0.2 and 0.8 < inputs.max() < 1.2
    np.testing.assert_allclose(value_range.denormalize(inputs.copy()), pixels, atol=1e-5 * (high - low))


def test_means_are_preserved_only_in_flat_areas(smooth: Smooth) -> None:
    level = NoiseLevel.gaussian(10)
    pixels = np.full((128, 128, 1), 0.4, np.float32) + np.random.default_rng(6).normal(0, 10 / 255, (128, 128, 1)).astype(np.float32)
    pixels[:, 64:] += 0.3 * (np.indices((128, 64)).sum(0) // 4 % 2)[:, :, None].astype(np.float32)  # a pattern is no flat area
    restored = pixels + np.float32(0.05)
    mean_preservation.preserve(pixels, restored, level)
    change = restored - pixels
    assert np.abs(change[8:-8, 8:40]).max() < 0.01
    assert np.abs(change[8:-8, 80:-8] - 0.05).max() < 0.01


def test_an_odd_size_keeps_its_means() -> None:
    pixels = np.full((37, 53, 3), 0.4, np.float32)
    restored = pixels + np.float32(0.05)
    mean_preservation.preserve(pixels, restored, NoiseLevel.gaussian(10))
    np.testing.assert_allclose(restored, pixels, atol=1e-6)


def test_nothing_is_excluded_from_an_ordinary_picture(smooth: Smooth) -> None:
    noisy = smooth(96, 96) + np.random.default_rng(7).normal(0, 0.05, (96, 96, 1)).astype(np.float32)
    assert excluded_regions.find(noisy, NoiseLevel.gaussian(12)) is None
    assert excluded_regions.find(np.full((64, 64, 1), 0.5, np.float32), NoiseLevel.gaussian(12)) is None


def test_a_residual_that_is_not_noise_gives_a_warning(smooth: Smooth) -> None:
    level, clean = NoiseLevel.gaussian(10), smooth(128, 128)
    noisy = clean + np.random.default_rng(8).normal(0, 10 / 255, clean.shape).astype(np.float32)
    assert residual_check.check_residual(noisy, clean, level) is None
    texture = 0.2 * (np.indices((128, 128)).sum(0) // 3 % 2)[:, :, None].astype(np.float32)
    assert "check whether detail is missing" in str(residual_check.check_residual(noisy + texture, clean, level))
    assert residual_check.check_residual(noisy, clean, NoiseLevel()) is None


def test_a_float32_runtime_stays_in_float32(smooth: Smooth) -> None:
    restorer = restore.load("denoise-gray", device="cpu", precision="fp32")
    assert restorer.runtime == Runtime(torch.device("cpu"), torch.float32)
    assert restorer.denoise(smooth(64, 64) * 4000, 1.0)[1].precision == "fp32"


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_of_64_bits_have_no_depth(restorers: dict[str, Denoiser], dtype: type) -> None:
    with pytest.raises(ValueError, match="convert it to uint8 or uint16"):
        restorers["denoise-gray"](np.full((64, 64), 100, dtype))


@pytest.mark.parametrize(
    ("task", "options"),
    [("denoise-gray", {"strength": float("nan")}), ("denoise-gray", {"strength": 2}), ("denoise-gray", {"noise_level": -1}),
     ("artifacts", {"quality": 0}), ("artifacts", {"quality": 101}), ("artifacts", {"strength": -0.1}), ("sharpen", {"blur": -1}),
     ("sharpen", {"strength": 1.5}), ("colorize", {"strength": 2}), ("upscale-x2", {"strength": 2})],
)  # fmt: skip
def test_options_out_of_range_are_refused(task: str, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"'{next(iter(options))}' must be in"):
        restore.load(task, device="cpu", precision="fp32")(np.full((64, 64, 3), 100, np.uint8), **options)  # type: ignore[operator]


def _sharpened(picture: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """A restorer that changes a tenth of the picture by a hundredth of white."""
    changed = picture.copy()
    changed[: len(changed) // 10] += np.float32(0.01)
    return changed


@pytest.mark.parametrize("dtype", [np.uint32, np.int32, ">u4", ">u2", np.uint16, np.int16, np.int8])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_white_stays_white_and_what_does_not_change_stays_to_the_last_bit(dtype: type | str, channels: int) -> None:
    kind = np.dtype(dtype)
    white = np.iinfo(kind).max
    picture = np.random.default_rng(0).integers(white // 2, white, (40, 50, channels), dtype=kind.newbyteorder("="), endpoint=True)
    picture = picture.astype(kind)
    picture[20:30] = white
    result = apply(picture, _sharpened)
    assert result.dtype == kind and np.array_equal(result[4:], picture[4:])
    assert (result[:4, :, 0].astype(float) >= picture[:4, :, 0]).all() and (result[:4] != picture[:4]).any()
    if channels % 2 == 0:
        assert np.array_equal(result[..., -1], picture[..., -1])
    large = apply(picture, lambda pixels, valid: pixels.repeat(2, 0).repeat(2, 1), 2)
    assert large.dtype == kind and (large[45:55] == white).all()
    if channels < 3:
        coloured = apply(picture, lambda pixels, valid: pixels.repeat(3, 2))
        assert coloured.shape == (40, 50, channels + 2) and (coloured[20:30, :, :3] == white).all()


@pytest.mark.parametrize(("offset", "factor"), [(1e8, 1.0), (-1e8, 1.0), (1e12, 1e3), (0.0, 1e300)])
def test_floats_that_float32_would_blur_keep_their_differences(offset: float, factor: float) -> None:
    picture = offset + factor * np.random.default_rng(0).random((40, 50))
    picture[30, 30] = np.nan
    result = apply(picture, _sharpened)
    np.testing.assert_array_equal(result[4:], picture[4:])
    if factor < 1e30:  # beyond it are markers of what is missing
        assert np.allclose(result[:4] - picture[:4], 0.01 * factor, rtol=0.2)


def test_arrays_that_are_no_pictures_are_refused_by_name() -> None:
    one = np.zeros((8, 8), np.uint8)
    for wrong, word in (
        ([[1, 2], [3, 4]], "not list"), (PillowImage.fromarray(one), "not Image"), (None, "not NoneType"), ("a.png", "not str"),
        (np.ma.masked_array(one), "masked"), (torch.zeros(0, 1, 8, 8), "tensor"), (np.zeros((4, 4), complex), "complex"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=word):
            apply(wrong, _sharpened)  # type: ignore[type-var]


def test_what_is_not_finite_stays_so_in_a_larger_picture() -> None:
    picture = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    picture[4:6, 7] = np.nan
    result = apply(picture, lambda pixels, valid: pixels.repeat(2, 0).repeat(2, 1), 2)
    assert np.array_equal(np.isnan(result), np.isnan(picture).repeat(2, 0).repeat(2, 1))
