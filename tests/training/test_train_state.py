"""Train states, frozen networks and the schedule."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from restore.gan.discriminator_trainer import GAN_ADAM
from restore.runtime import Runtime
from restore.training.optimizers import OptimizerConfig, schedule
from restore.training.train_state import TrainState, frozen


def _network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 3))


def _deep() -> nn.Module:
    """With a hidden layer, which Muon takes."""
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 1, 3))


def _loss(state: TrainState, seed: int = 0) -> torch.Tensor:
    return state.network(torch.rand(2, 1, 9, 9, generator=torch.Generator().manual_seed(seed))).square().mean()


def test_frozen_accumulates_nothing_but_lets_gradients_through(fp32: Runtime) -> None:
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


def test_accumulating_twice_is_the_sum(fp32: Runtime) -> None:
    first, second = (TrainState(_network(), OptimizerConfig("adam", 1e-2, warmup_steps=1), fp32) for _ in range(2))
    for state in (first, second):
        state.network.eval()
    first.accumulate(_loss(first, 0))
    first.accumulate(_loss(first, 1))
    first.optimizer_step()
    second.update(_loss(second, 0) + _loss(second, 1))
    for one, other in zip(first.network.parameters(), second.network.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_clipping_bounds_the_gradient_and_reports_its_norm(fp32: Runtime) -> None:
    free, clipped = (TrainState(_network(), OptimizerConfig("adam", 1e-3, clip=clip), fp32) for clip in (0.0, 1e-3))
    for state in (free, clipped):
        state.update(_loss(state))
    assert float(free.gradient_norm) == pytest.approx(float(clipped.gradient_norm))
    assert float(free.gradient_norm) > 1e-3
    means = [sum(float(s["exp_avg"].square().sum()) for s in p.optimizers[0].state.values()) ** 0.5 for p in (free, clipped)]
    assert means[1] == pytest.approx(0.1 * 1e-3, rel=0.01)
    assert means[0] > means[1]


def test_the_average_takes_buffers_along(fp32: Runtime) -> None:
    state = TrainState(_network(), GAN_ADAM, fp32)
    for seed in range(3):
        state.update(_loss(state, seed))
    for name, buffer in state.network.named_buffers():
        assert torch.equal(buffer, dict(state.average.named_buffers())[name])
    assert float(state.average.get_buffer("1.running_mean").abs().max()) > 0
    assert not state.average.training


@pytest.mark.parametrize("config", [GAN_ADAM, OptimizerConfig()])
def test_the_state_is_all_that_the_next_update_depends_on(fp32: Runtime, config: OptimizerConfig) -> None:
    first, second = TrainState(_network(0), config, fp32), TrainState(_network(1), config, fp32)
    first.update(_loss(first))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for state in (first, second):
        state.update(_loss(state, 5))
    for one, other in ((first.network, second.network), (first.average, second.average)):
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key


CHANGED = [{"learning_rate": 1e-5}, {"beta1": 0.3}, {"beta2": 0.5}, {"beta2_start": 0.2}, {"decay_steps": 2}, {"warmup_steps": 40}]


@pytest.mark.parametrize("base", [GAN_ADAM, OptimizerConfig(), OptimizerConfig("adam", beta2_start=0.5)], ids=["gan", "muon", "rising"])
@pytest.mark.parametrize("changes", [*CHANGED, {"adam_rate": 1e-5}, {"beta2_start": 0.0}], ids=str)
def test_a_changed_setting_holds_from_the_next_update_on(fp32: Runtime, base: OptimizerConfig, changes: dict[str, float]) -> None:
    """It does what a state does whose groups are set by hand; moments and steps stay."""
    config = replace(base, **changes)  # type: ignore[arg-type]
    first, resumed, fresh = (TrainState(_deep(), settings, fp32) for settings in (base, config, config))
    assert len(first.optimizers) == (2 if base.name == "muon" else 1)
    for seed in range(3):
        first.update(_loss(first, seed))
    saved = copy.deepcopy(first.state_dict())
    resumed.load_state_dict(saved)
    for mine, theirs in zip(resumed.optimizers, fresh.optimizers, strict=True):
        for group, expected in zip(mine.param_groups, theirs.param_groups, strict=True):
            assert {key: value for key, value in group.items() if key != "params"} == {
                key: value for key, value in expected.items() if key != "params"
            }
        assert all(len(moments) > 0 for moments in mine.state.values())
    resumed.update(_loss(resumed, 5))
    fresh.steps = 3
    fresh.update_schedule()
    for mine, theirs in zip(resumed.optimizers, fresh.optimizers, strict=True):
        assert [(group["lr"], group.get("betas")) for group in mine.param_groups] == [
            (group["lr"], group.get("betas")) for group in theirs.param_groups
        ]


def test_a_rate_that_was_halved_stays_halved_under_another_setting(fp32: Runtime) -> None:
    first = TrainState(_network(), GAN_ADAM, fp32)
    first.scale_learning_rate()
    first.update(_loss(first))
    resumed = TrainState(_network(), replace(GAN_ADAM, learning_rate=1e-4), fp32)
    resumed.load_state_dict(copy.deepcopy(first.state_dict()))
    resumed.update(_loss(resumed))
    assert resumed.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.5e-4)


def test_another_network_s_state_is_refused(fp32: Runtime) -> None:
    state = TrainState(_network(), GAN_ADAM, fp32)
    other = TrainState(nn.Conv2d(1, 1, 3), GAN_ADAM, fp32)
    with pytest.raises(ValueError, match="began with"):
        state.load_state_dict(other.state_dict())


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


def test_the_learning_rate_is_halved_four_times_at_most(fp32: Runtime) -> None:
    state = TrainState(_network(), GAN_ADAM, fp32)
    for _ in range(4):
        state.scale_learning_rate()
    state.update(_loss(state))
    assert state.lr_scale == 1 / 16
    assert state.optimizers[0].param_groups[0]["lr"] == pytest.approx(GAN_ADAM.learning_rate / 16)
    with pytest.raises(ValueError, match="halved"):
        state.scale_learning_rate()
