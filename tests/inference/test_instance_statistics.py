"""Networks that normalise over the whole picture, run in tiles."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from restore import networks
from restore.inference.denoiser import Denoiser
from restore.inference.instance_statistics import sample_regions
from restore.inference.loading import InferenceOptions
from restore.runtime import Runtime


def _translator(channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    network = networks.build("resnet", channels=channels, width=8, blocks=1, norm="instance")
    with torch.no_grad():  # strong enough that tiles which go their own way show
        for parameter in network.parameters():
            if parameter.dim() == 4:
                parameter.mul_(5)
    return network


def _picture(channels: int) -> np.ndarray:
    """A picture with varying brightness and contrast, so tiles have different statistics."""
    y, x = np.mgrid[:256, :320].astype(np.float32) / 320
    noise = np.random.default_rng(0).random((256, 320, channels), np.float32)
    return ((0.2 + 0.6 * x)[:, :, None] + 0.3 * (noise - 0.5) * y[:, :, None]).astype(np.float32)


@pytest.mark.parametrize(("network_channels", "channels"), [(3, 3), (3, 1), (1, 1), (1, 3)])
@pytest.mark.parametrize("ensemble", [1, 2])
def test_tiles_share_the_statistics_of_the_picture(fp32: Runtime, network_channels: int, channels: int, ensemble: int) -> None:
    network, picture = _translator(network_channels), _picture(channels)
    whole, _ = Denoiser(network, options=InferenceOptions(fp32, tile=0, ensemble=ensemble)).denoise(picture)
    tiled, trace = Denoiser(network, options=InferenceOptions(fp32, tile=192, ensemble=ensemble, batch_size=2)).denoise(picture)
    assert trace.tiles >= 4
    alone, _ = Denoiser(network, options=InferenceOptions(fp32, tile=0, ensemble=ensemble)).denoise(picture[:128, :128])
    # brightness over 32 pixels: what makes squares visible
    apart = np.abs(cv2.blur(alone - whole[:128, :128], (32, 32)))[:64, :64].mean()
    assert apart > 0.03  # what a tile by itself is off by
    assert np.abs(cv2.blur(tiled - whole, (32, 32))).mean() < apart / 2.5


def test_the_tiles_do_not_change_a_picture_larger_than_its_sample(fp32: Runtime) -> None:
    picture = np.tile(_picture(3), (3, 2, 1))
    results = [Denoiser(_translator(), options=InferenceOptions(fp32, tile=tile)).denoise(picture)[0] for tile in (0, 640, 384)]
    for other in results[1:]:
        assert np.abs(other - results[0]).max() < 1 / 255


def test_a_picture_without_tiles_needs_no_shared_statistics(fp32: Runtime) -> None:
    network, picture = _translator(), _picture(3)
    exact = copy.deepcopy(network).double().eval()
    restored, _ = Denoiser(network, options=InferenceOptions(fp32, tile=512)).denoise(picture)
    with torch.inference_mode():
        plain = exact(torch.from_numpy(picture.transpose(2, 0, 1))[None].double())[0].numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(restored, picture + plain, atol=4e-5)  # float32 in channels-last errs by 2.3e-5, in the plain layout by 7e-6


def test_the_original_network_keeps_its_layers() -> None:
    network = _translator()
    Denoiser(network)
    assert any(isinstance(layer, nn.InstanceNorm2d) for layer in network.head)


@pytest.mark.parametrize(("height", "width"), [(2000, 3000), (40, 3000), (513, 500), (512, 513)])
def test_sample_regions_have_one_size_and_are_spread_over_the_picture(height: int, width: int) -> None:
    rows, columns = np.mgrid[:height, :width]
    picture = np.stack([rows, columns], 2)
    crops = [picture[region] for region in sample_regions(picture.shape, 8)]
    assert len({crop.shape for crop in crops}) == 1
    assert sum(crop.shape[0] * crop.shape[1] for crop in crops) <= 512 * 512
    assert all((crop[0, 0] % 8 == 0).all() for crop in crops)
    positions = np.concatenate([crop.reshape(-1, 2) for crop in crops])
    assert (positions.min(0) == 0).all()
    assert (positions.max(0) >= np.array([height, width]) - 9).all()
