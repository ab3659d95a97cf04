"""Recorruption: input and target have independent noise; items are functions of their index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from restore.datasets.crops import Pictures
from restore.datasets.recorrupted import PictureNoise, RecorruptedCrops, recorrupted
from restore.images.noise_model import NoiseLevel
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
