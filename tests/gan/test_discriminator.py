"""The discriminator that learns."""

from __future__ import annotations

import copy

import pytest
import torch
from restore.gan.core import OptimizerConfig, Player
from restore.gan.health import HealthConfig, HealthWatch, Verdict
from restore.gan.opponent import Opponent, OpponentConfig
from torch import nn

from restore.gan import health
from restore.gan import opponent as opponents
from restore.gan.augment import Augmentation
from restore.gan.objectives import OBJECTIVES
from restore.runtime import Runtime


def _pictures(seed: int, bright: float, count: int = 4) -> torch.Tensor:
    return (bright + 0.1 * torch.randn(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed))).clamp(0, 1)


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_it_learns_to_tell_bright_from_dark_and_pulls_the_generator_there(fp32: Runtime, objective: str) -> None:
    torch.manual_seed(0)
    config = OpponentConfig(
        width=4, objective=objective, gradient_penalty=1.0 if objective == "wasserstein" else 0.0,
        norm="none", optimizer=OptimizerConfig("adam", 2e-3, warmup_steps=0),
    )  # fmt: skip
    opponent = opponents.build(1, config, fp32)
    for step in range(40):
        opponent.learn(_pictures(step, 0.7), _pictures(1000 + step, 0.3))
    assert float(opponent.told["knew real"]) == float(opponent.told["knew made"]) == 1
    made = _pictures(5, 0.3).requires_grad_()
    opponent.verdict(_pictures(6, 0.7), made).backward()
    assert made.grad is not None
    assert float(made.grad.mean()) < 0  # brighter is less loss
    assert all(parameter.grad is None for parameter in opponent.player.network.parameters())


def test_a_relativistic_verdict_needs_real_pictures(fp32: Runtime) -> None:
    opponent = opponents.build(1, OpponentConfig(width=4, objective="relativistic"), fp32)
    with pytest.raises(ValueError, match="real pictures"):
        opponent.verdict(None, _pictures(0, 0.5))


def test_the_condition_is_seen(fp32: Runtime) -> None:
    opponent = opponents.build(2, OpponentConfig(width=4, norm="none"), fp32)
    made = _pictures(0, 0.5)
    first, second = (float(opponent.verdict(None, made, condition)) for condition in (_pictures(1, 0.1), _pictures(1, 0.9)))
    assert first != second


