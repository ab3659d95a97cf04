"""A teacher's features: what the network is compared with, and that the training reaches the teacher's answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torchvision
from torch import Tensor, nn

from restore.networks import backbones
from restore.networks.colorizer import ColorizerConfig, ColorizerNet
from restore.networks.weight_transfer import transfer
from restore.runtime import Runtime
from restore.training.distillation import FEATURES, FeatureDistillation
from restore.training.optimizers import OptimizerConfig
from restore.training.supervised import SupervisedTrainer

CONFIG = ColorizerConfig(widths=(8, 8, 12), dilations=(1, 2), features=FEATURES)


class _AlexNet(nn.Module):
    """The interface of LPIPS's AlexNet: its five rectified convolutions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = torchvision.models.alexnet(weights=None).features.requires_grad_(False)

    def forward(self, picture: Tensor) -> list[Tensor]:
        layers, hidden = [], picture
        for layer in self.features:
            hidden = torch.relu(hidden) if isinstance(layer, nn.ReLU) else layer(hidden)
            if isinstance(layer, nn.ReLU):
                layers.append(hidden)
        return layers


class _Lpips(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = _AlexNet()


@pytest.fixture
def random_alexnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """AlexNet with random weights: no download, and features all the same."""
    monkeypatch.setattr(backbones, "lpips", _Lpips)


def _batch() -> dict[str, Tensor]:
    torch.manual_seed(1)
    target = torch.rand(2, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    return {"input": target.mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous(), "target": target}


def test_each_layer_has_unit_length_and_its_own_features_have_no_distance(random_alexnet: None) -> None:
    distillation, picture = FeatureDistillation(), _batch()["input"]
    target = distillation.target(picture, 8, 8)
    assert target.shape == (2, FEATURES, 8, 8)
    for layer in torch.split(target, [384, 256], 1):
        torch.testing.assert_close(layer.norm(dim=1), torch.ones(2, 8, 8))
    assert distillation(target, picture) == 0
    assert distillation(torch.zeros_like(target), picture) == pytest.approx(1)


def test_training_approaches_the_teacher_and_publishes_no_part_of_it(random_alexnet: None, fp32: Runtime) -> None:
    torch.manual_seed(0)
    optimizer = OptimizerConfig("adam", 3e-3, warmup_steps=1)
    trainer = SupervisedTrainer(ColorizerNet(CONFIG), optimizer, fp32, distillation_weight=2.0)
    batch = _batch()
    distances = [float(trainer.step(batch).losses["distillation"]) for _ in range(40)]
    assert distances[-1] < 0.5 * distances[0]
    published = sum(value.numel() for value in trainer.networks()["restorer"].state_dict().values())
    assert published == sum(value.numel() for value in ColorizerNet(CONFIG).state_dict().values())


def test_the_weight_multiplies_the_distance(random_alexnet: None, fp32: Runtime) -> None:
    losses = []
    for weight in (1.0, 3.0):
        torch.manual_seed(0)
        trainer = SupervisedTrainer(ColorizerNet(CONFIG), OptimizerConfig("adam", 1e-3), fp32, distillation_weight=weight)
        losses.append(trainer.step(_batch()).losses)
    torch.testing.assert_close(losses[1]["distillation"], 3 * losses[0]["distillation"])
    torch.testing.assert_close(losses[1]["pixel"], losses[0]["pixel"])


def test_a_network_without_these_features_is_refused(fp32: Runtime) -> None:
    for features in (0, 12):
        network = ColorizerNet(replace(CONFIG, features=features))
        with pytest.raises(ValueError, match=f"network.features={FEATURES}"):
            SupervisedTrainer(network, OptimizerConfig(), fp32, distillation_weight=1.0)
    with pytest.raises(ValueError, match="predicts no features"):
        ColorizerNet(replace(CONFIG, features=0)).described(torch.rand(1, 3, 16, 16))


def test_features_change_no_colour_and_weights_without_them_start_the_network() -> None:
    torch.manual_seed(0)
    plain, picture = ColorizerNet(replace(CONFIG, features=0)), torch.rand(1, 3, 32, 32)
    network = ColorizerNet(CONFIG)
    described = network.state_dict()["describe.weight"].clone()
    transfer(plain.state_dict(), network)
    coloured, features = network.described(picture)
    assert torch.equal(coloured, plain(picture))
    assert torch.equal(network(picture), coloured)
    assert features.shape == (1, FEATURES, 8, 8)
    assert torch.equal(network.state_dict()["describe.weight"], described)
