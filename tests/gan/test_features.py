"""Opponents that look through frozen features, and generators that match the discriminator's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torchvision
from torch import nn

from restore.gan import build
from restore.gan.discriminator_trainer import GAN_ADAM, DiscriminatorConfig, DiscriminatorTrainer
from restore.networks import backbones
from restore.networks.discriminators import Projected
from restore.runtime import Runtime
from restore.training.losses import Perceptual, mean_distance


@pytest.fixture
def random_vgg(monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG16 with random weights: no download, and features all the same."""

    def make(through: str = "relu4_3") -> nn.Sequential:
        torch.manual_seed(0)
        features = torchvision.models.vgg16(weights=None).features[: backbones.VGG16_LAYERS[through] + 1]
        for module in features:
            if isinstance(module, nn.ReLU):
                module.inplace = False
        return features.float().eval().requires_grad_(False)

    monkeypatch.setattr(backbones, "vgg16", make)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_projected_discriminator_learns_its_heads_alone_and_moves_the_generator(random_vgg: None, fp32: Runtime, channels: int) -> None:
    torch.manual_seed(0)
    quick = replace(GAN_ADAM, learning_rate=0.01)
    discriminator = build.discriminator_trainer(
        channels, DiscriminatorConfig(network="projected", objective="hinge", width=4, optimizer=quick), fp32
    )
    assert isinstance(discriminator.state.network, Projected)
    assert all(key.startswith("heads.") for key in discriminator.state.network.state_dict())
    real, fake = (
        torch.rand(2, channels, 1, 1).expand(-1, -1, 32, 32),
        torch.rand(2, channels, 32, 32, requires_grad=True),
    )
    discriminator.generator_loss(real, fake).backward()
    assert fake.grad is not None and fake.grad.abs().max() > 0
    before = [parameter.clone() for parameter in discriminator.state.network.parameters()]
    first = discriminator.step(real, fake).losses["discriminator"]
    for _ in range(15):
        last = discriminator.step(real, fake).losses["discriminator"]
    assert last < 0.9 * first
    assert any(not torch.equal(old, new) for old, new in zip(before, discriminator.state.network.parameters(), strict=True))


def test_features_are_compared_layer_by_layer_and_only_the_prediction_is_moved(random_vgg: None) -> None:
    prediction, target = (torch.rand(2, 3, 32, 32, requires_grad=True) for _ in range(2))
    loss = Perceptual(("relu1_2", "relu2_2"))
    (gradient,) = torch.autograd.grad(loss(prediction, target), prediction)
    first, distances = [backbones.normalised(x) for x in (prediction, target)], []
    for index, layer in enumerate(backbones.vgg16("relu2_2")):
        first = [layer(x) for x in first]
        if index in {backbones.VGG16_LAYERS["relu1_2"], backbones.VGG16_LAYERS["relu2_2"]}:
            distances.append((first[0] - first[1]).abs().mean())
    distance = sum(distances) / 2
    torch.testing.assert_close(loss(prediction, target), distance)
    torch.testing.assert_close(gradient, torch.autograd.grad(distance, prediction)[0])
    assert torch.autograd.grad(loss(prediction, target), target, allow_unused=True) == (None,)


def test_a_mean_distance_and_its_gradient_are_those_of_the_formula() -> None:
    for precision in (torch.float32, torch.bfloat16):
        fake, target = (torch.randn(2, 3, 8, 8).to(precision).requires_grad_() for _ in range(2))
        fake.data[0, 0, 0] = target.data[0, 0, 0]  # where they are equal, there is no gradient
        distance = mean_distance(fake, target)
        assert distance.dtype == torch.float32
        torch.testing.assert_close(distance, (fake.float() - target.float()).abs().mean(), rtol=2e-3, atol=0)
        (gradient,) = torch.autograd.grad(3 * distance, fake)
        assert gradient.dtype == precision
        expected = 3 * (fake.detach() - target.detach()).float().sign() / fake.numel()
        torch.testing.assert_close(gradient.float(), expected, rtol=1e-2, atol=0)
        assert torch.autograd.grad(mean_distance(fake, target), target, allow_unused=True) == (None,)


def test_a_projected_discriminator_with_mask_loss_judges_the_holes_alone(random_vgg: None, fp32: Runtime) -> None:
    torch.manual_seed(0)
    discriminator = build.discriminator_trainer(
        3, DiscriminatorConfig(network="projected", width=4, objective="hinge", mask_loss=True), fp32, masked=True
    )
    fake, mask = torch.rand(2, 3, 64, 64, requires_grad=True), torch.zeros(2, 1, 64, 64)
    mask[:, :, :8, :8] = 1
    discriminator.generator_loss(fake.detach(), fake, mask=mask).backward()
    assert fake.grad is not None
    pulls = fake.grad.abs().amax((0, 1))
    far = pulls[-4:, -4:].max()  # further from the hole than the shallowest head sees, which pulls hardest at its own place
    assert pulls[:8, :8].max() > 0 and far < 0.1 * pulls[:8, :8].max()
    discriminator.state.network.eval()
    answers = discriminator.state.network(fake.detach())
    assert answers.shape == (2, 3, 16, 16)
    part = discriminator.generator_loss(fake.detach(), fake, mask=mask)
    assert part.item() == pytest.approx(-answers[:, :, :2, :2].mean().item(), rel=1e-4)


def test_a_projected_discriminator_takes_no_condition() -> None:
    with pytest.raises(ValueError, match="condition"):
        Projected(6)


def _discriminator(fp32: Runtime, **settings: object) -> DiscriminatorTrainer:
    torch.manual_seed(0)
    return build.discriminator_trainer(3, DiscriminatorConfig(width=4, norm="none", **settings), fp32)  # type: ignore[arg-type]


@pytest.mark.parametrize("network", ["patchgan", "multiscale"])
def test_matching_is_zero_for_equal_pictures_and_leads_towards_them(fp32: Runtime, network: str) -> None:
    discriminator, real = _discriminator(fp32, network=network), torch.rand(1, 3, 128, 128)
    assert float(discriminator.feature_matching(real, real.clone())) == 0
    fake = torch.rand(1, 3, 128, 128, requires_grad=True)
    loss = discriminator.feature_matching(real, fake)
    loss.backward()
    assert fake.grad is not None
    nearer = fake.detach() - 1e-3 * fake.grad / fake.grad.abs().max()
    assert discriminator.feature_matching(real, nearer) < loss
    assert all(parameter.grad is None for parameter in discriminator.state.network.parameters())
    assert not any(module._forward_hooks for module in discriminator.state.network.modules())


def test_matching_is_the_mean_distance_of_the_layers_written_out(fp32: Runtime) -> None:
    discriminator, real, fake = _discriminator(fp32), torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    distances, first, second = [], 2 * real - 1, 2 * fake - 1
    for layer in discriminator.state.network.layers:  # type: ignore[union-attr]
        first, second = layer(first), layer(second)
        if isinstance(layer, nn.LeakyReLU):
            distances.append((first - second).abs().mean())
    torch.testing.assert_close(discriminator.feature_matching(real, fake), torch.stack(distances).mean())


def test_a_discriminator_without_features_of_its_own_is_refused(fp32: Runtime) -> None:
    plain = DiscriminatorTrainer(nn.Conv2d(3, 1, 3), DiscriminatorConfig(), fp32)
    with pytest.raises(ValueError, match="patchgan"):
        plain.feature_matching(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))
