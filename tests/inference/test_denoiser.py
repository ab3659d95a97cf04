"""`Denoiser` and the common parts of all models: array types, tiles, precision, and faulty networks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restore import weights
from restore.images.deconvolution import Inversion, WienerFilter
from restore.images.noise_model import NoiseLevel
from restore.images.quantisation import Quantisation
from restore.inference.denoiser import Denoiser
from restore.inference.loading import InferenceOptions, load_network, make_runner
from restore.inference.noise_estimate import Estimate
from restore.inference.tiled_runner import Condition
from restore.networks import ModelSpec, RestorationNetwork
from restore.runtime import PRECISIONS, Runtime
from restore.weights_file import Recipe

Make = Callable[..., nn.Module]
Smooth = Callable[..., np.ndarray]
BF16 = Runtime(torch.device("cpu"), torch.bfloat16)
FP16 = Runtime(torch.device("cpu"), torch.float16)
NOT_TILED = ("confidence", "digits", "enhance", "xray-generator")
SHIPPED = sorted(path for path in (Path(__file__).resolve().parents[2] / "weights").glob("*.safetensors") if path.stem not in NOT_TILED)


class Halving(RestorationNetwork):
    """Halves a picture; `fault` may corrupt the correction."""

    spec = ModelSpec(1, 1, receptive_field=0, multiple=4)

    def __init__(self, fault: Callable[[Tensor, Tensor], Tensor] = lambda picture, correction: correction) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(-0.5))
        self.fault = fault

    def forward(self, picture: Tensor) -> Tensor:
        return self.fault(picture, picture * self.factor)


def _stored(picture: np.ndarray, dtype: str) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return picture.astype(dtype)
    return np.rint(picture * np.iinfo(dtype).max).astype(dtype)


# kinds of pictures


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4])
def test_shape_dtype_and_alpha_are_kept(fp32: Runtime, smooth: Smooth, dtype: str, channels: int) -> None:
    picture = _stored(smooth(21, 34, channels or 1), dtype)
    picture = picture if channels else picture[:, :, 0]
    before = picture.copy()
    restored = Denoiser(Halving(), options=InferenceOptions(fp32))(picture)
    assert (restored.shape, restored.dtype) == (picture.shape, picture.dtype)
    assert np.array_equal(picture, before)
    colours = picture if channels in {0, 1, 3} else picture[:, :, : channels - 1]
    halved = restored if channels in {0, 1, 3} else restored[:, :, : channels - 1]
    np.testing.assert_allclose(halved.astype(float), colours / 2, atol=1 if np.dtype(dtype).kind == "u" else 1e-6)
    if channels in {2, 4}:
        assert np.array_equal(restored[:, :, -1], picture[:, :, -1])


def test_integers_are_clamped_and_floats_are_not(fp32: Runtime) -> None:
    doubling = Halving(lambda picture, correction: picture + 0.1)
    restorer = Denoiser(doubling, options=InferenceOptions(fp32))
    assert restorer(np.full((8, 8), 200, np.uint8)).max() == 255
    assert restorer(np.full((8, 8), 0.75, np.float32)).max() == pytest.approx(1.6)


def test_a_tensor_gives_a_tensor(fp32: Runtime, tiny: Make, smooth: Smooth) -> None:
    restorer = Denoiser(tiny(), options=InferenceOptions(fp32))
    pictures = [smooth(24, 33, seed=seed) for seed in range(2)]
    batch = torch.stack([torch.from_numpy(picture).permute(2, 0, 1) for picture in pictures])
    restored = restorer(batch.requires_grad_(), 20.0)
    assert isinstance(restored, Tensor)
    assert (restored.shape, restored.dtype) == (batch.shape, batch.dtype)
    for picture, got in zip(pictures, restored, strict=True):
        np.testing.assert_array_equal(restorer(picture, 20.0)[:, :, 0], got[0].numpy())


@pytest.mark.parametrize(
    ("picture", "word"),
    [
        (np.zeros(5, np.uint8), "H, W"),
        (np.zeros((4, 4, 5), np.uint8), "1 to 4 channels"),
        (np.zeros((0, 4), np.uint8), "not \\(0, 4\\)"),
        (np.zeros((4, 4), bool), "integers or floats"),
        (np.zeros((4, 4), complex), "integers or floats"),
        (torch.zeros(1, 4, 4), "B, C, H, W"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.uint8), "float"),
    ],
    ids=["line", "five", "empty", "bool", "complex", "three", "integers"],
)
def test_invalid_arrays_are_refused(fp32: Runtime, picture: np.ndarray | Tensor, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Denoiser(Halving(), options=InferenceOptions(fp32))(picture)  # type: ignore[call-overload]


def test_a_gray_network_takes_each_colour_alone(fp32: Runtime, tiny: Make, smooth: Smooth) -> None:
    restorer, picture = Denoiser(tiny(channels=1), options=InferenceOptions(fp32)), smooth(19, 26, 3)
    restored, _ = restorer.denoise(picture, 25.0)
    for channel in range(3):
        alone, _ = restorer.denoise(picture[:, :, channel : channel + 1], 25.0)
        np.testing.assert_allclose(restored[:, :, channel], alone[:, :, 0], atol=1e-5)


def test_a_gray_network_takes_signal_dependent_noise_in_colour(fp32: Runtime, tiny: Make, smooth: Smooth) -> None:
    restored, _ = Denoiser(tiny(channels=1), options=InferenceOptions(fp32)).denoise(smooth(16, 16, 3), NoiseLevel(0.01, 0.001))
    assert restored.shape == (16, 16, 3)


def test_a_colour_network_takes_gray(fp32: Runtime, tiny: Make, smooth: Smooth) -> None:
    restorer, picture = Denoiser(tiny(channels=3), options=InferenceOptions(fp32)), smooth(19, 26)
    restored, _ = restorer.denoise(picture, 25.0)
    expected, _ = restorer.denoise(np.repeat(picture, 3, axis=2), 25.0)
    np.testing.assert_allclose(restored[:, :, 0], expected.mean(axis=2), atol=1e-5)


def test_strength_is_the_fraction_of_the_correction(fp32: Runtime, tiny: Make, smooth: Smooth) -> None:
    restorer, picture = Denoiser(tiny(), options=InferenceOptions(fp32)), smooth(16, 16)
    whole, half, none = (restorer.denoise(picture, 25.0, strength)[0] for strength in (1.0, 0.5, 0.0))
    np.testing.assert_allclose(half, (whole + picture) / 2, atol=1e-6)
    np.testing.assert_array_equal(none, picture)


def test_numbers_are_asked_for_by_name(fp32: Runtime, tiny: Make, smooth: Smooth) -> None:
    restorer, picture = Denoiser(tiny(), options=InferenceOptions(fp32)), smooth(16, 16)
    np.testing.assert_array_equal(restorer(picture, "auto"), restorer(picture))
    for arguments in (("abc",), ([25],), (True,), (300,), (25, "x"), (25, float("nan"))):
        with pytest.raises(ValueError, match=r"'(noise_level|strength)' must be (a number|in 0\.\.)"):
            restorer(picture, *arguments)


def test_weights_for_radiographs_are_given_grain_as_it_was_measured(fp32: Runtime, tiny: Make) -> None:
    grain = Estimate(NoiseLevel.gaussian(4.0), colour=12.0, spread=1.2, normality=0.45)
    assert grain.understated and grain.for_network.sigma() == pytest.approx(6.0)
    for poisson_fraction, sigma in ((0.9, 4.0), (0.1, 6.0)):
        recipe: Recipe = {"training": {"noise": {"poisson_fraction": poisson_fraction}}}
        denoiser = Denoiser(tiny(channels=1), recipe, options=InferenceOptions(fp32))
        assert denoiser._for_network(grain).sigma() == pytest.approx(sigma)


@pytest.mark.parametrize("shape", [(2, 3, 1), (64, 64, 3)])
def test_a_picture_without_measurable_noise_stays_as_it_is(fp32: Runtime, tiny: Make, shape: tuple[int, ...]) -> None:
    picture = np.kron(np.random.default_rng(1).integers(0, 2, (shape[0], shape[1], 1)), np.ones((1, 1, shape[2]))).astype(np.float32)
    restored, _ = Denoiser(tiny(channels=shape[2]), options=InferenceOptions(fp32)).denoise(picture)
    np.testing.assert_array_equal(restored, picture)


def test_the_noise_level_is_estimated_by_default(fp32: Runtime, tiny: Make, smooth: Smooth) -> None:
    restorer = Denoiser(tiny(), options=InferenceOptions(fp32))
    noisy = smooth(96, 96) + np.random.default_rng(0).normal(0, 20 / 255, (96, 96, 1)).astype(np.float32)
    level = restorer.noise_level(noisy, None)
    assert isinstance(level, Estimate)
    assert level.level.sigma() == pytest.approx(20, rel=0.15)
    np.testing.assert_array_equal(restorer.denoise(noisy)[0], restorer.denoise(noisy, level)[0])


# tiles


def _tiled_and_whole(network: RestorationNetwork, runtime: Runtime, picture: np.ndarray, tile: int) -> tuple[np.ndarray, int]:
    mask = np.random.default_rng(1).random(picture.shape[:2]) < 0.1 if network.spec.takes_mask else None
    plane = np.ascontiguousarray(picture[:, :, 0])
    conditions: dict[str, Condition] = {
        "quantisation": Quantisation.of_quality(20, 3, 5).condition, "blur": Inversion(plane, WienerFilter(1.5, 0.02), 0.01).condition,
    }  # fmt: skip
    condition = next((conditions[name] for name in network.spec.conditions if name in conditions), None)
    tiled, whole = (
        make_runner(network, InferenceOptions(runtime, side)).run(picture, level=NoiseLevel(0.002, 0.005), mask=mask, condition=condition)
        for side in (tile, 0)
    )
    assert whole[1].tiles == 1
    return np.abs(tiled[0] - whole[0]), tiled[1].tiles


@pytest.mark.parametrize("size", [(150, 201), (65, 300), (257, 64)])
@pytest.mark.parametrize("tile", [64, 128])
def test_tiled_equals_whole(fp32: Runtime, tiny: Make, smooth: Smooth, size: tuple[int, int], tile: int) -> None:
    picture = smooth(*size) + np.random.default_rng(0).normal(0, 0.1, (*size, 1)).astype(np.float32)
    difference, tiles = _tiled_and_whole(tiny(), fp32, picture, tile)
    assert tiles > 1
    assert difference.max() <= 1 / 255


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_weights_tiled_equal_whole(fp32: Runtime, smooth: Smooth, path: Path) -> None:
    network, recipe = load_network(path, weights.entry(path).recipe["task"])
    # networks with a large receptive field use larger tiles than specified, so tiles need a larger picture
    side = max(331, 5 * network.spec.overlap)
    picture = smooth(side, side + 66, recipe["settings"]["channels"])
    picture[100:230, 90:300] = 1 - picture[100:230, 90:300]  # edges
    picture += np.random.default_rng(0).normal(0, 0.1, picture.shape).astype(np.float32)
    difference, tiles = _tiled_and_whole(network, fp32, picture, 256)
    assert tiles > 1
    assert difference.max() <= 1 / 255


# networks that misbehave


def _short_of_memory(side: int, error: BaseException) -> Callable[[Tensor, Tensor], Tensor]:
    def fault(picture: Tensor, correction: Tensor) -> Tensor:
        if max(picture.shape[-2:]) > side:
            raise error
        return correction

    return fault


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
@pytest.mark.parametrize("tile", [0, 256])
def test_out_of_memory_halves_the_tile(fp32: Runtime, smooth: Smooth, error: RuntimeError, tile: int) -> None:
    picture = smooth(300, 270)
    restorer = Denoiser(Halving(_short_of_memory(64, error)), options=InferenceOptions(fp32, tile=tile))
    restored, trace = restorer.denoise(picture)
    np.testing.assert_allclose(restored, picture / 2, atol=1e-5)
    assert trace.tile == 64
    assert trace.tiles > 16
    assert [entry.split(":")[0] for entry in trace.redone] == ["out of memory"] * len(trace.redone)
    assert 1 <= len(trace.redone) <= 3


def test_out_of_memory_at_the_smallest_tile_rises(fp32: Runtime, smooth: Smooth) -> None:
    restorer = Denoiser(Halving(_short_of_memory(0, torch.OutOfMemoryError("out of memory"))), options=InferenceOptions(fp32))
    with pytest.raises(torch.OutOfMemoryError):
        restorer.denoise(smooth(300, 270))


def test_other_errors_rise_at_once(fp32: Runtime, smooth: Smooth) -> None:
    calls = []

    def fault(picture: Tensor, correction: Tensor) -> Tensor:
        calls.append(1)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        Denoiser(Halving(fault), options=InferenceOptions(fp32)).denoise(smooth(300, 270))
    assert len(calls) == 1


def _spoil(kind: str, *dtypes: torch.dtype) -> Callable[[Tensor, Tensor], Tensor]:
    def fault(picture: Tensor, correction: Tensor) -> Tensor:
        if picture.dtype not in dtypes:
            return correction
        if kind == "constant":
            return 0.25 - picture
        spoilt = correction.clone()
        spoilt[..., 3, 3] = float(kind)
        return spoilt

    return fault


@pytest.mark.parametrize(("kind", "expected"), [("nan", "not finite"), ("inf", "not finite"), ("constant", "constant")])
def test_a_fault_in_bf16_is_redone_in_fp32_and_reported(kind: str, expected: str) -> None:
    y, x = np.mgrid[:64, :100][..., None]
    picture = np.where((y // 8 + x // 8) % 2, 0.5, 0.25).astype(np.float32)
    restored, trace = Denoiser(Halving(_spoil(kind, torch.bfloat16)), options=InferenceOptions(BF16, tile=64)).denoise(picture)
    np.testing.assert_allclose(restored, picture / 2, atol=1e-6)
    assert trace.tiles == 3
    assert len(trace.redone) == 3
    assert trace.redone[0] == f"{expected} in bf16: tile 0 in fp32"
    assert trace.stats()["redone"] == trace.redone


def test_a_fault_in_fp16_falls_back_to_bf16_and_fp32(smooth: Smooth) -> None:
    fault = _spoil("nan", torch.float16, torch.bfloat16)
    restored, trace = Denoiser(Halving(fault), options=InferenceOptions(FP16)).denoise(smooth(32, 32))
    np.testing.assert_allclose(restored, smooth(32, 32) / 2, atol=1e-6)
    assert trace.redone == ["not finite in fp16: tile 0 in bf16", "not finite in bf16: tile 0 in fp32"]


def test_not_finite_in_fp32_is_an_error(fp32: Runtime, smooth: Smooth) -> None:
    with pytest.raises(ValueError, match="not finite even in fp32"):
        Denoiser(Halving(_spoil("nan", *PRECISIONS.values())), options=InferenceOptions(fp32)).denoise(smooth(16, 16))


def test_a_constant_picture_is_not_a_fault() -> None:
    _, trace = Denoiser(Halving(), options=InferenceOptions(BF16)).denoise(np.full((16, 16, 1), 0.5, np.float32))
    assert not trace.redone


# sharing and loading


def test_four_threads_share_one(tiny: Make, smooth: Smooth) -> None:
    restorer = Denoiser(tiny(), options=InferenceOptions(BF16, tile=64))
    pictures = [smooth(40 + 7 * seed, 90, seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda picture: restorer.denoise(picture, 25.0)[0], pictures))
    alone = Denoiser(tiny(), options=InferenceOptions(BF16, tile=64))
    for picture, got in zip(pictures, together, strict=True):
        np.testing.assert_array_equal(got, alone.denoise(picture, 25.0)[0])


def test_the_original_network_does_not_change(tiny: Make, smooth: Smooth) -> None:
    network = tiny().train()
    Denoiser(network, options=InferenceOptions(BF16)).denoise(smooth(16, 16), 25.0)
    assert network.training
    assert all(parameter.dtype == torch.float32 and parameter.requires_grad for parameter in network.parameters())


def test_a_loaded_model_restores_like_its_network(
    fp32: Runtime, tiny: Make, smooth: Smooth, weights_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = weights_file(tmp_path / "mine.safetensors", training={"noise": {"poisson_fraction": 0.9}})
    loaded = Denoiser.load(path, InferenceOptions(fp32))
    assert loaded.signal_dependent
    assert not Denoiser(tiny(), options=InferenceOptions(fp32)).signal_dependent
    expected, _ = Denoiser(tiny(), options=InferenceOptions(fp32)).denoise(smooth(), 25.0)
    np.testing.assert_allclose(loaded.denoise(smooth(), 25.0)[0], expected, atol=2e-3)


@pytest.mark.parametrize("level", [0.0, 255.0, NoiseLevel(0.01, 0.0)])
def test_any_noise_level_gives_a_finite_picture(fp32: Runtime, tiny: Make, level: NoiseLevel | float) -> None:
    picture = np.random.default_rng(0).random((24, 24, 1), np.float32)
    assert np.isfinite(Denoiser(tiny(), options=InferenceOptions(fp32)).denoise(picture, level)[0]).all()
