"""The discriminator that learns."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from restore.gan import build, monitor
from restore.gan.augment import RATE, Augmentation
from restore.gan.discriminator_trainer import DiscriminatorConfig, DiscriminatorTrainer
from restore.gan.monitor import MonitorConfig, TrainingMonitor
from restore.gan.objectives import OBJECTIVES
from restore.runtime import Runtime
from restore.training.optimizers import OptimizerConfig
from restore.training.train_state import TrainState
from restore.training.trainer import Diagnosis


def _pictures(seed: int, bright: float, count: int = 4) -> torch.Tensor:
    return (bright + 0.1 * torch.randn(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed))).clamp(0, 1)


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_it_learns_to_tell_bright_from_dark_and_pulls_the_generator_there(fp32: Runtime, objective: str) -> None:
    torch.manual_seed(0)
    config = DiscriminatorConfig(
        width=4, objective=objective, gradient_penalty=1.0 if objective == "wasserstein" else 0.0,
        norm="none", optimizer=OptimizerConfig("adam", 2e-3, warmup_steps=0),
    )  # fmt: skip
    discriminator = build.discriminator_trainer(1, config, fp32)
    for step in range(40):
        discriminator.step(_pictures(step, 0.7), _pictures(1000 + step, 0.3))
    assert float(discriminator.stats["accuracy real"]) == float(discriminator.stats["accuracy fake"]) == 1
    measured = monitor.network_measures(discriminator.state, discriminator)
    assert ("accuracy real" in measured) == (objective != "wasserstein")  # a critic that separates all is no failure
    fake = _pictures(5, 0.3).requires_grad_()
    discriminator.generator_loss(_pictures(6, 0.7), fake).backward()
    assert fake.grad is not None
    assert float(fake.grad.mean()) < 0  # brighter is less loss
    assert all(parameter.grad is None for parameter in discriminator.state.network.parameters())


def test_a_relativistic_loss_needs_real_pictures(fp32: Runtime) -> None:
    discriminator = build.discriminator_trainer(1, DiscriminatorConfig(width=4, objective="relativistic"), fp32)
    with pytest.raises(ValueError, match="real images"):
        discriminator.generator_loss(None, _pictures(0, 0.5))


def test_the_condition_is_seen(fp32: Runtime) -> None:
    discriminator = build.discriminator_trainer(2, DiscriminatorConfig(width=4, norm="none"), fp32)
    fake = _pictures(0, 0.5)
    first, second = (float(discriminator.generator_loss(None, fake, condition)) for condition in (_pictures(1, 0.1), _pictures(1, 0.9)))
    assert first != second


def _equal_but_for_a_corner(step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Real pictures, the same with one brighter corner, and where that is."""
    real, mask = _pictures(step, 0.3), torch.zeros(4, 1, 32, 32)
    mask[:, :, :6, :6] = 1
    return real, torch.where(mask > 0, real + 0.4, real), mask


def test_mask_loss_learns_what_the_rest_of_the_image_hides(fp32: Runtime) -> None:
    losses = {}
    for masked in (False, True):
        torch.manual_seed(0)
        config = DiscriminatorConfig(
            network="unet",
            width=4,
            objective="hinge",
            mask_loss=masked,
            optimizer=OptimizerConfig("adam", 2e-3, warmup_steps=0),
        )
        discriminator = build.discriminator_trainer(1, config, fp32, masked=True)
        for step in range(40):
            real, fake, mask = _equal_but_for_a_corner(step)
            losses[masked] = float(discriminator.step(real, fake, mask=mask, micro_batches=2).losses["discriminator"])
    assert losses[True] < 0.5 * losses[False]


