"""Recorruption: input and target have independent noise; items are functions of their index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from restore.datasets.crops import Pictures
from restore.datasets.recorrupted import PictureNoise, RecorruptedCrops, recorrupted
from restore.images.noise_model import NoiseLevel, PhotonSteps
from restore.images.noise_spectrum import SIDE, NoiseSpectrum

Smooth = Callable[..., np.ndarray]
Photos = Callable[..., Path]


@pytest.mark.parametrize("correlated", [False, True])
def test_the_noise_of_input_and_target_is_independent(smooth: Smooth, correlated: bool) -> None:
    line = (1 + np.cos(2 * np.pi * np.fft.fftfreq(SIDE))) ** 2
    spectrum = NoiseSpectrum(np.outer(line, line) if correlated else np.ones((SIDE, SIDE)))
    noise = PictureNoise(NoiseLevel.gaussian(10), spectrum)
    clean, rng = smooth(400, 400), np.random.default_rng(0)
    noisy = clean + np.float32(10 / 255) * spectrum.field(clean.shape, rng)
    inputs, target, noise_map = recorrupted(noisy, noise, 0.5, rng)
    variance = spectrum.variance * (10 / 255) ** 2
    first, second = inputs - clean, target - clean
    assert float(np.square(first).mean()) == pytest.approx(1.25 * variance, rel=0.05)
    assert float(np.square(second).mean()) == pytest.approx(5 * variance, rel=0.05)
    assert abs(float((first * second).mean())) < 0.06 * variance
    assert noise_map == pytest.approx(np.sqrt(1.25) * 10 / 255)


def test_items_depend_on_seed_and_index_alone(photos: Photos, tmp_path: Path) -> None:
    files = sorted(photos(tmp_path / "p").glob("*.png"))

    def dataset(seed: int) -> RecorruptedCrops:
        return RecorruptedCrops(Pictures(files, 1), 16, lambda picture: PictureNoise(NoiseLevel.gaussian(8), offset=0.1, span=0.5), seed, 9)

    first, again, other = dataset(1), dataset(1), dataset(2)
    [first[index] for index in range(4)]
    item, same = first[5], again[5]
    assert {name: tuple(value.shape) for name, value in item.items()} == {"input": (1, 16, 16), "target": (1, 16, 16), "noise": (1, 16, 16)}
    assert all(torch.equal(value, same[name]) for name, value in item.items())
    assert not torch.equal(item["input"], other[5]["input"])
    assert float(item["target"].mean()) == pytest.approx((0.5 - 0.1) / 0.5, abs=0.5)  # in the network's range


@pytest.mark.parametrize("photons", [None, PhotonSteps(1 / 8)])
def test_few_photons_are_independent_next_to_edges_too(photons: PhotonSteps | None) -> None:
    clean = np.full((400, 400, 1), 0.1, np.float32)
    clean[:, ::4] = 1
    rng = np.random.default_rng(0)
    noisy = (rng.poisson(8 * clean) / 8).astype(np.float32)
    inputs, target, _ = recorrupted(noisy, PictureNoise(NoiseLevel(1 / 8), photons=photons), 0.5, rng)
    for where, brightness in ((clean == 1, 1.0), (clean < 1, 0.1)):
        first, second = (inputs - clean)[where], (target - clean)[where]
        assert float(np.square(first).mean()) == pytest.approx(1.25 * brightness / 8, rel=0.1)
        assert abs(float((first * second).mean())) < 0.06 * brightness / 8


def test_the_noise_that_is_added_to_twins_cancels(smooth: Smooth) -> None:
    noisy = smooth(64, 64)
    first, second = (
        recorrupted(noisy, PictureNoise(NoiseLevel(0.01, 0.001)), 0.5, np.random.default_rng(3), twin=twin) for twin in (False, True)
    )
    assert (first[0] + second[0]) / 2 == pytest.approx(noisy, abs=1e-5)
    assert (first[1] + second[1]) / 2 == pytest.approx(noisy, abs=1e-5)
    assert not np.array_equal(first[0], second[0])


def test_twin_items_are_the_same_crop(photos: Photos, tmp_path: Path) -> None:
    files = sorted(photos(tmp_path / "p").glob("*.png"))
    crops = RecorruptedCrops(Pictures(files, 1), 16, lambda picture: PictureNoise(NoiseLevel.gaussian(8)), 1, 9, twins=True)
    first, second, other = (crops[index]["input"] + crops[index]["target"] for index in (0, 1, 2))
    assert float((first - second).abs().max()) > 0.01
    assert float((first - second).mean().abs()) < float((first - other).mean().abs())
