"""Steps that a GPU replays: the same training as without. Without a GPU, nothing is captured."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping

import pytest
import torch
from torch import Tensor, nn

from restore.gan import build
from restore.gan.discriminator_trainer import GAN_ADAM, DiscriminatorConfig, DiscriminatorTrainer
from restore.gan.paired import LossConfig, PairedAdversarialTrainer
from restore.gan.unpaired import CycleGANTrainer, CycleLossConfig, TranslationDirection
from restore.networks.pix2pix_unet import Pix2PixUNet, Pix2PixUNetConfig
from restore.networks.resnet import ResnetConfig, ResnetGenerator
from restore.runtime import Runtime
from restore.training.cuda_graph import WARMUP_STEPS, CUDAGraphStep
from restore.training.optimizers import OptimizerConfig
from restore.training.train_state import TrainState
from restore.training.trainer import StepOutput

STEPS = WARMUP_STEPS + 6
Trainer = CycleGANTrainer | PairedAdversarialTrainer


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    """The same convolutions with and without a graph, which two searches for the fastest need not find."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = (
        True,
        False,
        False,
    )
    yield
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = before


def _cycle(runtime: Runtime) -> CycleGANTrainer:
    torch.manual_seed(0)
    translators = []
    for index in range(2):
        discriminator = build.discriminator_trainer(3, DiscriminatorConfig(width=8), runtime)
        translators.append(
            TranslationDirection(
                ResnetGenerator(ResnetConfig(width=8, blocks=2)), discriminator, GAN_ADAM, runtime, buffer_size=2, seed=index
            )
        )
    return CycleGANTrainer(translators[0], translators[1], CycleLossConfig(image_buffer=2), runtime)


def _paired(runtime: Runtime) -> PairedAdversarialTrainer:
    """With all numbers that change per step: warm-up, young averages, clipping, Muon, batch statistics, two discriminator steps."""
    torch.manual_seed(0)
    generator = Pix2PixUNet(Pix2PixUNetConfig(width=8, levels=4, norm="batch", dropout=0.5))
    discriminator = build.discriminator_trainer(6, DiscriminatorConfig(width=8, objective="relativistic", spectral=True, steps=2), runtime)
    optimizer = OptimizerConfig("muon", 0.01, warmup_steps=20, clip=1.0)
    losses = LossConfig("charbonnier", adversarial_weight=0.1, feature_matching_weight=0.1)
    return PairedAdversarialTrainer(generator, discriminator, optimizer, runtime, losses=losses, conditional=True)


def _batch(seed: int, device: str = "cuda") -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(2, 3, 64, 64, generator=generator).to(device) for name in ("input", "target")}


def _assert_close(value: Tensor, expected: Tensor, what: str, **tolerances: float) -> None:
    torch.testing.assert_close(value, expected, msg=lambda text: f"{what}: {text}", **tolerances)


def _gpu(*, replay: bool) -> Runtime:
    return Runtime(torch.device("cuda"), torch.float32, replay=replay)


def _weights(trainer: Trainer, *, averaged: bool = False) -> dict[str, Tensor]:
    networks = {name: state.average if averaged else state.network for name, state in trainer.train_states().items()}
    return {f"{name} {key}": value for name, network in networks.items() for key, value in network.state_dict().items()}


def test_without_a_gpu_a_step_runs_eagerly(fp32: Runtime) -> None:
    seen: list[tuple[float, int]] = []

    def function(inputs: Mapping[str, Tensor], micro_batches: int) -> StepOutput:
        seen.append((float(inputs["x"]), micro_batches))
        return StepOutput({"y": inputs["x"] + 1})

    graph_step = CUDAGraphStep(function, [], fp32)
    assert [float(graph_step({"x": torch.tensor(float(step))}, 3).losses["y"]) for step in range(STEPS)] == [
        step + 1 for step in range(STEPS)
    ]
    assert seen == [(float(step), 3) for step in range(STEPS)]


@pytest.mark.parametrize(
    "settings",
    [
        {"augment": 0.5}, {"adaptive": 0.6}, {"label_noise": 0.1}, {"r1": 1.0}, {"gradient_penalty": 10.0}, {"mask_loss": True},
    ],
)  # fmt: skip
def test_what_is_drawn_or_chosen_on_the_cpu_is_not_captured(fp32: Runtime, settings: dict[str, object]) -> None:
    plain = DiscriminatorTrainer(nn.Conv2d(3, 1, 4), DiscriminatorConfig(), fp32)
    assert plain.generator_is_capturable and plain.is_capturable and plain._graphed_update.capturable()
    other = DiscriminatorTrainer(nn.Conv2d(3, 1, 4), DiscriminatorConfig(**settings), fp32)  # type: ignore[arg-type]
    assert not other.is_capturable and not other._graphed_update.capturable()
    # what only its own step needs does not affect the generator's
    assert other.generator_is_capturable == bool({"label_noise", "r1", "gradient_penalty"} & settings.keys())


def test_a_state_that_augments_is_not_captured(fp32: Runtime) -> None:
    plain, augmenting = (DiscriminatorTrainer(nn.Conv2d(3, 1, 4), DiscriminatorConfig(augment=augment), fp32) for augment in (0.0, 0.5))
    assert not augmenting._graphed_update.capturable()
    plain.load_state_dict(copy.deepcopy(augmenting.state_dict()))
    assert plain._graphed_update.capturable()  # what it was set to holds
    plain.augmentation.probability = 0.5
    assert not plain._graphed_update.capturable()


