"""Rounds that a GPU replays: the same training as without. Without a GPU there is nothing to record, and rounds run as they are."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping

import pytest
import torch
from restore.gan.core import GAME, OptimizerConfig, Player
from restore.gan.opponent import OpponentConfig
from restore.gan.replayed import REHEARSALS, Replayed
from torch import Tensor, nn

from restore.gan import opponent as opponents
from restore.gan.paired import LossConfig, PairedTrainer
from restore.gan.unpaired import CycleConfig, CycleTrainer, Direction
from restore.networks.pix2pix_unet import Pix2PixUNet, Pix2PixUNetConfig
from restore.networks.resnet import ResnetConfig, ResnetGenerator
from restore.runtime import Runtime

STEPS = REHEARSALS + 6
Trainer = CycleTrainer | PairedTrainer


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    """The same convolutions with and without a recording, which two searches for the fastest need not find."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = True, False, False
    yield
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = before


def _cycle(runtime: Runtime) -> CycleTrainer:
    torch.manual_seed(0)
    ways = []
    for index in range(2):
        opponent = opponents.build(3, OpponentConfig(width=8), runtime)
        ways.append(Direction(ResnetGenerator(ResnetConfig(width=8, blocks=2)), opponent, GAME, runtime, pool=2, seed=index))
    return CycleTrainer(ways[0], ways[1], CycleConfig(pool=2), runtime)


def _paired(runtime: Runtime) -> PairedTrainer:
    """With everything whose numbers change from step to step: warm-up, young averages, clipping, Muon, batch statistics, two lessons."""
    torch.manual_seed(0)
    generator = Pix2PixUNet(Pix2PixUNetConfig(width=8, levels=4, norm="batch", dropout=0.5))
    opponent = opponents.build(6, OpponentConfig(width=8, objective="relativistic", spectral=True, steps=2), runtime)
    optimizer = OptimizerConfig("muon", 0.01, warmup_steps=20, clip=1.0)
    losses = LossConfig("charbonnier", adversarial_weight=0.1, matching_weight=0.1)
    return PairedTrainer(generator, optimizer, runtime, losses=losses, opponent=opponent, conditional=True, names=("source", "target"))


def _batch(seed: int, device: str = "cuda") -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(2, 3, 64, 64, generator=generator).to(device) for name in ("source", "target")}


def _assert_close(value: Tensor, expected: Tensor, what: str, **tolerances: float) -> None:
    torch.testing.assert_close(value, expected, msg=lambda text: f"{what}: {text}", **tolerances)


def _gpu(*, replay: bool) -> Runtime:
    return Runtime(torch.device("cuda"), torch.float32, replay=replay)


def _weights(trainer: Trainer, which: str = "network") -> dict[str, Tensor]:
    return {
        f"{name} {key}": value for name, player in trainer.players().items() for key, value in getattr(player, which).state_dict().items()
    }


def test_without_a_recording_a_round_runs_as_it_is(fp32: Runtime) -> None:
    seen: list[tuple[float, int]] = []

    def function(inputs: Mapping[str, Tensor], parts: int) -> dict[str, Tensor]:
        seen.append((float(inputs["x"]), parts))
        return {"y": inputs["x"] + 1}

    rounds = Replayed(function, [], fp32)
    assert [float(rounds({"x": torch.tensor(float(step))}, 3)["y"]) for step in range(STEPS)] == [step + 1 for step in range(STEPS)]
    assert seen == [(float(step), 3) for step in range(STEPS)]


@pytest.mark.parametrize(
    "settings",
    [
        {"augment": 0.5}, {"adaptive": 0.6}, {"label_noise": 0.1}, {"r1": 1.0}, {"gradient_penalty": 10.0}, {"within": True},
    ],
)  # fmt: skip
def test_what_is_drawn_or_chosen_on_the_cpu_is_not_recorded(fp32: Runtime, settings: dict[str, object]) -> None:
    plain = opponents.Opponent(nn.Conv2d(3, 1, 4), OpponentConfig(), fp32)
    assert plain.judges_alike and plain.learns_alike and plain._lesson.steady()
    other = opponents.Opponent(nn.Conv2d(3, 1, 4), OpponentConfig(**settings), fp32)  # type: ignore[arg-type]
    assert not other.learns_alike and not other._lesson.steady()
    # what only its own lessons take does not hold the generator up
    assert other.judges_alike == bool({"label_noise", "r1", "gradient_penalty"} & settings.keys())


def test_a_state_that_augments_is_not_recorded(fp32: Runtime) -> None:
    plain, augmenting = (opponents.Opponent(nn.Conv2d(3, 1, 4), OpponentConfig(augment=chance), fp32) for chance in (0.0, 0.5))
    plain.load_state_dict(copy.deepcopy(augmenting.state_dict()))
    assert not plain._lesson.steady()


