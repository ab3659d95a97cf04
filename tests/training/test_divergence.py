"""A training that diverges is noticed while its losses are still finite, and goes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from restore.runtime import Runtime
from restore.training.divergence import EVERY, DivergenceMonitor
from restore.training.optimizers import OptimizerConfig
from restore.training.supervised import SupervisedTrainer


def _follow(monitor: DivergenceMonitor, errors: list[float], start: int = 0) -> list[str]:
    found = []
    for step, error in enumerate(errors, start + 1):
        monitor.update(torch.full((2, 1, 4, 4), error), torch.zeros(2, 1, 4, 4))
        found += [diagnosis.action for diagnosis in monitor.check(step)]
    return found


def test_a_healthy_training_is_left_alone() -> None:
    noise = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    assert (
        _follow(DivergenceMonitor(torch.device("cpu")), [0.3 * 0.99**step + 0.02 + 0.02 * float(noise[step]) for step in range(1000)]) == []
    )


def test_one_bad_batch_is_no_divergence() -> None:
    assert _follow(DivergenceMonitor(torch.device("cpu")), [0.02] * 130 + [0.5] + [0.02] * 100) == []


def test_small_errors_are_no_divergence() -> None:
    assert _follow(DivergenceMonitor(torch.device("cpu")), [0.0001] * 200 + [0.003] * 300) == []


@pytest.mark.parametrize("growth", [1.02, 1.5])
def test_growing_errors_are_found_before_they_are_infinite(growth: float) -> None:
    errors = [0.02] * 300 + [0.02 * growth**step for step in range(300)]
    monitor = DivergenceMonitor(torch.device("cpu"))
    assert _follow(monitor, errors[:450])[0] == "rollback"


def test_its_state_goes_on() -> None:
    whole, first, second = (DivergenceMonitor(torch.device("cpu")) for _ in range(3))
    errors = [0.02 + 0.0001 * step for step in range(170)]
    _follow(whole, errors)
    _follow(first, errors[:77])
    second.load_state_dict(first.state_dict())
    _follow(second, errors[77:], start=77)
    assert (second.updates, second.least) == (whole.updates, whole.least)
    assert torch.equal(second.mean, whole.mean)


def test_the_supervised_trainer_asks_for_a_rollback(tiny: Callable[..., torch.nn.Module], fp32: Runtime) -> None:
    trainer = SupervisedTrainer(tiny(), OptimizerConfig("adam", 1e-4, warmup_steps=0), fp32)
    clean = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    batch = {"target": clean, "input": clean + 0.05, "noise": torch.full((2, 1, 16, 16), 0.1)}
    for step in range(1, 2 * EVERY + 1):
        trainer.step(batch)
        assert not trainer.diagnostics(step)
    with torch.no_grad():
        for parameter in trainer.state.network.parameters():
            parameter.mul_(3)
    found = []
    for step in range(2 * EVERY + 1, 4 * EVERY + 1):
        trainer.step(batch)
        found += trainer.diagnostics(step)
    assert found[0].failure_mode == "diverged"
    assert found[0].action == "rollback"
    assert "half the learning rate" in str(found[0])


def test_a_state_that_just_leapt_passes_no_check() -> None:
    monitor = DivergenceMonitor(torch.device("cpu"))
    _follow(monitor, [0.02] * 100)
    assert monitor.passed == 100
    assert _follow(monitor, [0.02] * 49 + [0.5], 100) == []
    assert monitor.passed == 100
    _follow(monitor, [0.02] * 50, 150)
    assert monitor.passed == 200