def test_the_generator_loss_with_mask_loss_reaches_the_holes_alone(fp32: Runtime) -> None:
    torch.manual_seed(0)
    discriminator = build.discriminator_trainer(1, DiscriminatorConfig(network="unet", width=4, mask_loss=True), fp32, masked=True)
    real, fake, mask = _equal_but_for_a_corner(0)
    part = discriminator.generator_loss(real, fake, mask=mask)
    discriminator.state.network.eval()  # no further step of the spectral norm's power iteration
    answers = discriminator.state.network(fake)
    assert part.item() == pytest.approx((answers[:, :, :6, :6] - 1).square().mean().item(), rel=1e-4)
    assert part.item() != pytest.approx((answers - 1).square().mean().item(), rel=1e-4)
    with pytest.raises(ValueError, match="mask of the holes"):
        discriminator.generator_loss(real, fake)


def test_penalties_are_taken_every_so_often_and_then_count_as_often(fp32: Runtime) -> None:
    torch.manual_seed(0)
    lazy = build.discriminator_trainer(1, DiscriminatorConfig(width=4, r1=1.0, penalty_every=3), fp32)
    penalised = ["r1" in lazy.step(_pictures(step, 0.7), _pictures(step + 9, 0.3)).losses for step in range(6)]
    assert penalised == [True, False, False, True, False, False]