@pytest.mark.gpu
@pytest.mark.parametrize("make", [_cycle, _paired])
def test_a_recording_follows_the_rates_and_the_average(make: Callable[[Runtime], Trainer]) -> None:
    trainer = make(_gpu(replay=True))
    for step in range(STEPS):
        before = {key: value.clone() for key, value in _weights(trainer, "average").items()}
        trainer.step(_batch(step))
        for name, player in trainer.players().items():
            decay = min(player.config.ema, (1 + player.steps) / (10 + player.steps))
            lessons = player.steps // (step + 1)
            for key, value in player.network.named_parameters():
                if lessons == 1:
                    expected = decay * before[f"{name} {key}"] + (1 - decay) * value.detach()
                    torch.testing.assert_close(player.average.state_dict()[key], expected, rtol=1e-4, atol=1e-6)
    for player in trainer.players().values():
        player.softened = 0.0  # a rate of nothing
    before = {key: value.clone() for key, value in _weights(trainer).items()}
    trainer.step(_batch(STEPS))
    parameters = {f"{name} {key}" for name, player in trainer.players().items() for key, _ in player.network.named_parameters()}
    assert all(torch.equal(value, before[key]) for key, value in _weights(trainer).items() if key in parameters)


@pytest.mark.gpu
@pytest.mark.parametrize("make", [_cycle, _paired])
def test_a_replayed_training_is_the_same_training(make: Callable[[Runtime], Trainer]) -> None:
    plain, replayed = (make(_gpu(replay=replay)) for replay in (False, True))
    for step in range(STEPS):
        expected, losses = plain.step(_batch(step)), replayed.step(_batch(step))
        assert expected.keys() == losses.keys()
        for name, value in expected.items():
            _assert_close(losses[name], value, f"{name} at step {step}", rtol=0.03, atol=1e-4)
        for name, player in plain.players().items():
            other = replayed.players()[name]
            assert other.steps == player.steps
            torch.testing.assert_close(other.gradient_norm, player.gradient_norm, rtol=0.15, atol=1e-5)
    rounds = replayed._translations if isinstance(replayed, CycleTrainer) else replayed._predictions
    assert rounds._recordings
    for which in ("network", "average"):
        for name, value in _weights(plain, which).items():
            _assert_close(_weights(replayed, which)[name], value, f"{which} {name}", rtol=0.02, atol=0.01)


@pytest.mark.gpu
@pytest.mark.parametrize("make", [_cycle, _paired])
def test_a_replayed_training_goes_on_from_its_state(make: Callable[[Runtime], Trainer]) -> None:
    straight, resumed, plain = make(_gpu(replay=True)), make(_gpu(replay=True)), make(_gpu(replay=False))
    for step in range(STEPS):
        straight.step(_batch(step))
        resumed.step(_batch(99))  # with recordings of its own, of memory that the state will not be in
    state = copy.deepcopy(straight.state_dict())
    for trainer in (resumed, plain):  # who does not record takes the state of who does
        trainer.load_state_dict(copy.deepcopy(state))
    for step in range(STEPS, 2 * STEPS):
        expected = straight.step(_batch(step))
        for trainer in (resumed, plain):
            for name, value in trainer.step(_batch(step)).items():
                _assert_close(value, expected[name], f"{name} at step {step}", rtol=0.05, atol=1e-3)
    straight.load_state_dict(copy.deepcopy(plain.state_dict()))  # and the other way about
    assert all(value.isfinite() for value in straight.step(_batch(0)).values())


@pytest.mark.gpu
def test_losses_stay_what_they_were() -> None:
    trainer = _cycle(_gpu(replay=True))
    told = [trainer.step(_batch(step))["forward cycle"] for step in range(STEPS)]
    assert len({float(loss) for loss in told}) == STEPS


@pytest.mark.gpu
def test_what_cannot_be_recorded_goes_on_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    player = Player(nn.Sequential(nn.Dropout(0.01), nn.Linear(4, 1)), OptimizerConfig("adam", 1e-2), _gpu(replay=True))

    def function(inputs: Mapping[str, Tensor], parts: int) -> dict[str, Tensor]:
        loss = player.network(inputs["x"]).square().mean()
        player.update(loss * float(loss.detach() > -1))  # asks the GPU for a number
        return {"loss": loss.detach()}

    rounds = Replayed(function, [player], _gpu(replay=True))
    with caplog.at_level(logging.WARNING):
        losses = [float(rounds({"x": torch.ones(2, 4, device="cuda")})["loss"]) for _ in range(STEPS)]
    assert "without recorded rounds" in caplog.text
    assert player.steps == STEPS
    assert losses[-1] < losses[0]


@pytest.mark.gpu
def test_half_precision_is_replayed_too() -> None:
    trainer = _cycle(Runtime(torch.device("cuda"), torch.bfloat16, replay=True))
    losses = [trainer.step(_batch(0)) for _ in range(30)]
    assert trainer._translations._recordings
    assert all(value.isfinite() for told in losses for value in told.values())
    assert losses[-1]["forward cycle"] < losses[0]["forward cycle"]
