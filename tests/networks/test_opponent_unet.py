"""Luminance and colour differences apart."""

from __future__ import annotations

from collections.abc import Callable

import torch

from restore.networks.adapt import transfer
from restore.networks.opponent_unet import from_opponent, to_opponent

Make = Callable[..., torch.nn.Module]


def test_the_transform_is_undone_and_keeps_white_noise_white() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 3, 200, 200, generator=generator, dtype=torch.float64)
    colours = to_opponent(noise)
    torch.testing.assert_close(from_opponent(colours), noise)
    covariance = torch.cov(colours.flatten(2)[0])
    torch.testing.assert_close(covariance, torch.eye(3, dtype=torch.float64) / 3, atol=0.01, rtol=0)


def test_a_gray_networks_weights_are_the_luminances(tiny: Make) -> None:
    gray, colour = tiny("unet", 1, seed=0), tiny("opponent_unet", 3, seed=1)
    transfer(gray.state_dict(), colour)
    for parameter in colour.chroma.tail.parameters():
        torch.nn.init.zeros_(parameter)
    picture, noise = torch.rand(1, 1, 16, 16), torch.full((1, 1, 16, 16), 0.1)
    expected = gray(picture, noise / 3**0.5).expand(-1, 3, -1, -1)
    torch.testing.assert_close(colour(picture.expand(-1, 3, -1, -1), noise), expected, rtol=1e-4, atol=1e-5)
