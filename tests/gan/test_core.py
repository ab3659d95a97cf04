"""Players, frozen networks and pools."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from restore.gan.core import GAME, OptimizerConfig, Player, frozen, schedule
from restore.gan.pool import Pool
from restore.runtime import Runtime


def _network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 3))


def _loss(player: Player, seed: int = 0) -> torch.Tensor:
    return player.network(torch.rand(2, 1, 9, 9, generator=torch.Generator().manual_seed(seed))).square().mean()


def test_frozen_gathers_nothing_but_lets_gradients_through(fp32: Runtime) -> None:
    network = _network()
    network[0].bias.requires_grad_(False)
    inputs = torch.rand(1, 1, 9, 9, requires_grad=True)
    with frozen(network):
        network(inputs).sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in network.parameters())
    # what was frozen before stays so
    assert [parameter.requires_grad for parameter in network[0].parameters()] == [True, False]


def test_frozen_thaws_after_an_error() -> None:
    network = _network()
    with pytest.raises(RuntimeError, match="planned"), frozen(network):
        raise RuntimeError("planned")
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_gathering_twice_is_the_sum(fp32: Runtime) -> None:
    first, second = (Player(_network(), OptimizerConfig("adam", 1e-2, warmup_steps=1), fp32) for _ in range(2))
    for player in (first, second):
        player.network.eval()
    first.gather(_loss(first, 0))
    first.gather(_loss(first, 1))
    first.follow()
    second.update(_loss(second, 0) + _loss(second, 1))
    for one, other in zip(first.network.parameters(), second.network.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_clipping_bounds_the_gradient_and_tells_its_length(fp32: Runtime) -> None:
    free, clipped = (Player(_network(), OptimizerConfig("adam", 1e-3, clip=clip), fp32) for clip in (0.0, 1e-3))
    for player in (free, clipped):
        player.update(_loss(player))
    assert float(free.gradient_norm) == pytest.approx(float(clipped.gradient_norm))
    assert float(free.gradient_norm) > 1e-3
    means = [sum(float(s["exp_avg"].square().sum()) for s in p.optimizers[0].state.values()) ** 0.5 for p in (free, clipped)]
    assert means[1] == pytest.approx(0.1 * 1e-3, rel=0.01)
    assert means[0] > means[1]


def test_the_average_takes_buffers_along(fp32: Runtime) -> None:
    player = Player(_network(), GAME, fp32)
    for seed in range(3):
        player.update(_loss(player, seed))
    for name, buffer in player.network.named_buffers():
        assert torch.equal(buffer, dict(player.average.named_buffers())[name])
    assert float(player.average.get_buffer("1.running_mean").abs().max()) > 0
    assert not player.average.training


@pytest.mark.parametrize("config", [GAME, OptimizerConfig()])
def test_the_state_is_all_that_the_next_update_depends_on(fp32: Runtime, config: OptimizerConfig) -> None:
    first, second = Player(_network(0), config, fp32), Player(_network(1), config, fp32)
    first.update(_loss(first))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for player in (first, second):
        player.update(_loss(player, 5))
    for one, other in ((first.network, second.network), (first.average, second.average)):
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key


def test_another_network_s_state_is_refused(fp32: Runtime) -> None:
    player = Player(_network(), GAME, fp32)
    other = Player(nn.Conv2d(1, 1, 3), GAME, fp32)
    with pytest.raises(ValueError, match="began with"):
        player.load_state_dict(other.state_dict())


def test_the_schedule_is_level_and_then_falls() -> None:
    config = OptimizerConfig("adam", 2e-4, warmup_steps=0, decay_start=10, decay_steps=10, floor=0.0)
    rates = [schedule(config, step) for step in range(25)]
    assert rates[:11] == [1.0] * 11
    assert rates[15] == pytest.approx(0.5)
    assert rates[20:] == [0.0] * 5


@pytest.mark.parametrize("settings", [{"beta1": 1.0}, {"ema": -0.1}, {"clip": -1.0}, {"decay_steps": -1}])
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        OptimizerConfig(**settings)  # type: ignore[arg-type]


def test_a_pool_fills_and_then_exchanges_about_half() -> None:
    pool = Pool(10)
    filling = torch.arange(10.0).reshape(10, 1, 1, 1)
    assert torch.equal(pool.exchange(filling), filling)
    given = torch.cat([pool.exchange(torch.full((1, 1, 1, 1), 100.0 + index)) for index in range(400)])
    old = [value != 100.0 + index for index, value in enumerate(given.flatten().tolist())]
    assert 0.4 < sum(old) / 400 < 0.6
    assert len(pool.kept) == 10


def test_a_pool_gives_each_picture_once_at_most_as_an_old_one() -> None:
    pool = Pool(5)
    given = torch.cat([pool.exchange(torch.full((1, 1, 1, 1), float(index))) for index in range(200)]).flatten().tolist()
    assert all(given.count(value) <= 2 for value in given)


def test_no_pool_gives_back_what_comes() -> None:
    pictures = torch.rand(3, 1, 2, 2)
    assert Pool(0).exchange(pictures) is pictures
    with pytest.raises(ValueError, match="-1"):
        Pool(-1)


def test_a_pool_resumes_as_if_it_had_never_stopped() -> None:
    first, second = Pool(4, seed=1), Pool(4, seed=2)
    for index in range(9):
        first.exchange(torch.full((1, 1, 1, 1), float(index)))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for index in range(20):
        made = torch.full((2, 1, 1, 1), 100.0 + index)
        assert torch.equal(first.exchange(made), second.exchange(made))
