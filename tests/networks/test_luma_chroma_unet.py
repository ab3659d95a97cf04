"""Luminance and colour differences apart."""

from __future__ import annotations

from collections.abc import Callable

import torch

from restore.networks.luma_chroma_unet import RGB_TO_CHROMA_LUMA
from restore.networks.weight_transfer import transfer

Make = Callable[..., torch.nn.Module]


def test_the_transform_is_undone_and_keeps_white_noise_white(tiny: Make) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3, 40_000, generator=generator, dtype=torch.float64)
    covariance = torch.cov(torch.tensor(RGB_TO_CHROMA_LUMA, dtype=torch.float64) @ noise)
    torch.testing.assert_close(covariance, torch.eye(3, dtype=torch.float64) / 3, atol=0.01, rtol=0)
    network = tiny("luma_chroma_unet", 3)
    both = network.to_rgb[..., 0, 0] @ network.to_chroma_luma[:3, :3, 0, 0]
    torch.testing.assert_close(both, torch.eye(3))
    assert not {"to_chroma_luma", "to_rgb"} & network.state_dict().keys()


def test_it_is_the_sum_of_both_corrections_of_luminance_and_chroma(tiny: Make) -> None:
    network, picture, noise = tiny("luma_chroma_unet", 3), torch.rand(2, 3, 16, 24), torch.full((2, 1, 16, 24), 0.1)
    across, green, light = torch.einsum("oc,bchw->obhw", torch.tensor(RGB_TO_CHROMA_LUMA), picture)
    quiet = noise / 3**0.5
    first = network.luminance(light[:, None], quiet)
    second = network.chroma(torch.stack([light + first[:, 0], across, green], 1), quiet)
    wanted = torch.stack([second[:, 1], second[:, 2], (first + second[:, :1])[:, 0]], 1)
    expected = torch.einsum("oc,bchw->bohw", torch.linalg.inv(torch.tensor(RGB_TO_CHROMA_LUMA)), wanted)
    torch.testing.assert_close(network(picture, noise), expected, rtol=1e-4, atol=1e-5)


def test_a_gray_networks_weights_are_the_luminances(tiny: Make) -> None:
    gray, colour = tiny("unet", 1, seed=0), tiny("luma_chroma_unet", 3, seed=1)
    transfer(gray.state_dict(), colour)
    for parameter in colour.chroma.tail.parameters():
        torch.nn.init.zeros_(parameter)
    picture, noise = torch.rand(1, 1, 16, 16), torch.full((1, 1, 16, 16), 0.1)
    expected = gray(picture, noise / 3**0.5).expand(-1, 3, -1, -1)
    torch.testing.assert_close(colour(picture.expand(-1, 3, -1, -1), noise), expected, rtol=1e-4, atol=1e-5)
