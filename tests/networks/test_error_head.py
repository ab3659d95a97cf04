"""The error head: its size, its units, its gradients."""

from __future__ import annotations

import pytest
import torch

from restore import networks


def test_it_is_small() -> None:
    assert sum(parameter.numel() for parameter in networks.build("error_head", channels=1).parameters()) < 50_000


@pytest.mark.parametrize("channels", [1, 3])
def test_every_parameter_gets_a_gradient(channels: int) -> None:
    torch.manual_seed(0)
    network = networks.build("error_head", channels=channels, width=8)
    errors = network(torch.rand(2, channels, 16, 24), 0.1 * torch.randn(2, channels, 16, 24), torch.full((2, 1, 4, 6), 0.1))
    assert errors.expected.shape == errors.bound.shape == (2, 16, 24)
    (errors.expected.sum() + errors.bound.sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_its_reach_is_what_its_spec_says() -> None:
    torch.manual_seed(0)
    network = networks.build("error_head", channels=1, width=8)
    residual = 0.1 * torch.randn(1, 1, 96, 96)
    one = network(torch.full((1, 1, 96, 96), 0.5), residual, torch.full((1, 1, 24, 24), 0.1)).expected
    residual[..., 48, 48] += 1
    two = network(torch.full((1, 1, 96, 96), 0.5), residual, torch.full((1, 1, 24, 24), 0.1)).expected
    changed = (one != two)[0].nonzero()
    assert 0 < (changed - 48).abs().max() <= network.spec.overlap