def _alike(step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Real pictures, the same with one brighter corner, and where that is."""
    real, where = _pictures(step, 0.3), torch.zeros(4, 1, 32, 32)
    where[:, :, :6, :6] = 1
    return real, torch.where(where > 0, real + 0.4, real), where


def test_an_opponent_that_looks_within_learns_what_the_rest_of_the_picture_drowns(fp32: Runtime) -> None:
    losses = {}
    for within in (False, True):
        torch.manual_seed(0)
        config = OpponentConfig(
            network="unet", width=4, objective="hinge", within=within, optimizer=OptimizerConfig("adam", 2e-3, warmup_steps=0)
        )
        opponent = opponents.build(1, config, fp32, holes=True)
        for step in range(40):
            real, made, where = _alike(step)
            losses[within] = float(opponent.learn(real, made, where=where, parts=2)["discriminator"])
    assert losses[True] < 0.5 * losses[False]


def test_a_verdict_within_pulls_at_what_was_made_alone(fp32: Runtime) -> None:
    torch.manual_seed(0)
    opponent = opponents.build(1, OpponentConfig(network="unet", width=4, within=True), fp32, holes=True)
    real, made, where = _alike(0)
    part = opponent.verdict(real, made, where=where)
    opponent.player.network.eval()  # no further step of the spectral norm's power iteration
    answers = opponent.player.network(made)
    assert part.item() == pytest.approx((answers[:, :, :6, :6] - 1).square().mean().item(), rel=1e-4)
    assert part.item() != pytest.approx((answers - 1).square().mean().item(), rel=1e-4)
    with pytest.raises(ValueError, match="holes to judge"):
        opponent.verdict(real, made)


def test_penalties_are_taken_every_so_often_and_then_count_as_often(fp32: Runtime) -> None:
    torch.manual_seed(0)
    lazy = opponents.build(1, OpponentConfig(width=4, r1=1.0, penalty_every=3), fp32)
    told = ["r1" in lazy.learn(_pictures(step, 0.7), _pictures(step + 9, 0.3)) for step in range(6)]
    assert told == [True, False, False, True, False, False]


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"objective": "wgan"}, "wasserstein"), ({"label_smoothing": 0.1, "objective": "wasserstein"}, "labels"),
     ({"r1": -1.0}, "r1"), ({"steps": 0}, "steps"), ({"augment": 2.0}, "augment"),
     ({"within": True, "network": "multiscale"}, "place by place"),
     ({"within": True, "augment": 0.1}, "augmentation")],
)  # fmt: skip
def test_impossible_settings_are_refused(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        OpponentConfig(**settings)  # type: ignore[arg-type]


def test_the_state_is_all_that_the_next_update_depends_on(fp32: Runtime) -> None:
    config = OpponentConfig(width=4, adaptive=0.6, augment=0.2)
    first, second = (opponents.build(1, config, fp32) for _ in range(2))
    first.learn(_pictures(0, 0.7), _pictures(1, 0.3))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for opponent in (first, second):
        torch.manual_seed(3)
        opponent.learn(_pictures(2, 0.7), _pictures(3, 0.3))
    for key, value in first.player.network.state_dict().items():
        assert torch.equal(value, second.player.network.state_dict()[key]), key
    assert first.augmentation.chance == second.augmentation.chance != 0.2


def test_augmentation_moves_a_condition_with_its_picture_and_lets_gradients_through() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(4, 3, 24, 24, requires_grad=True)
    seen = Augmentation(0.9)(pictures, pictures.detach()[:, :1])
    assert seen.shape == (4, 4, 24, 24)
    seen.square().sum().backward()
    assert pictures.grad is not None
    assert pictures.grad.abs().max() > 0
    still = torch.rand(2, 1, 8, 8)
    assert Augmentation(0.0)(still) is still


def test_the_chance_adapts_to_overfitting() -> None:
    augmentation = Augmentation(0.0, target=0.6)
    for _ in range(50):
        augmentation.adapt(torch.tensor(1.0))
    assert augmentation.chance == pytest.approx(0.05)
    for _ in range(100):
        augmentation.adapt(torch.tensor(-1.0))
    assert augmentation.chance == 0


class _Toy(nn.Sequential):
    """A small network of vectors (B, N, 1, 1)."""

    def __init__(self, inputs: int, outputs: int, width: int = 128) -> None:
        super().__init__(
            nn.Conv2d(inputs, width, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, width, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, outputs, 1)
        )


class _Grid:
    """A game over the 5 x 5 grid of Srivastava et al. 2017 (VEEGAN), section 5.1, with the watch over its health."""

    optimizer = OptimizerConfig("adam", 1e-3, beta1=0.5, beta2=0.99, warmup_steps=0, decay_start=2000, decay_steps=2000, ema=0.99)

    def __init__(self, fp32: Runtime, batch: int = 256, width: int = 128) -> None:
        torch.manual_seed(0)
        self.batch = batch
        self.centres = torch.cartesian_prod(torch.arange(-2.0, 3), torch.arange(-2.0, 3))
        self.generator = Player(_Toy(8, 2, width), self.optimizer, fp32)
        self.opponent = Opponent(_Toy(2, 1, width), OpponentConfig(objective="vanilla", r1=0.1, optimizer=self.optimizer), fp32)
        self.watch = HealthWatch(HealthConfig(every=20))
        self.verdicts: list[Verdict] = []
        self.last = (torch.zeros(1), torch.zeros(1))

    def play(self, steps: int) -> None:
        for _ in range(steps):
            real = (self.centres[torch.randint(25, (self.batch,))] + 0.05 * torch.randn(self.batch, 2))[..., None, None]
            made = self.generator.network(torch.randn(self.batch, 8, 1, 1))
            self.opponent.learn(real, made.detach())
            self.generator.update(self.opponent.verdict(None, made))
            self.last = (made.detach(), real)
            self.verdicts += self.watch.examine(self.generator.steps, self)

    def measures(self) -> dict[str, float]:
        made, real = self.last
        return health.of_player(self.generator, self.opponent) | {"diversity": health.diversity(made) / health.diversity(real)}


@pytest.mark.slow
def test_the_grid_of_25_gaussians_is_found_and_the_watch_is_silent(fp32: Runtime) -> None:
    """A mode counts as found with a picture within three deviations."""
    game = _Grid(fp32)
    game.play(4000)
    with torch.no_grad():
        points = game.generator.average(torch.randn(2500, 8, 1, 1)).flatten(1)
    near = torch.cdist(points, game.centres).min(1)
    found = near.indices[near.values < 0.15].unique()
    assert len(found) >= 23, sorted(found.tolist())
    assert not game.verdicts


def test_a_planted_collapse_is_told_within_500_steps_and_not_before(fp32: Runtime) -> None:
    game = _Grid(fp32, batch=64, width=64)
    game.play(500)
    assert not game.verdicts
    # an opponent who has stopped learning: the generator goes where it is fooled best, with everything it makes
    game.opponent.player.softened = 0.0
    game.play(500)
    assert "collapse" in {verdict.kind for verdict in game.verdicts}