@pytest.mark.gpu
@pytest.mark.parametrize("make", [_cycle, _paired])
def test_a_replay_follows_the_rates_and_the_average(make: Callable[[Runtime], Trainer]) -> None:
    trainer = make(_gpu(replay=True))
    for step in range(STEPS):
        before = {key: value.clone() for key, value in _weights(trainer, averaged=True).items()}
        trainer.step(_batch(step))
        for name, state in trainer.train_states().items():
            decay = min(state.config.ema, (1 + state.steps) / (10 + state.steps))
            updates = state.steps // (step + 1)
            for key, value in state.network.named_parameters():
                if updates == 1:
                    expected = decay * before[f"{name} {key}"] + (1 - decay) * value.detach()
                    torch.testing.assert_close(state.average.state_dict()[key], expected, rtol=1e-4, atol=1e-6)
    for state in trainer.train_states().values():
        state.lr_scale = 0.0
    before = {key: value.clone() for key, value in _weights(trainer).items()}
    trainer.step(_batch(STEPS))
    parameters = {f"{name} {key}" for name, state in trainer.train_states().items() for key, _ in state.network.named_parameters()}
    assert all(torch.equal(value, before[key]) for key, value in _weights(trainer).items() if key in parameters)


@pytest.mark.gpu
@pytest.mark.parametrize("make", [_cycle, _paired])
def test_a_replayed_training_is_the_same_training(make: Callable[[Runtime], Trainer]) -> None:
    plain, replayed = (make(_gpu(replay=replay)) for replay in (False, True))
    for step in range(STEPS):
        expected, losses = plain.step(_batch(step)).losses, replayed.step(_batch(step)).losses
        assert expected.keys() == losses.keys()
        for name, value in expected.items():
            _assert_close(losses[name], value, f"{name} at step {step}", rtol=0.03, atol=1e-4)
        for name, state in plain.train_states().items():
            other = replayed.train_states()[name]
            assert other.steps == state.steps
            torch.testing.assert_close(other.gradient_norm, state.gradient_norm, rtol=0.15, atol=1e-5)
    assert replayed._graphed_update._graphs
    for averaged in (False, True):
        for name, value in _weights(plain, averaged=averaged).items():
            _assert_close(_weights(replayed, averaged=averaged)[name], value, f"{name}, averaged {averaged}", rtol=0.02, atol=0.01)


@pytest.mark.gpu
@pytest.mark.parametrize("make", [_cycle, _paired])
def test_a_replayed_training_goes_on_from_its_state(make: Callable[[Runtime], Trainer]) -> None:
    straight, resumed, plain = make(_gpu(replay=True)), make(_gpu(replay=True)), make(_gpu(replay=False))
    for step in range(STEPS):
        straight.step(_batch(step))
        resumed.step(_batch(99))  # captures graphs on memory that the state will not use
    state = copy.deepcopy(straight.state_dict())
    for trainer in (resumed, plain):  # with and without graphs, states are interchangeable
        trainer.load_state_dict(copy.deepcopy(state))
    for step in range(STEPS, 2 * STEPS):
        expected = straight.step(_batch(step)).losses
        for trainer in (resumed, plain):
            for name, value in trainer.step(_batch(step)).losses.items():
                _assert_close(value, expected[name], f"{name} at step {step}", rtol=0.05, atol=1e-3)
    straight.load_state_dict(copy.deepcopy(plain.state_dict()))  # and the other way about
    assert all(value.isfinite() for value in straight.step(_batch(0)).losses.values())


@pytest.mark.gpu
def test_losses_stay_what_they_were() -> None:
    trainer = _cycle(_gpu(replay=True))
    losses = [trainer.step(_batch(step)).losses["forward cycle"] for step in range(STEPS)]
    assert len({float(loss) for loss in losses}) == STEPS


@pytest.mark.gpu
def test_what_cannot_be_captured_runs_eagerly(caplog: pytest.LogCaptureFixture) -> None:
    state = TrainState(nn.Sequential(nn.Dropout(0.01), nn.Linear(4, 1)), OptimizerConfig("adam", 1e-2), _gpu(replay=True))

    def function(inputs: Mapping[str, Tensor], micro_batches: int) -> StepOutput:
        loss = state.network(inputs["x"]).square().mean()
        state.update(loss * float(loss.detach() > -1))  # asks the GPU for a number
        return StepOutput({"loss": loss.detach()})

    graph_step = CUDAGraphStep(function, [state], _gpu(replay=True))
    with caplog.at_level(logging.WARNING):
        losses = [float(graph_step({"x": torch.ones(2, 4, device="cuda")}).losses["loss"]) for _ in range(STEPS)]
    assert "without CUDA graphs" in caplog.text
    assert state.steps == STEPS
    assert losses[-1] < losses[0]


@pytest.mark.gpu
def test_half_precision_is_replayed_too() -> None:
    trainer = _cycle(Runtime(torch.device("cuda"), torch.bfloat16, replay=True))
    losses = [trainer.step(_batch(0)).losses for _ in range(30)]
    assert trainer._graphed_update._graphs
    assert all(value.isfinite() for terms in losses for value in terms.values())
    assert losses[-1]["forward cycle"] < losses[0]["forward cycle"]
