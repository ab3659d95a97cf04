"""Fine-tuning on the picture itself: deterministic, undone after the picture, and used only as far as it helps."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from restore.datasets.degrade import gaussian, poisson_gaussian
from restore.images.noise_model import NoiseLevel
from restore.inference import blend_weight, picture_tuning, sure
from restore.inference.blend_weight import Weight
from restore.inference.denoiser import Denoiser, Refinement
from restore.inference.loading import InferenceOptions
from restore.inference.noise_estimate import Estimate
from restore.inference.picture_tuning import PictureTuner
from restore.networks.spec import RestorationNetwork
from restore.runtime import Runtime

Tiny = Callable[..., RestorationNetwork]
Smooth = Callable[..., np.ndarray]
LEVEL = NoiseLevel.gaussian(25)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_tuning, "STEPS", 6)
    monkeypatch.setattr(picture_tuning, "RATE", 5e-3)


@pytest.fixture
def timid(tiny: Tiny) -> RestorationNetwork:
    """A network that removes little of the noise, so that there is much to learn."""
    network = tiny()
    with torch.no_grad():
        network.get_parameter("tail.weight").mul_(1e-3)
    return network


def _cloth(smooth: Smooth, *size: int, channels: int = 1) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return np.asarray(smooth(*size, channels) * 0.7 + 0.1 * (1 + np.sin(1.9 * x + 0.8 * y))[:, :, None], np.float32)


def _noisy(clean: np.ndarray) -> np.ndarray:
    return gaussian(clean, 25 / 255, np.random.default_rng(1))[0]


def _tensors(network: RestorationNetwork) -> list[np.ndarray]:
    return [value.numpy().copy() for value in network.state_dict().values()]


def _same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _result(tuner: PictureTuner, noisy: np.ndarray, level: NoiseLevel = LEVEL) -> np.ndarray:
    tuned = tuner(noisy, level)
    assert tuned is not None
    return tuned.single.run(noisy, level=level)[0]


@pytest.mark.parametrize("noise", ["white", "quantum"])
def test_it_comes_nearer_to_the_clean_picture(timid: RestorationNetwork, fp32: Runtime, smooth: Smooth, noise: str) -> None:
    clean, rng = _cloth(smooth, 112, 112), np.random.default_rng(1)
    noisy, level = gaussian(clean, 25 / 255, rng) if noise == "white" else poisson_gaussian(clean, 40, 2 / 255, rng)
    before = Denoiser(timid, {}, InferenceOptions(fp32)).denoise(noisy, level)[0]
    after = _result(PictureTuner(timid, InferenceOptions(fp32)), noisy, level)
    assert np.square(after - clean).mean() < 0.97 * np.square(before - clean).mean()


def test_another_range_learns_the_same(timid: RestorationNetwork, fp32: Runtime, smooth: Smooth) -> None:
    noisy, tuner = _noisy(_cloth(smooth, 100, 104)), PictureTuner(timid, InferenceOptions(fp32))
    one = _result(tuner, noisy)
    other = _result(tuner, noisy * np.float32(4096), NoiseLevel(0.0, LEVEL.constant * 4096**2))
    np.testing.assert_allclose(other / 4096, one, atol=2e-3)


def test_colours_are_tuned_by_a_network_for_colours_only(tiny: Tiny, timid: RestorationNetwork, fp32: Runtime, smooth: Smooth) -> None:
    noisy = _noisy(_cloth(smooth, 100, 104, channels=3))
    assert PictureTuner(timid, InferenceOptions(fp32))(noisy, LEVEL) is None
    network = tiny(channels=3)
    with torch.no_grad():
        network.get_parameter("tail.weight").mul_(1e-3)
    assert _result(PictureTuner(network, InferenceOptions(fp32)), noisy).shape == (100, 104, 3)


def test_it_is_the_same_in_every_run_with_any_threads_and_tiles(timid: RestorationNetwork, fp32: Runtime, smooth: Smooth) -> None:
    noisy = _noisy(_cloth(smooth, 104, 100))
    expected = _result(PictureTuner(timid, InferenceOptions(fp32, tile=0)), noisy)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        other = PictureTuner(timid, InferenceOptions(fp32, tile=64))(noisy, LEVEL)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert other is not None
    whole = PictureTuner(timid, InferenceOptions(fp32, tile=0))
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: _result(whole, noisy), range(2)))
    for result in results:
        np.testing.assert_array_equal(result, expected)
    np.testing.assert_allclose(other.single.run(noisy, level=LEVEL)[0], expected, atol=0.02)  # tiles change a result, not the weights
    assert other.weight == whole(noisy, LEVEL).weight  # type: ignore[union-attr]


def test_the_global_state_of_random_numbers_does_not_matter(timid: RestorationNetwork, fp32: Runtime, smooth: Smooth) -> None:
    noisy, tuner = _noisy(_cloth(smooth, 100, 104)), PictureTuner(timid, InferenceOptions(fp32))
    torch.manual_seed(5)
    before, expected = torch.random.get_rng_state(), _result(tuner, noisy)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    np.testing.assert_array_equal(_result(tuner, noisy), expected)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interruption_leaves_the_weights_and_the_next_picture_as_they_were(
    timid: RestorationNetwork, fp32: Runtime, smooth: Smooth, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    noisy, tuner = _noisy(_cloth(smooth, 100, 104)), PictureTuner(timid, InferenceOptions(fp32))
    given, expected, threads = _tensors(timid), _result(tuner, noisy), torch.get_num_threads()
    running = set(threading.enumerate())
    update, done = picture_tuning.Learner.update, []

    def fails(learner: picture_tuning.Learner, gradients: object) -> None:
        update(learner, gradients)  # type: ignore[arg-type]
        done.append(1)
        if len(done) == 3:
            raise error

    with monkeypatch.context() as patched, pytest.raises(error):
        patched.setattr(picture_tuning.Learner, "update", fails)
        tuner(noisy, LEVEL)
    assert torch.get_num_threads() == threads
    assert _same(_tensors(timid), given)
    assert _same(_tensors(tuner._given.network), given)
    assert set(threading.enumerate()) <= running
    np.testing.assert_array_equal(_result(tuner, noisy), expected)


def test_a_gain_within_the_standard_error_is_not_used(
    timid: RestorationNetwork, fp32: Runtime, smooth: Smooth, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy, found = _noisy(_cloth(smooth, 100, 104)), [Weight(0.7, 0.8, 0.5), Weight(0.7, 0.8, 0.7)]
    monkeypatch.setattr(picture_tuning.Exact, "weight", lambda *_: found.pop(0))
    tuner = PictureTuner(timid, InferenceOptions(fp32))
    assert tuner(noisy, LEVEL) is not None
    assert tuner(noisy, LEVEL) is None


@pytest.mark.parametrize("value", [0.01, 0.5, 1.0])
def test_the_weights_go_as_far_as_the_risk_estimate_says(
    timid: RestorationNetwork, fp32: Runtime, smooth: Smooth, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    noisy, found, train = _noisy(_cloth(smooth, 100, 104)), [], picture_tuning.trained

    def trained(*given: object) -> RestorationNetwork:
        found.append(train(*given))  # type: ignore[arg-type]
        return found[0]

    monkeypatch.setattr(picture_tuning, "trained", trained)
    monkeypatch.setattr(picture_tuning.Exact, "weight", lambda *_: Weight(value, value, 0.1))
    tuned = PictureTuner(timid, InferenceOptions(fp32))(noisy, LEVEL)
    if value < picture_tuning.LEAST:
        assert tuned is None
        return
    assert tuned is not None
    expected = copy.deepcopy(timid)
    for mine, start, end in zip(expected.parameters(), timid.parameters(), found[0].parameters(), strict=True):
        mine.data = start.data + value * (end.data - start.data)
    result = Denoiser(expected, {}, InferenceOptions(fp32)).denoise(noisy, LEVEL)[0]
    np.testing.assert_allclose(tuned.single.run(noisy, level=LEVEL)[0], result, atol=1e-3)


def test_another_picture_in_between_changes_nothing(timid: RestorationNetwork, fp32: Runtime, smooth: Smooth) -> None:
    noisy, tuner = _noisy(_cloth(smooth, 100, 104)), PictureTuner(timid, InferenceOptions(fp32))
    expected = _result(tuner, noisy)
    tuner(_noisy(smooth(100, 100)), LEVEL)
    np.testing.assert_array_equal(_result(tuner, noisy), expected)


@pytest.mark.parametrize(("size", "sigma"), [((96, 300), 25.0), ((1, 1), 25.0), ((100, 100), 0.0)])
def test_small_and_clean_pictures_are_not_tuned(
    timid: RestorationNetwork, fp32: Runtime, smooth: Smooth, size: tuple[int, int], sigma: float
) -> None:
    assert PictureTuner(timid, InferenceOptions(fp32))(smooth(*size), NoiseLevel.gaussian(sigma)) is None


def test_a_training_that_does_harm_is_not_used(
    timid: RestorationNetwork, fp32: Runtime, smooth: Smooth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_tuning, "RATE", 1.0)
    assert PictureTuner(timid, InferenceOptions(fp32))(_noisy(smooth(128, 128)), LEVEL) is None


def test_the_work_on_a_large_picture_is_limited(
    timid: RestorationNetwork, fp32: Runtime, smooth: Smooth, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    blended = picture_tuning.nonlocal_blend.blended
    monkeypatch.setattr(picture_tuning.nonlocal_blend, "blended", lambda part, *rest: (seen.append(part.shape), blended(part, *rest))[1])
    monkeypatch.setattr(sure, "SIDE", 100)
    monkeypatch.setattr(blend_weight, "SIDE", 100)
    PictureTuner(timid, InferenceOptions(fp32))(_noisy(smooth(100, 400)), LEVEL)
    assert seen == [(100, 100, 1)] * 3


def test_a_denoiser_tunes_only_for_white_noise_of_a_level_to_rely_on(timid: RestorationNetwork, fp32: Runtime, smooth: Smooth) -> None:
    noisy, options = _noisy(_cloth(smooth, 100, 104)), InferenceOptions(fp32)
    denoiser = Denoiser(timid, {}, options)
    refinement = Refinement(denoiser.runner, PictureTuner(timid, options))

    def tuned(level: Estimate | NoiseLevel) -> float | None:
        return denoiser.denoise(noisy, level, refinement=refinement)[1].tuned_weight

    weight = tuned(LEVEL)
    assert weight is not None
    assert tuned(Estimate(LEVEL)) == weight
    assert tuned(Estimate(LEVEL, colour=2.5, spread=1.1)) is None
    assert tuned(Estimate(NoiseLevel.gaussian(3), colour=1.9, spread=2.4)) is None
    assert denoiser.denoise(noisy, LEVEL, refinement=Refinement(denoiser.runner))[1].tuned_weight is None
