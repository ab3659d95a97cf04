"""The supervised trainer."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from kornia.color import rgb_to_lab
from torch import Tensor

from restore.runtime import Runtime
from restore.training.losses import PIXEL_LOSSES, ReconstructionLoss
from restore.training.optimizers import OptimizerConfig, schedule
from restore.training.supervised import SupervisedTrainer

Make = Callable[..., torch.nn.Module]
PLAIN = OptimizerConfig("adam", 1e-3, warmup_steps=0)


def _batch(channels: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(2, channels, 16, 16, generator=generator)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=generator)
    return {"target": clean, "input": noisy, "noise": torch.full((2, 1, 16, 16), 0.1)}


@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_two_steps_change_every_weight(tiny: Make, fp32: Runtime, optimizer: str) -> None:
    network = tiny()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    trainer = SupervisedTrainer(network, OptimizerConfig(optimizer, 1e-3), fp32)  # type: ignore[arg-type]
    for _ in range(2):
        assert trainer.step(_batch()).losses["pixel"].isfinite()
    for changed in (trainer.state.network, trainer.networks()["restorer"]):
        for key, value in changed.state_dict().items():
            assert not torch.equal(value, before[key]), key


@pytest.mark.parametrize("loss", sorted(PIXEL_LOSSES))
def test_every_pixel_loss_falls(tiny: Make, fp32: Runtime, loss: str) -> None:
    channels = 3 if loss == "chroma" else 1
    network = tiny(channels=channels)
    trainer = SupervisedTrainer(network, OptimizerConfig("adam", 2e-3, warmup_steps=1), fp32, loss=ReconstructionLoss(fp32, loss))
    losses = [float(trainer.step(_batch(channels)).losses["pixel"]) for _ in range(20)]
    assert losses[-1] < losses[0]


def test_the_weight_multiplies_the_loss(tiny: Make, fp32: Runtime) -> None:
    first, second = (
        float(
            SupervisedTrainer(tiny(), OptimizerConfig(), fp32, loss=ReconstructionLoss(fp32, pixel_weight=weight))
            .step(_batch())
            .losses["pixel"]
        )
        for weight in (1.0, 3.0)
    )
    assert second == pytest.approx(3 * first, rel=1e-5)


def test_pixel_losses_by_hand() -> None:
    prediction, clean = torch.full((1, 1, 2, 2), 0.75), torch.full((1, 1, 2, 2), 0.5)
    values = {name: float(loss(prediction, clean)) for name, loss in PIXEL_LOSSES.items() if name not in ("ms_ssim", "chroma")}
    expected = {"l1": 0.25, "l2": 0.0625, "charbonnier": 0.250002, "psnr": -1.38621}
    assert values == pytest.approx(expected, rel=1e-5)


def test_the_chroma_loss_sees_colours_alone_and_saturated_ones_more() -> None:
    gray, red = torch.full((1, 3, 2, 2), 0.5), torch.full((1, 3, 2, 2), 0.5)
    red[:, 0] = 0.9
    chroma = PIXEL_LOSSES["chroma"]
    assert float(chroma(0.5 * gray, gray)) == pytest.approx(0, abs=0.01)  # brightness does not count
    lab = rgb_to_lab(red)[:, 1:]
    assert float(chroma(gray, red)) == pytest.approx(float(lab.square().sum(1).sqrt().mean()) / 100, rel=0.02)
    half = torch.cat([gray, red], 3)
    missed_red, missed_gray = (float(chroma(one, half)) for one in (torch.cat([gray, gray], 3), torch.cat([red, red], 3)))
    assert missed_red > 1.5 * missed_gray
    with pytest.raises(ValueError, match="needs colour"):
        chroma(gray[:, :1], gray[:, :1])


def test_ms_ssim_grows_with_the_noise() -> None:
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
    first, second = (SupervisedTrainer(tiny(seed=seed), config, fp32) for seed in (0, 1))
    for _ in range(2):
        first.step(_batch())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for trainer in (first, second):
        trainer.step(_batch())
    for name in ("network", "average"):
        for key, value in first.state_dict()["generator"][name].items():
            assert torch.equal(value, second.state_dict()["generator"][name][key]), (name, key)


def test_half_precision_adds_the_correction_in_float32(tiny: Make) -> None:
    trainer = SupervisedTrainer(tiny(), OptimizerConfig(), Runtime(torch.device("cpu"), torch.bfloat16))
    prediction = trainer.preview(_batch())["prediction"]
    assert prediction.dtype == torch.float32
    residual = prediction - _batch()["input"]
    assert residual.abs().max() > 0
    assert trainer.step(_batch()).losses["pixel"].isfinite()


def test_the_average_lags_behind(tiny: Make, fp32: Runtime) -> None:
    trainer = SupervisedTrainer(tiny(), OptimizerConfig("adam", 1e-2, ema=0.5, warmup_steps=1), fp32)
    before = {key: value.clone() for key, value in trainer.state.average.state_dict().items()}
    trainer.step(_batch())
    decay = min(0.5, 2 / 11)
    for key, value in trainer.state.average.state_dict().items():
        expected = decay * before[key] + (1 - decay) * trainer.state.network.state_dict()[key]
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
        SupervisedTrainer(tiny(), OptimizerConfig("adam", rate), fp32)


def test_an_unknown_loss_is_refused(tiny: Make, fp32: Runtime) -> None:
    with pytest.raises(ValueError, match=r"no-such.*l1"):
        SupervisedTrainer(tiny(), OptimizerConfig(), fp32, loss=ReconstructionLoss(fp32, "no-such"))


def test_a_batch_that_cannot_be_split_equally_is_refused(tiny: Make, fp32: Runtime) -> None:
    trainer = SupervisedTrainer(tiny(), PLAIN, fp32, micro_batches=2)
    with pytest.raises(ValueError, match=r"loop\.accumulate"):
        trainer.step({name: torch.rand(3, 1, 32, 32) for name in ("input", "target", "noise")})


def test_it_has_no_failure_modes_to_report_and_halves_its_rate(tiny: Make, fp32: Runtime) -> None:
    trainer = SupervisedTrainer(tiny(), PLAIN, fp32)
    trainer.step(_batch())
    assert not trainer.diagnostics(1)
    trainer.scale_learning_rate()
    assert trainer.train_states()["generator"].lr_scale == 0.5


def test_the_output_of_a_step_is_the_prediction_before_the_update(tiny: Make, fp32: Runtime) -> None:
    trainer = SupervisedTrainer(tiny(), PLAIN, fp32)
    expected = trainer.preview(_batch())["prediction"]  # the average equals the network before the first step
    torch.testing.assert_close(trainer.step(_batch()).images["output"], expected)
