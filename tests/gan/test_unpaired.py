"""The CycleGAN trainer."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from restore.gan import build
from restore.gan.discriminator_trainer import GAN_ADAM, DiscriminatorConfig
from restore.gan.unpaired import CycleGANTrainer, CycleLossConfig, TranslationDirection
from restore.networks.resnet import ResnetConfig, ResnetGenerator
from restore.runtime import Runtime
from restore.training.losses import change_penalty

BF16 = Runtime(torch.device("cpu"), torch.bfloat16)


def _trainer(runtime: Runtime, seed: int = 0, config: CycleLossConfig | None = None, **discriminator: object) -> CycleGANTrainer:
    torch.manual_seed(seed)
    config = config or CycleLossConfig(image_buffer=3)
    translators = [
        TranslationDirection(
            ResnetGenerator(ResnetConfig(width=4, blocks=1)),
            build.discriminator_trainer(3, DiscriminatorConfig(width=4, **discriminator), runtime),  # type: ignore[arg-type]
            GAN_ADAM, runtime, buffer_size=config.image_buffer, seed=index,
        )
        for index in range(2)
    ]  # fmt: skip
    return CycleGANTrainer(translators[0], translators[1], config, runtime)


def _batch(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(1, 3, 32, 32, generator=generator) for name in ("input", "target")}


@pytest.mark.parametrize("runtime", [Runtime(torch.device("cpu"), torch.float32), BF16], ids=["fp32", "bf16"])
def test_two_steps_change_every_network(runtime: Runtime) -> None:
    trainer = _trainer(runtime)
    before = copy.deepcopy(trainer.state_dict())
    for seed in range(2):
        losses = trainer.step(_batch(seed)).losses
    assert {"forward cycle", "backward identity", "forward adversarial", "backward discriminator"} <= losses.keys()
    assert all(value.isfinite() for value in losses.values())
    for name, state in trainer.train_states().items():
        way, role = name.split()
        saved = before[way][role] if role == "generator" else before[way][role]["state"]
        for key, value in state.network.state_dict().items():
            assert not torch.equal(value, saved["network"][key]), (name, key)


def test_noise_before_the_way_back_hides_patterns(fp32: Runtime) -> None:
    trainer = _trainer(fp32, config=CycleLossConfig(image_buffer=3, cycle_noise=0.1))
    backward, seen = trainer.backward.translate, []

    def spy(pictures: Tensor) -> Tensor:
        seen.append(pictures.detach())
        return backward(pictures)

    trainer.backward.translate = spy  # type: ignore[method-assign]
    fake = trainer.forward.translate(_batch()["input"]).detach()
    judged: list[Tensor] = []
    loss = trainer.forward.discriminator.generator_loss
    trainer.forward.discriminator.generator_loss = lambda real, fake: judged.append(fake) or loss(real, fake)  # type: ignore[func-returns-value]
    trainer.step(_batch())
    assert float((seen[0] - fake).std()) == pytest.approx(0.1, rel=0.1)
    torch.testing.assert_close(judged[0], fake)  # the discriminator sees it without noise
    with pytest.raises(ValueError, match="cycle_noise"):
        CycleLossConfig(cycle_noise=-0.1)


def test_a_change_is_free_up_to_a_threshold(fp32: Runtime) -> None:
    source = torch.full((1, 3, 8, 8), 0.5)
    assert float(change_penalty(torch.sigmoid(torch.tensor(0.9)).expand_as(source), source, 1.0)) == 0
    dark = 1 / 255 + (1 - 2 / 255) / (1 + math.exp(3))
    expected = (math.log((1 - dark) / dark) - 1) ** 2
    assert float(change_penalty(torch.sigmoid(torch.tensor(-3.0)).expand_as(source), source, 1.0)) == pytest.approx(expected, rel=1e-4)
    fake = torch.ones_like(source, requires_grad=True)  # white has a logit without end, and yet there must be a way back from it
    (gradient,) = torch.autograd.grad(change_penalty(fake, source, 1.0), fake)
    assert gradient.isfinite().all() and bool((gradient > 0).all())
    assert float(change_penalty(torch.tensor([[[[1.5, -0.5]]]]), torch.tensor([[[[1.0, 0.0]]]]), 1.0)) == 0

    batch = _batch()
    losses = _trainer(fp32, config=CycleLossConfig(image_buffer=0, change_penalty_weight=2.0, change_penalty_from=0.25)).step(batch).losses
    fake = _trainer(fp32, config=CycleLossConfig(image_buffer=0)).forward.translate(batch["input"]).detach()
    assert float(losses["forward change penalty"]) == pytest.approx(2 * float(change_penalty(fake, batch["input"], 0.25)), rel=1e-4)
    assert not [name for name in _trainer(fp32, config=CycleLossConfig(image_buffer=0)).step(batch).losses if "penalty" in name]
    with pytest.raises(ValueError, match="change_penalty_from"):
        CycleLossConfig(change_penalty_from=-1.0)


def test_the_common_gradient_is_that_of_the_whole_sum(fp32: Runtime) -> None:
    trainer = _trainer(fp32, config=CycleLossConfig(image_buffer=0))
    batch = _batch()
    whole = torch.zeros(())
    for way, back, own, other in (
        (trainer.forward, trainer.backward, batch["input"], batch["target"]),
        (trainer.backward, trainer.forward, batch["target"], batch["input"]),
    ):
        fake = way.translate(own)
        whole = whole + 10 * (back.translate(fake) - own).abs().mean() + 5 * (way.translate(other) - other).abs().mean()
        whole = whole + way.discriminator.generator_loss(other, fake)
    expected = torch.autograd.grad(whole, [*trainer.forward.generator.network.parameters()])
    gathered: list[Tensor] = []
    apply = trainer.forward.generator.apply_gradients

    def spy() -> None:
        gathered.extend(p.grad.clone() for p in trainer.forward.generator.network.parameters() if p.grad is not None)
        apply()

    trainer.forward.generator.apply_gradients = spy  # type: ignore[method-assign]
    trainer.step(batch)
    for one, other in zip(gathered, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_terms_of_weight_zero_are_left_out(fp32: Runtime) -> None:
    losses = _trainer(fp32, config=CycleLossConfig(identity_weight=0.0, image_buffer=0)).step(_batch()).losses
    assert not [name for name in losses if "identity" in name]


def test_straight_is_half_and_resumed(fp32: Runtime) -> None:
    options = {"label_noise": 0.3, "r1": 0.1, "label_smoothing": 0.1}
    straight, resumed, first = (_trainer(fp32, seed, **options) for seed in (0, 1, 0))
    torch.manual_seed(7)
    for step in range(4):
        straight.step(_batch(step))
    torch.manual_seed(7)
    for step in range(2):
        first.step(_batch(step))
    resumed.load_state_dict(copy.deepcopy(first.state_dict()))
    for step in range(2, 4):
        resumed.step(_batch(step))
    for name, state in straight.train_states().items():
        for key, value in state.network.state_dict().items():
            assert torch.equal(value, resumed.train_states()[name].network.state_dict()[key]), (name, key)
    for kept, again in zip(straight.forward.image_buffer.images, resumed.forward.image_buffer.images, strict=True):
        assert torch.equal(kept, again)


def test_previews_show_both_ways(fp32: Runtime) -> None:
    shown = _trainer(fp32).preview(_batch())
    assert list(shown) == ["source", "translated", "cycled", "target", "translated back", "cycled back"]
    assert all(value.shape == (1, 3, 32, 32) and value.dtype == torch.float32 for value in shown.values())


def test_impossible_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="cycle_weight"):
        CycleLossConfig(cycle_weight=-1)