@pytest.mark.parametrize("network", ["patchgan", "multiscale", "unet"])
def test_large_crops_are_accepted_by_every_network(network: str, fp32: Runtime) -> None:
    config = DiscriminatorConfig(network=network, width=4)  # type: ignore[arg-type]
    assert build.discriminator_trainer(1, config, fp32, side=256)


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"objective": "wgan"}, "wasserstein"), ({"label_smoothing": 0.1, "objective": "wasserstein"}, "labels"),
     ({"r1": -1.0}, "r1"), ({"steps": 0}, "steps"), ({"augment": 2.0}, "augment"),
     ({"mask_loss": True, "network": "multiscale"}, "form a map"),
     ({"mask_loss": True, "augment": 0.1}, "augmentation")],
)  # fmt: skip
def test_impossible_settings_are_refused(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        DiscriminatorConfig(**settings)  # type: ignore[arg-type]


def test_the_state_is_all_that_the_next_update_depends_on(fp32: Runtime) -> None:
    config = DiscriminatorConfig(width=4, adaptive=0.6, augment=0.2)
    first, second = (build.discriminator_trainer(1, config, fp32) for _ in range(2))
    first.step(_pictures(0, 0.7), _pictures(1, 0.3))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for discriminator in (first, second):
        torch.manual_seed(3)
        discriminator.step(_pictures(2, 0.7), _pictures(3, 0.3))
    for key, value in first.state.network.state_dict().items():
        assert torch.equal(value, second.state.network.state_dict()[key]), key
    assert first.augmentation.probability == second.augmentation.probability != 0.2


@pytest.mark.parametrize("objective", ["least_squares", "wasserstein"])
@pytest.mark.parametrize("masked", [False, True])
def test_statistics_are_those_of_the_batch_whatever_its_micro_batches(fp32: Runtime, objective: str, masked: bool) -> None:
    torch.manual_seed(0)
    config = DiscriminatorConfig(width=4, objective=objective, mask_loss=masked)
    first = build.discriminator_trainer(1, config, fp32, masked=masked)
    second = copy.deepcopy(first)
    real = torch.cat([_pictures(seed, 0.4 + 0.1 * seed, 1) for seed in range(8)])
    fake = torch.cat([_pictures(seed, 0.8 - 0.1 * seed, 1) for seed in range(8)])
    mask = (torch.arange(32) < 12).float().expand(8, 1, 32, 32) if masked else None
    first.step(real, fake, mask=mask)
    second.step(real, fake, mask=mask, micro_batches=4)
    assert first.stats.keys() == second.stats.keys()
    for name, value in first.stats.items():
        torch.testing.assert_close(second.stats[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("micro_batches", [1, 4])
def test_the_augmentation_adapts_once_a_step(fp32: Runtime, micro_batches: int) -> None:
    torch.manual_seed(0)
    discriminator = build.discriminator_trainer(1, DiscriminatorConfig(width=4, augment=0.5, adaptive=0.6), fp32)
    discriminator.step(_pictures(0, 0.7), _pictures(1, 0.3), micro_batches=micro_batches)
    assert abs(discriminator.augmentation.probability - 0.5) == pytest.approx(RATE)


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


def test_the_probability_adapts_to_overfitting() -> None:
    augmentation = Augmentation(0.0, target=0.6)
    for _ in range(50):
        augmentation.adapt(torch.tensor(1.0))
    assert augmentation.probability == pytest.approx(0.05)
    for _ in range(100):
        augmentation.adapt(torch.tensor(-1.0))
    assert augmentation.probability == 0


class _Toy(nn.Sequential):
    """A small network of vectors (B, N, 1, 1)."""

    def __init__(self, inputs: int, outputs: int, width: int = 128) -> None:
        super().__init__(
            nn.Conv2d(inputs, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, outputs, 1),
        )


class _Grid:
    """A game over the 5 x 5 grid of Srivastava et al. 2017 (VEEGAN), section 5.1, with the watch over its monitor."""

    optimizer = OptimizerConfig("adam", 1e-3, beta1=0.5, beta2=0.99, warmup_steps=0, decay_start=2000, decay_steps=2000, ema=0.99)

    def __init__(self, fp32: Runtime, batch: int = 256, width: int = 128) -> None:
        torch.manual_seed(0)
        self.batch = batch
        self.centres = torch.cartesian_prod(torch.arange(-2.0, 3), torch.arange(-2.0, 3))
        self.generator = TrainState(_Toy(8, 2, width), self.optimizer, fp32)
        self.discriminator = DiscriminatorTrainer(
            _Toy(2, 1, width), DiscriminatorConfig(objective="vanilla", r1=0.1, optimizer=self.optimizer), fp32
        )
        self.monitor = TrainingMonitor(MonitorConfig(every=20))
        self.diagnoses: list[Diagnosis] = []
        self.last = (torch.zeros(1), torch.zeros(1))

    def train(self, steps: int) -> None:
        for _ in range(steps):
            real = (self.centres[torch.randint(25, (self.batch,))] + 0.05 * torch.randn(self.batch, 2))[..., None, None]
            fake = self.generator.network(torch.randn(self.batch, 8, 1, 1))
            self.discriminator.step(real, fake.detach())
            self.generator.update(self.discriminator.generator_loss(None, fake))
            self.last = (fake.detach(), real)
            self.diagnoses += self.monitor.diagnose(self.generator.steps, self.measures)

    def measures(self) -> dict[str, float]:
        fake, real = self.last
        return monitor.network_measures(self.generator, self.discriminator) | {
            "diversity": monitor.diversity(fake) / monitor.diversity(real)
        }


@pytest.mark.slow
def test_the_grid_of_25_gaussians_is_found_and_the_monitor_is_silent(fp32: Runtime) -> None:
    """A mode counts as found with a picture masked three deviations."""
    game = _Grid(fp32)
    game.train(4000)
    with torch.no_grad():
        points = game.generator.average(torch.randn(2500, 8, 1, 1)).flatten(1)
    near = torch.cdist(points, game.centres).min(1)
    found = near.indices[near.values < 0.15].unique()
    assert len(found) >= 23, sorted(found.tolist())
    assert not game.diagnoses


def test_a_provoked_collapse_is_reported_masked_500_steps_and_not_before(fp32: Runtime) -> None:
    game = _Grid(fp32, batch=64, width=64)
    game.train(500)
    assert not game.diagnoses
    # the discriminator stops learning: the generator moves everything to where it is fooled best
    game.discriminator.state.lr_scale = 0.0
    game.train(500)
    assert "collapse" in {diagnosis.failure_mode for diagnosis in game.diagnoses}
