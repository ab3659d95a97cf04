"""The supervised trainer."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from restore.gan import opponent as opponents
from restore.gan.core import OptimizerConfig, schedule
from restore.gan.losses import PIXEL_LOSSES
from restore.gan.opponent import OpponentConfig
from restore.gan.paired import LossConfig, PairedTrainer
from restore.runtime import Runtime

Make = Callable[..., torch.nn.Module]
PLAIN = OptimizerConfig("adam", 1e-3, warmup_steps=0)


def _batch(channels: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(2, channels, 16, 16, generator=generator)
    damaged = clean + 0.1 * torch.randn(clean.shape, generator=generator)
    return {"clean": clean, "damaged": damaged, "noise": torch.full((2, 1, 16, 16), 0.1)}


@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_two_steps_change_every_weight(tiny: Make, fp32: Runtime, optimizer: str) -> None:
    network = tiny()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    trainer = PairedTrainer(network, OptimizerConfig(optimizer, 1e-3), fp32)  # type: ignore[arg-type]
    for _ in range(2):
        assert trainer.step(_batch())["pixel"].isfinite()
    for moved in (trainer.generator.network, trainer.networks()["restorer"]):
        for key, value in moved.state_dict().items():
            assert not torch.equal(value, before[key]), key


@pytest.mark.parametrize("loss", sorted(PIXEL_LOSSES))
def test_every_pixel_loss_falls(tiny: Make, fp32: Runtime, loss: str) -> None:
    trainer = PairedTrainer(tiny(), OptimizerConfig("adam", 2e-3, warmup_steps=1), fp32, losses=LossConfig(loss))
    losses = [float(trainer.step(_batch())["pixel"]) for _ in range(20)]
    assert losses[-1] < losses[0]


def test_the_weight_multiplies_the_loss(tiny: Make, fp32: Runtime) -> None:
    first, second = (
        float(PairedTrainer(tiny(), OptimizerConfig(), fp32, losses=LossConfig(pixel_weight=weight)).step(_batch())["pixel"])
        for weight in (1.0, 3.0)
    )
    assert second == pytest.approx(3 * first, rel=1e-5)


def test_pixel_losses_by_hand() -> None:
    prediction, clean = torch.full((1, 1, 2, 2), 0.75), torch.full((1, 1, 2, 2), 0.5)
    values = {name: float(loss(prediction, clean)) for name, loss in PIXEL_LOSSES.items() if name != "ms_ssim"}
    expected = {"l1": 0.25, "l2": 0.0625, "charbonnier": 0.250002, "psnr": -1.38621}
    assert values == pytest.approx(expected, rel=1e-5)


def test_ms_ssim_grows_with_the_damage() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(2, 3, 48, 64, generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    values = [float(PIXEL_LOSSES["ms_ssim"](clean + level * noise, clean)) for level in (0.0, 0.1, 0.3, 1.0)]
    assert values[0] == pytest.approx(0, abs=1e-5)
    assert values == sorted(values)
    assert values[-1] > 0.5
    with pytest.raises(ValueError, match="11 x 11"):
        PIXEL_LOSSES["ms_ssim"](clean[..., :8], clean[..., :8])


@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_the_state_is_all_that_the_next_step_depends_on(tiny: Make, fp32: Runtime, optimizer: str) -> None:
    config = OptimizerConfig(optimizer, 1e-3)  # type: ignore[arg-type]
    first, second = (PairedTrainer(tiny(seed=seed), config, fp32) for seed in (0, 1))
    for _ in range(2):
        first.step(_batch())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for trainer in (first, second):
        trainer.step(_batch())
    for name in ("network", "average"):
        for key, value in first.state_dict()["generator"][name].items():
            assert torch.equal(value, second.state_dict()["generator"][name][key]), (name, key)


def test_half_precision_adds_the_correction_in_float32(tiny: Make) -> None:
    trainer = PairedTrainer(tiny(), OptimizerConfig(), Runtime(torch.device("cpu"), torch.bfloat16))
    prediction = trainer.preview(_batch())["prediction"]
    assert prediction.dtype == torch.float32
    residual = prediction - _batch()["damaged"]
    assert residual.abs().max() > 0
    assert trainer.step(_batch())["pixel"].isfinite()


def test_the_average_lags_behind(tiny: Make, fp32: Runtime) -> None:
    trainer = PairedTrainer(tiny(), OptimizerConfig("adam", 1e-2, ema=0.5, warmup_steps=1), fp32)
    before = {key: value.clone() for key, value in trainer.generator.average.state_dict().items()}
    trainer.step(_batch())
    decay = min(0.5, 2 / 11)
    for key, value in trainer.generator.average.state_dict().items():
        expected = decay * before[key] + (1 - decay) * trainer.generator.network.state_dict()[key]
        torch.testing.assert_close(value, expected)


def test_the_schedule_rises_and_falls() -> None:
    config = OptimizerConfig(warmup_steps=10, decay_steps=100, floor=0.1)
    rates = [schedule(config, step) for step in range(120)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9]
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[100] == rates[-1] == pytest.approx(0.1)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_rate_is_refused(tiny: Make, fp32: Runtime, rate: float) -> None:
    with pytest.raises(ValueError, match="learning_rate"):
        PairedTrainer(tiny(), OptimizerConfig("adam", rate), fp32)


def test_an_unknown_loss_is_refused(tiny: Make, fp32: Runtime) -> None:
    with pytest.raises(ValueError, match=r"no-such.*l1"):
        PairedTrainer(tiny(), OptimizerConfig(), fp32, losses=LossConfig("no-such"))


@pytest.mark.parametrize("conditional", [False, True])
def test_a_batch_in_parts_gives_the_gradients_of_the_whole(tiny: Make, fp32: Runtime, conditional: bool) -> None:
    after = []
    for parts in (1, 2):
        torch.manual_seed(0)
        opponent = opponents.build(2 if conditional else 1, OpponentConfig(width=4, optimizer=PLAIN), fp32)
        trainer = PairedTrainer(
            tiny(), PLAIN, fp32, losses=LossConfig(adversarial_weight=0.1), opponent=opponent, conditional=conditional, parts=parts
        )
        generator = torch.Generator().manual_seed(1)
        batch = {name: torch.rand(4, 1, 32, 32, generator=generator) for name in ("damaged", "clean", "noise")}
        told = trainer.step(batch)
        after.append([told["discriminator"], trainer.generator.gradient_norm, opponent.player.gradient_norm])
    assert [float(x) for x in after[1]] == pytest.approx([float(x) for x in after[0]], rel=1e-4)


def test_a_batch_that_has_no_equal_parts_is_refused(tiny: Make, fp32: Runtime) -> None:
    trainer = PairedTrainer(tiny(), PLAIN, fp32, parts=2)
    with pytest.raises(ValueError, match=r"loop\.accumulate"):
        trainer.step({name: torch.rand(3, 1, 32, 32) for name in ("damaged", "clean", "noise")})
