"""Opponents that look through frozen features, and generators that match the opponent's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torchvision
from torch import nn

from restore.gan import opponent as opponents
from restore.gan.core import GAME
from restore.gan.losses import Perceptual, mean_distance
from restore.gan.opponent import Opponent, OpponentConfig
from restore.networks import backbones
from restore.networks.discriminators import Projected
from restore.runtime import Runtime


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
def test_a_projected_opponent_learns_its_heads_alone_and_moves_the_generator(random_vgg: None, fp32: Runtime, channels: int) -> None:
    torch.manual_seed(0)
    quick = replace(GAME, learning_rate=0.01)
    opponent = opponents.build(channels, OpponentConfig(network="projected", objective="hinge", width=4, optimizer=quick), fp32)
    assert isinstance(opponent.player.network, Projected)
    assert all(key.startswith("heads.") for key in opponent.player.network.state_dict())
    real, made = torch.rand(2, channels, 1, 1).expand(-1, -1, 32, 32), torch.rand(2, channels, 32, 32, requires_grad=True)
    opponent.verdict(real, made).backward()
    assert made.grad is not None and made.grad.abs().max() > 0
    before = [parameter.clone() for parameter in opponent.player.network.parameters()]
    first = opponent.learn(real, made)["discriminator"]
    for _ in range(15):
        last = opponent.learn(real, made)["discriminator"]
    assert last < 0.9 * first
    assert any(not torch.equal(old, new) for old, new in zip(before, opponent.player.network.parameters(), strict=True))


def test_features_are_compared_layer_by_layer_and_only_the_prediction_is_moved(random_vgg: None) -> None:
    prediction, wanted = (torch.rand(2, 3, 32, 32, requires_grad=True) for _ in range(2))
    loss = Perceptual(("relu1_2", "relu2_2"))
    (made,) = torch.autograd.grad(loss(prediction, wanted), prediction)
    first, distances = [backbones.normalised(x) for x in (prediction, wanted)], []
    for index, layer in enumerate(backbones.vgg16("relu2_2")):
        first = [layer(x) for x in first]
        if index in {backbones.VGG16_LAYERS["relu1_2"], backbones.VGG16_LAYERS["relu2_2"]}:
            distances.append((first[0] - first[1]).abs().mean())
    expected = sum(distances) / 2
    torch.testing.assert_close(loss(prediction, wanted), expected)
    torch.testing.assert_close(made, torch.autograd.grad(expected, prediction)[0])
    assert torch.autograd.grad(loss(prediction, wanted), wanted, allow_unused=True) == (None,)


def test_a_mean_distance_and_its_gradient_are_those_of_the_formula() -> None:
    for precision in (torch.float32, torch.bfloat16):
        made, known = (torch.randn(2, 3, 8, 8).to(precision).requires_grad_() for _ in range(2))
        made.data[0, 0, 0] = known.data[0, 0, 0]  # where they are alike, nothing pulls
        distance = mean_distance(made, known)
        assert distance.dtype == torch.float32
        torch.testing.assert_close(distance, (made.float() - known.float()).abs().mean(), rtol=2e-3, atol=0)
        (gradient,) = torch.autograd.grad(3 * distance, made)
        assert gradient.dtype == precision
        expected = 3 * (made.detach() - known.detach()).float().sign() / made.numel()
        torch.testing.assert_close(gradient.float(), expected, rtol=1e-2, atol=0)
        assert torch.autograd.grad(mean_distance(made, known), known, allow_unused=True) == (None,)


def test_a_projected_opponent_judges_the_holes_alone_where_it_is_told_to(random_vgg: None, fp32: Runtime) -> None:
    torch.manual_seed(0)
    opponent = opponents.build(3, OpponentConfig(network="projected", width=4, objective="hinge", within=True), fp32, holes=True)
    made, where = torch.rand(2, 3, 64, 64, requires_grad=True), torch.zeros(2, 1, 64, 64)
    where[:, :, :8, :8] = 1
    opponent.verdict(made.detach(), made, where=where).backward()
    assert made.grad is not None
    pulls = made.grad.abs().amax((0, 1))
    far = pulls[-4:, -4:].max()  # further from the hole than the shallowest head sees, which pulls hardest at its own place
    assert pulls[:8, :8].max() > 0 and far < 0.1 * pulls[:8, :8].max()
    opponent.player.network.eval()
    answers = opponent.player.network(made.detach())
    assert answers.shape == (2, 3, 16, 16)
    part = opponent.verdict(made.detach(), made, where=where)
    assert part.item() == pytest.approx(-answers[:, :, :2, :2].mean().item(), rel=1e-4)


def test_a_projected_opponent_takes_no_condition() -> None:
    with pytest.raises(ValueError, match="condition"):
        Projected(6)


def _opponent(fp32: Runtime, **settings: object) -> Opponent:
    torch.manual_seed(0)
    return opponents.build(3, OpponentConfig(width=4, norm="none", **settings), fp32)  # type: ignore[arg-type]


@pytest.mark.parametrize("network", ["patchgan", "multiscale"])
def test_matching_is_zero_for_equal_pictures_and_leads_towards_them(fp32: Runtime, network: str) -> None:
    opponent, real = _opponent(fp32, network=network), torch.rand(1, 3, 128, 128)
    assert float(opponent.matching(real, real.clone())) == 0
    made = torch.rand(1, 3, 128, 128, requires_grad=True)
    loss = opponent.matching(real, made)
    loss.backward()
    assert made.grad is not None
    nearer = made.detach() - 1e-3 * made.grad / made.grad.abs().max()
    assert opponent.matching(real, nearer) < loss
    assert all(parameter.grad is None for parameter in opponent.player.network.parameters())
    assert not any(module._forward_hooks for module in opponent.player.network.modules())


def test_matching_is_the_mean_distance_of_the_layers_written_out(fp32: Runtime) -> None:
    opponent, real, made = _opponent(fp32), torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    distances, first, second = [], 2 * real - 1, 2 * made - 1
    for layer in opponent.player.network.layers:  # type: ignore[union-attr]
        first, second = layer(first), layer(second)
        if isinstance(layer, nn.LeakyReLU):
            distances.append((first - second).abs().mean())
    torch.testing.assert_close(opponent.matching(real, made), torch.stack(distances).mean())


def test_an_opponent_without_features_of_its_own_is_refused(fp32: Runtime) -> None:
    plain = Opponent(nn.Conv2d(3, 1, 3), OpponentConfig(), fp32)
    with pytest.raises(ValueError, match="patchgan"):
        plain.matching(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))
