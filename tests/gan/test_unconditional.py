"""The trainer of generators of pictures from noise."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from restore.gan import objectives, penalties
from restore.gan.augment import RATE, Augmentation
from restore.gan.monitor import MonitorConfig, TrainingMonitor
from restore.gan.sample_discriminator import SampleDiscriminatorConfig, SampleDiscriminatorTrainer
from restore.gan.unconditional import GenerationLossConfig, UnconditionalTrainer
from restore.networks import generators
from restore.networks.generators import CONFIGS, DISCRIMINATOR_CONFIGS, stylegan2
from restore.networks.generators.spec import Judgement, SampleDiscriminator
from restore.runtime import Runtime
from restore.training.optimizers import OptimizerConfig, beta2, schedule

ADAM = OptimizerConfig("adam", 1e-3, beta1=0.5, beta2=0.99, warmup_steps=0, decay_steps=1, floor=1.0, ema=0.5)
CPU = Runtime(torch.device("cpu"), torch.float32)
SMALL = {"width": 4, "widest": 8}
KINDS: dict[str, tuple[str, dict[str, object], GenerationLossConfig]] = {
    "gan": ("mlp", {"objective": "saturating"}, GenerationLossConfig()),
    "dcgan": ("dcgan", {"label_smoothing": 0.1, "label_noise": 0.1, "augment": 0.5}, GenerationLossConfig()),
    "stylegan": ("stylegan2", {"r1": 10.0, "penalty_every": 2, "adaptive": 0.6}, GenerationLossConfig(path_length=2.0, path_every=2)),
    "r3gan": ("r3gan", {"objective": "relativistic_pairing", "r1": 1.0, "r2": 1.0, "penalty_decay": 4}, GenerationLossConfig()),
    "fastgan": ("fastgan", {"objective": "hinge"}, GenerationLossConfig()),
}  # fmt: skip


def _trainer(kind: str, runtime: Runtime = CPU, *, classes: int = 2, **changes: object) -> UnconditionalTrainer:
    name, settings, losses = KINDS[kind]
    torch.manual_seed(0)
    small = {"widths": (8,)} if name == "mlp" else SMALL
    generator = generators.build(
        name, generators.settings_of(CONFIGS[name](latent=8, **small), channels=1, side=32, classes=classes)  # type: ignore[call-arg,arg-type]
    )  # fmt: skip
    judge = generators.build_discriminator(DISCRIMINATOR_CONFIGS[name](**small), channels=1, side=32, classes=classes)  # type: ignore[arg-type]
    config = SampleDiscriminatorConfig(optimizer=ADAM, **settings)  # type: ignore[arg-type]
    return UnconditionalTrainer(
        generator, SampleDiscriminatorTrainer(judge, config, runtime), ADAM, runtime, losses=replace(losses, **changes)  # type: ignore[arg-type]
    )  # fmt: skip


def _batch(trainer: UnconditionalTrainer, seed: int = 0, count: int = 4) -> dict[str, Tensor]:
    spec, rng = trainer.spec, torch.Generator().manual_seed(seed)
    batch = {"real": torch.rand(count, 1, 32, 32, generator=rng), "latent": torch.randn(count, spec.latent, generator=rng)}
    if spec.classes:
        batch["label"] = torch.arange(count) % spec.classes
    if spec.pixel_noise:
        batch["pixel_noise"] = torch.randn(count, spec.pixel_noise, generator=rng)
    return batch


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_steps_change_every_network(kind: str, dtype: torch.dtype) -> None:
    trainer = _trainer(kind, replace(CPU, dtype=dtype))
    before = copy.deepcopy(trainer.state_dict())
    for seed in range(3):
        output = trainer.step(_batch(trainer, seed))
    assert all(value.isfinite() for value in output.losses.values())
    assert output.images["output"].shape == (4, 1, 32, 32)
    for name, state in trainer.train_states().items():
        saved = before[name]["network"] if name == "generator" else before[name]["state"]["network"]
        unchanged = [key for key, value in state.network.named_parameters() if torch.equal(value, saved[key])]
        assert not [key for key in unchanged if "embedding" not in key or trainer.spec.classes], (name, unchanged)


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_run_equals_a_straight_one(kind: str) -> None:
    straight = _trainer(kind, style_mixing=0.5)
    torch.manual_seed(3)
    for seed in range(4):
        straight.step(_batch(straight, seed))
    first, second = _trainer(kind, style_mixing=0.5), _trainer(kind, style_mixing=0.5)
    torch.manual_seed(3)
    for seed in range(2):
        first.step(_batch(first, seed))
    state = torch.get_rng_state()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    torch.set_rng_state(state)
    for seed in (2, 3):
        second.step(_batch(second, seed))
    mine, theirs = (trainer.networks()["generator"].state_dict() for trainer in (straight, second))
    assert all(torch.equal(value, theirs[key]) for key, value in mine.items())
    assert torch.equal(straight.mean_path_length, second.mean_path_length)


@pytest.mark.parametrize("kind", ["gan", "r3gan"])
def test_micro_batches_give_the_same_gradient(kind: str) -> None:
    whole, parts = _trainer(kind), _trainer(kind)
    parts.micro_batches = 2
    for trainer in (whole, parts):
        trainer.generator.network.eval()  # no dropout
        trainer.discriminator.state.network.eval()
        trainer.step(_batch(trainer))
    for mine, theirs in zip(whole.generator.network.parameters(), parts.generator.network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=2e-4)


def test_micro_batches_of_stylegan_are_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean path length, the augmentation's probability and the statistics follow the whole batch, once."""
    whole, parts = _trainer("stylegan"), _trainer("stylegan")
    parts.micro_batches = 4
    monkeypatch.setattr(torch, "randn_like", torch.ones_like)
    monkeypatch.setattr(stylegan2, "STD_GROUP", 1)  # the deviation over a group of samples
    for trainer in (whole, parts):
        trainer.mean_path_length = torch.tensor(0.05)
        trainer.discriminator.augmentation.target = 0.0  # it would draw
        losses = trainer.step(_batch(trainer)).losses
        assert "path length" in losses
    torch.testing.assert_close(parts.mean_path_length, whole.mean_path_length)
    for name, value in whole.discriminator.stats.items():
        torch.testing.assert_close(parts.discriminator.stats[name], value, rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(whole.generator.optimizers, parts.generator.optimizers, strict=True):
        for one, other in zip(mine.state.values(), theirs.state.values(), strict=True):
            torch.testing.assert_close(one["exp_avg"], other["exp_avg"], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("micro_batches", [1, 4])
def test_the_probability_moves_once_a_step(micro_batches: int) -> None:
    trainer = _trainer("stylegan")
    trainer.micro_batches, trainer.discriminator.augmentation.probability = micro_batches, 0.5
    trainer.step(_batch(trainer))
    assert abs(trainer.discriminator.augmentation.probability - 0.5) == pytest.approx(RATE)


def test_the_generator_waits_while_the_discriminator_learns() -> None:
    trainer = _trainer("dcgan", every=3)
    names = ["adversarial" in trainer.step(_batch(trainer, seed)).losses for seed in range(6)]
    assert names == [True, False, False, True, False, False]
    assert (trainer.generator.steps, trainer.discriminator.state.steps) == (2, 6)


def test_a_style_comes_from_the_second_vector_after_the_crossover() -> None:
    trainer = _trainer("stylegan", classes=0)
    network = trainer.generator.network.eval()
    batch = _batch(trainer, count=3) | {"mixed": torch.randn(3, 8), "crossover": torch.tensor([1, 4, 8])}
    styles = trainer._styles(network, batch)  # type: ignore[arg-type]
    own, other = (network.styles(batch[name]) for name in ("latent", "mixed"))  # type: ignore[operator]
    for index, crossover in enumerate((1, 4, 8)):
        assert torch.equal(styles[index, :crossover], own[index, :crossover])
        assert torch.equal(styles[index, crossover:], other[index, crossover:])


def test_a_preview_has_columns_or_stands_beside_the_real_pictures() -> None:
    trainer = _trainer("dcgan")
    batch = _batch(trainer, count=16)
    assert set(trainer.preview(batch)) == {"generated", "target"}
    columns = trainer.preview({name: value for name, value in batch.items() if name != "real"})
    assert list(columns) == [str(index) for index in range(1, 9)] and all(column.shape == (2, 1, 32, 32) for column in columns.values())


def test_a_collapsed_generator_is_diagnosed() -> None:
    """Its pictures are all alike; one that varies as the real ones do is not reported."""
    for collapsed in (True, False):
        trainer = _trainer("dcgan")
        trainer.monitor = TrainingMonitor(MonitorConfig(every=1, patience=1))
        trainer.probe = _batch(trainer, count=8)
        if collapsed:
            with torch.no_grad():
                for parameter in trainer.generator.network.parameters():
                    parameter.zero_()
        else:
            trainer.generate = lambda network, batch: batch["real"].flip(0)  # type: ignore[method-assign]
        found = {diagnosis.failure_mode for diagnosis in trainer.diagnostics(1)}
        assert ("collapse" in found) == collapsed


# formulas, in float64


class _Quadratic(SampleDiscriminator):
    """D(x) = a |x|^2 / 2 for each sample: its gradient is a x."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))

    def forward(self, pictures: Tensor, labels: Tensor | None = None, *, auxiliary: bool = False) -> Judgement:
        return Judgement(self.a * pictures.square().flatten(1).sum(1, keepdim=True) / 2)


def test_r1_and_r2_are_half_the_squared_gradient_norm() -> None:
    images = torch.randn(5, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    judge = _Quadratic(3.0)
    penalty = penalties.squared_gradient(judge(images).logits, images)
    torch.testing.assert_close(penalty, 9 * images.detach().square().flatten(1).sum(1).mean() / 2)
    penalty.backward()
    torch.testing.assert_close(judge.a.grad, 3 * images.detach().square().flatten(1).sum(1).mean())


@pytest.mark.parametrize(("r1", "r2"), [(2.0, 0.0), (0.0, 2.0), (2.0, 0.5)])
def test_each_penalty_stands_at_its_own_pictures_and_lazy_ones_count_as_often(r1: float, r2: float) -> None:
    """Karras et al. 2020, section 3.1: every k-th step, multiplied by k. Real pictures have a squared norm of 1, fake ones of 4."""
    config = SampleDiscriminatorConfig(objective="wasserstein", r1=r1, r2=r2, penalty_every=4, optimizer=ADAM)
    trainer = SampleDiscriminatorTrainer(_Quadratic(3.0).float(), config, CPU)
    gradients: list[float] = []
    trainer.state.accumulate = lambda loss: gradients.append(float(torch.autograd.grad(loss, trainer.state.network.a)[0]))  # type: ignore[method-assign,attr-defined]
    real, fake = torch.full((2, 1, 2, 2), 0.5), torch.full((2, 1, 2, 2), 1.0)
    losses = [trainer.step({"real": real, "fake": fake}).losses for _ in range(5)]
    a = 3.0
    adversarial = 4 / 2 - 1 / 2  # E D(fake) - E D(real), by a
    expected = adversarial + 4 * (r1 * a * 1 + r2 * a * 4)
    assert gradients == pytest.approx([expected, adversarial, adversarial, adversarial, expected])
    assert [("r1" in each) or ("r2" in each) for each in losses] == [True, False, False, False, True]
    if r1:
        assert float(losses[0]["r1"]) == pytest.approx(r1 * a**2 / 2)
    if r2:
        assert float(losses[0]["r2"]) == pytest.approx(r2 * a**2 * 4 / 2)


def test_path_lengths_in_float64() -> None:
    """|J^T y| of a linear map x = A w is |A^T y| / sqrt(H W) (Karras et al. 2020, eq. 4)."""
    torch.manual_seed(0)
    matrix = torch.randn(3 * 4 * 4, 6, dtype=torch.float64)
    styles = torch.randn(5, 1, 6, dtype=torch.float64, requires_grad=True)
    images = (styles[:, 0] @ matrix.T).reshape(5, 3, 4, 4)
    direction = torch.randn(5, 3, 4, 4, dtype=torch.float64)
    expected = (direction.flatten(1) @ matrix / 4).norm(dim=1)
    torch.testing.assert_close(penalties.path_lengths(images, styles, direction), expected)
    twice = styles.expand(-1, 2, -1)  # two layers with half of the map each: the mean over the layers is taken
    images = ((twice[:, 0] + twice[:, 1]) @ matrix.T / 2).reshape(5, 3, 4, 4)
    torch.testing.assert_close(penalties.path_lengths(images, twice, direction), expected / 2)


def test_the_path_penalty_follows_the_mean() -> None:
    trainer = _trainer("stylegan")
    for seed in range(3):
        losses = trainer.step(_batch(trainer, seed)).losses
    assert float(trainer.mean_path_length) > 0 and "path length" in losses  # generator steps 0 and 2


def test_relativistic_pairing_in_float64() -> None:
    """Huang et al. 2024, eq. 2: -E log sigmoid(D(x_i) - D(G(z_i))), pair by pair, and its mirror image for the generator."""
    real, fake = torch.randn(2, 7, 1, dtype=torch.float64).unbind()
    objective = objectives.find("relativistic_pairing")
    torch.testing.assert_close(
        objective.discriminator(real, fake, 1.0).double(), -torch.sigmoid(real - fake).log().mean(), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(objective.generator(real, fake).double(), -torch.sigmoid(fake - real).log().mean(), atol=1e-6, rtol=0)
    assert float(objective.discriminator(real, fake.flip(0), 1.0)) != pytest.approx(float(objective.discriminator(real, fake, 1.0)))


def test_the_saturating_loss_in_float64() -> None:
    fake = torch.randn(9, dtype=torch.float64)
    torch.testing.assert_close(
        objectives.find("saturating").generator(fake, fake).double(), (1 - torch.sigmoid(fake)).log().mean(), atol=1e-6, rtol=0
    )


def test_weights_are_clipped_after_an_update() -> None:
    judge = generators.build_discriminator(DISCRIMINATOR_CONFIGS["dcgan"](**SMALL), channels=1, side=32, classes=0)  # type: ignore[arg-type]
    trainer = SampleDiscriminatorTrainer(judge, SampleDiscriminatorConfig(objective="wasserstein", clip_weights=0.01, optimizer=ADAM), CPU)
    trainer.step({"real": torch.rand(4, 1, 32, 32), "fake": torch.rand(4, 1, 32, 32)})
    assert max(float(parameter.detach().abs().max()) for parameter in judge.parameters()) == pytest.approx(0.01)


def test_cosine_schedules() -> None:
    config = OptimizerConfig("adam", 1e-3, beta2=0.99, beta2_start=0.9, warmup_steps=0, decay_steps=100, decay="cosine", floor=0.2)
    assert [schedule(config, step) for step in (0, 50, 100, 500)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    assert schedule(config, 25) == pytest.approx(1 - 0.8 * (1 - 2**-0.5) / 2)
    assert [beta2(config, step) for step in (0, 50, 100)] == pytest.approx([0.9, 0.945, 0.99])
    penalty = SampleDiscriminatorConfig(r1=1.0, penalty_decay=100, penalty_floor=0.1)
    assert [penalty.penalty_scale(step) for step in (0, 50, 100, 200)] == pytest.approx([1.0, 0.55, 0.1, 0.1])
    assert SampleDiscriminatorConfig(r1=1.0).penalty_scale(10_000) == 1


def test_beta2_rises_in_the_optimizer() -> None:
    trainer = _trainer("gan")
    trainer.generator.config = replace(ADAM, beta2_start=0.5, decay_steps=2)
    seen = []
    for seed in range(3):
        trainer.step(_batch(trainer, seed))
        seen.append(trainer.generator.optimizers[0].param_groups[0]["betas"][1])
    assert seen == pytest.approx([0.5, 0.745, 0.99])


def test_augmentation_without_flips_keeps_the_sides() -> None:
    """A picture that is bright on its left stays so: with flips half of them would not."""
    torch.manual_seed(0)
    images = torch.zeros(64, 1, 32, 32)
    images[:, :, :, :10] = 1
    left = {
        flips: float((seen[..., :16].mean((1, 2, 3)) > seen[..., 16:].mean((1, 2, 3))).float().mean())
        for flips in (False, True)
        for seen in [Augmentation(0.5, flips=flips)(images)]
    }
    assert left[False] > 0.98 and left[True] < 0.9


def test_a_changed_augmentation_holds_after_a_resume_unless_it_adapts() -> None:
    saved = Augmentation(0.7).state_dict()
    for fixed in (0.2, 0.0):
        changed = Augmentation(fixed)
        changed.load_state_dict(saved)
        assert changed.probability == fixed
    adaptive = Augmentation(0.2, target=0.6)
    adaptive.load_state_dict(saved)
    assert adaptive.probability == 0.7


def test_the_augmentation_adapts_to_the_sign_of_the_logits() -> None:
    """ADA (Karras et al. 2020): the probability grows while r_t is above its target, and falls while it is below."""
    trainer = _trainer("stylegan").discriminator
    for r_t, up in ((0.9, True), (0.2, False)):
        before = trainer.augmentation.probability
        trainer.augmentation.adapt(torch.tensor(r_t))
        assert (trainer.augmentation.probability > before) == up
