"""Degradations of whole batches: the distributions, and where nothing is drawn the values, of those of single crops."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import pytest
import torch

from restore.datasets import batch_compression, batch_degrade, compression, degrade
from restore.datasets.compression import SUBSAMPLINGS, CompressionConfig
from restore.datasets.degrade import NoiseConfig
from restore.datasets.downscaling import DownscalingConfig, downscale
from restore.images.noise_model import NoiseLevel
from restore.images.quantisation import Quantisation

COUNT = 300


def _clean(count: int, channels: int = 1, side: int = 32) -> np.ndarray:
    """(count, H, W, C): smooth, of several brightnesses."""
    rng = np.random.default_rng(5)
    small = rng.random((count, 6, 6, channels)).astype(np.float32)
    return np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC).reshape(side, side, channels) for one in small]).clip(
        0, 1
    )


def _tensor(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))


def _moments(noise: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Of each crop: the logarithms of the noise's deviation, of its fine part's, and of the map's mean."""
    found = [
        (np.log(one.std() + 1e-3), np.log(np.sqrt(NoiseLevel.of(one).constant) + 1e-3), np.log(shown.mean() + 1e-3))
        for one, shown in zip(noise, level, strict=True)
    ]
    return np.sort(np.array(found), axis=0)


KINDS = {
    "gaussian": NoiseConfig(sigma=(5.0, 55.0)),
    "x-ray": NoiseConfig(sigma=(0.0, 40.0), poisson_fraction=0.9, counts=(8.0, 1500.0), readout=(0.0, 6.0), round_fraction=0.4),
    "camera": NoiseConfig(sigma=(10.0, 20.0), correlated_fraction=1.0, correlated_sigma=(8.0, 20.0)),
    "stored": NoiseConfig(sigma=(5.0, 30.0), jpeg_fraction=0.6, jpeg_quality=(60, 95), round_fraction=0.5),
    "wrong maps": NoiseConfig(sigma=(20.0, 20.0), map_error=0.3),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_noise_has_the_distribution_of_single_crops(kind: str, channels: int) -> None:
    clean, config = _clean(COUNT, channels), KINDS[kind]
    pairs = [degrade.add_noise(one, np.random.default_rng([7, index]), config) for index, one in enumerate(clean)]
    noisy, shown = batch_degrade.add_noise(_tensor(clean), torch.Generator().manual_seed(1), config=config)
    assert noisy.shape == (COUNT, channels, 32, 32) and shown.shape == (COUNT, 1, 32, 32)
    one = _moments(np.stack([noisy for noisy, _ in pairs]) - clean, np.stack([level for _, level in pairs]))
    other = _moments(noisy.permute(0, 2, 3, 1).numpy() - clean, shown.numpy())
    # quantiles of both samples; the least and the greatest tenth vary by chance
    inner = slice(COUNT // 10, -COUNT // 10)
    assert np.abs(one[inner] - other[inner]).mean(axis=0).max() < 0.12
    eight = (np.abs(255 * noisy.numpy() - np.rint(255 * noisy.numpy())).max(axis=(1, 2, 3)) < 1e-3).mean()
    eight_single = np.mean([np.abs(255 * noisy - np.rint(255 * noisy)).max() < 1e-3 for noisy, _ in pairs])
    assert abs(eight - eight_single) < 0.1


def test_the_map_is_that_of_the_noise_model() -> None:
    noisy = _clean(4, 3)
    slope, constant = torch.rand(2, 4, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    maps = batch_degrade.noise_map(_tensor(noisy), slope, constant)
    for index in range(4):
        expected = NoiseLevel(float(slope[index]), float(constant[index])).map(noisy[index])
        np.testing.assert_allclose(maps[index, 0].numpy(), expected[:, :, 0], atol=1e-5)
    noise = noisy - 0.5
    measured = batch_degrade.fine_variance(_tensor(noise)).flatten()
    np.testing.assert_allclose(measured, [NoiseLevel.of(one).constant for one in noise], rtol=1e-3)


@pytest.mark.parametrize("scale", [2, 4])
def test_downscaling_equals_that_of_single_crops(scale: int) -> None:
    clean = _clean(5, 3)
    small, none = batch_degrade.downscale(_tensor(clean), torch.Generator(), scale=scale)
    assert none is None
    for one, made in zip(clean, small, strict=True):
        expected, _ = downscale(one, np.random.default_rng(0), scale=scale, config=DownscalingConfig())
        apart = np.abs(made.permute(1, 2, 0).numpy() - expected)
        assert apart.max() <= 1.001 / 255 and (apart > 1e-6).mean() < 0.01  # a value at a half may be rounded either way


@pytest.mark.parametrize(("channels", "sampling"), [(1, 0), (3, 0), (3, 1), (3, 2)])
def test_jpeg_is_that_of_the_library_to_within_rounding(channels: int, sampling: int) -> None:
    rng = np.random.default_rng(3)
    clean = (_clean(6, channels, 40) + rng.normal(0, 0.03, (6, 40, 40, channels)).astype(np.float32)).clip(0, 1)
    quality, top, left = torch.tensor([10, 30, 60, 80, 92, 97]), torch.tensor([0, 3, 0, 7, 0, 1]), torch.tensor([0, 5, 2, 0, 0, 6])
    each = [one[:, None, None, None] for one in (quality, top, left, torch.full_like(top, sampling))]
    made = batch_compression.jpeg(_tensor(clean), *each[:3], sampling=each[3])
    for index, picture in enumerate(clean):
        numbers = int(quality[index]), SUBSAMPLINGS[sampling], int(top[index]), int(left[index])
        expected = compression.jpeg(picture, *numbers)
        apart = 255 * np.abs(made[index].permute(1, 2, 0).numpy() - expected)
        loss = 255 * np.abs(expected - picture).mean()
        # the library's integer transform takes the other step where a coefficient lies near a half
        assert apart.mean() < max(0.75, 0.3 * loss), f"quality {quality[index]}: {apart.mean():.3f} of {loss:.3f}"
        own_loss = 255 * np.abs(made[index].permute(1, 2, 0).numpy() - picture).mean()
        assert abs(own_loss - loss) < 0.04 * loss
        condition = batch_compression.condition(*each[:3], 40, 40)[index, 0].numpy()
        whole = Quantisation.of_quality(numbers[0], *numbers[2:]).condition(slice(0, 40), slice(0, 40))
        np.testing.assert_allclose(condition, whole[:, :, 0], rtol=1e-6)


def test_compression_has_the_distribution_of_single_crops() -> None:
    clean, config = _clean(COUNT, 3), CompressionConfig(quality=(10, 90), twice_fraction=0.5)
    pairs = [compression.compress(one, np.random.default_rng([3, index]), config=config) for index, one in enumerate(clean)]
    coded, shown = batch_compression.compress(_tensor(clean), torch.Generator().manual_seed(4), config=config)
    assert abs(np.mean([not level.any() for _, level in pairs]) - (shown.amax((1, 2, 3)) == 0).float().mean()) < 0.06
    one = np.sort([np.abs(coded - picture).mean() for (coded, _), picture in zip(pairs, clean, strict=True)])
    other = np.sort(np.abs(coded.permute(0, 2, 3, 1).numpy() - clean).mean(axis=(1, 2, 3)))
    assert np.abs(one - other).mean() < 0.1 * one.mean()
    assert abs(np.mean([level.mean() for _, level in pairs]) / float(shown.mean()) - 1) < 0.15
    gray = batch_compression.some_gray(_tensor(clean), torch.Generator().manual_seed(0), config=config)
    assert 0.2 < float((gray.amax(1) - gray.amin(1)).amax((1, 2)).eq(0).float().mean()) < 0.4


def test_equal_seeds_give_equal_batches() -> None:
    clean = _tensor(_clean(4, 3))
    make = partial(batch_degrade.add_noise, config=NoiseConfig(poisson_fraction=0.3, correlated_fraction=0.3, jpeg_fraction=0.3))
    first, again, other = (make(clean, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
