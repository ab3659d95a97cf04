"""The lookup table that a network predicts: monotone whatever the weights, without a resolution, and as small as it should be."""

from __future__ import annotations

import pytest
import torch

from restore import networks
from restore.networks.lookup_table import SEGMENTS, Table
from restore.networks.lut import LutConfig, LutNetwork, curves


def wild(channels: int = 3, seed: int = 0) -> LutNetwork:
    """A network whose weights are far larger than any training makes them."""
    torch.manual_seed(seed)
    network = LutNetwork(LutConfig(), channels=channels)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(20)
    return network.eval()


def ramp(channels: int, start: float = -0.2, end: float = 1.2) -> torch.Tensor:
    return torch.linspace(start, end, 500)[None, None, None].expand(1, channels, 1, -1).clone()


def test_it_is_small() -> None:
    network = networks.build("lut", channels=3)
    assert sum(parameter.numel() for parameter in network.parameters()) <= 100_000


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("channels", [1, 3])
def test_a_brighter_channel_never_becomes_darker(channels: int, seed: int) -> None:
    table = wild(channels, seed).table(torch.rand(1, channels, 40, 50))
    assert table.slopes.std() > 0.1
    others = torch.rand(channels)
    for channel in range(channels):
        picture = others[None, :, None, None].expand(1, channels, 1, 500).clone()
        picture[:, channel] = ramp(1)[:, 0]
        for strength in (0.5, 1.0, 2.0):
            assert table.scaled(strength).apply(picture)[0, channel, 0].diff().min() > 0


def test_strength_zero_is_the_identity() -> None:
    table = wild().table(torch.rand(1, 3, 40, 50))
    torch.testing.assert_close(table.scaled(0.0).apply(ramp(3)), ramp(3), atol=1e-6, rtol=1e-6)
    assert (table.apply(ramp(3)) - ramp(3)).abs().max() > 0.05


def test_a_curve_and_a_shift_are_what_they_say() -> None:
    slopes = torch.ones(1, 3, SEGMENTS)
    slopes[:, 0] = 2
    shift = torch.zeros(1, 3, 3, 3, 3)
    shift[0, 1, :, :, 2] = 0.1  # greener where red is 1
    table = Table(slopes, torch.tensor([[-0.5, 0.25, 0.0]]), shift)
    colours = torch.tensor([[0.25, 0.5, 0.5], [0.75, 0.5, 0.5]]).T[None, :, None]
    expected = torch.tensor([[0.0, 0.75, 0.5], [1.0, 0.85, 0.5]]).T[None, :, None]
    torch.testing.assert_close(table.apply(colours), expected)


def test_the_table_does_not_depend_on_the_resolution() -> None:
    picture, network = torch.rand(1, 3, 64, 64), networks.build("lut", channels=3).eval()
    small, large = (network.table(one) for one in (picture, picture.repeat_interleave(5, 2).repeat_interleave(5, 3)))
    torch.testing.assert_close(small.apply(picture), large.apply(picture), atol=2e-3, rtol=0)


def test_the_change_is_the_tables() -> None:
    network, picture = wild(), torch.rand(2, 3, 33, 47)
    torch.testing.assert_close(picture + network(picture), network.table(picture).apply(picture))


def test_curves_lead_quantiles_to_their_places() -> None:
    values = torch.tensor([[[0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60]]])
    targets = torch.tensor([[[0.05, 0.20, 0.35, 0.50, 0.65, 0.80, 0.95]]])
    slopes, starts = curves(values, targets)
    table = Table(slopes, starts, None)
    torch.testing.assert_close(table.apply(values[:, :, None])[0, 0, 0], targets[0, 0], atol=0.01, rtol=0)
    slopes, starts = curves(values, values)
    torch.testing.assert_close(slopes, torch.ones_like(slopes), atol=1e-4, rtol=0)
    torch.testing.assert_close(starts, torch.zeros_like(starts), atol=1e-5, rtol=0)


@pytest.mark.parametrize("values", [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.0, 1.0, 1.0], [0.2, 0.2, 0.9]])
def test_curves_are_finite_and_rising_where_values_coincide(values: list[float]) -> None:
    slopes, starts = curves(torch.tensor([[values]]), torch.tensor([[[0.1, 0.4, 0.8]]]))
    assert slopes.isfinite().all() and starts.isfinite().all()


def test_other_networks_predict_no_table() -> None:
    with pytest.raises(ValueError, match="predicts no lookup table"):
        networks.build("resnet", channels=3, width=4, blocks=1).table(torch.rand(1, 3, 8, 8))
