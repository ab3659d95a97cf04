"""Generators of the reference code, rebuilt here layer by layer under its names, answer as ours do after the conversion."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import restore
from restore import networks, weights
from restore.networks import checkpoint_importer


class _Block(nn.Module):
    def __init__(self, channels: int, norm: type[nn.Module], dropout: bool, bias: bool) -> None:
        super().__init__()
        middle: list[nn.Module] = [nn.Dropout(0.5)] if dropout else []
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), norm(channels), nn.ReLU(), *middle,
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), norm(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class _Resnet(nn.Module):
    def __init__(self, width: int, blocks: int, norm: type[nn.Module], dropout: bool = False) -> None:
        super().__init__()
        bias = norm is nn.InstanceNorm2d
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7, bias=bias), norm(width), nn.ReLU()]
        for wide in (width, 2 * width):
            layers += [nn.Conv2d(wide, 2 * wide, 3, 2, 1, bias=bias), norm(2 * wide), nn.ReLU()]
        layers += [_Block(4 * width, norm, dropout, bias) for _ in range(blocks)]
        for wide in (4 * width, 2 * width):
            layers += [nn.ConvTranspose2d(wide, wide // 2, 3, 2, 1, 1, bias=bias), norm(wide // 2), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class _Skip(nn.Module):
    def __init__(self, outer: int, inner: int, below: nn.Module | None, norm: type[nn.Module], outermost: bool = False) -> None:
        super().__init__()
        bias, self.outermost = norm is nn.InstanceNorm2d, outermost
        down = nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)
        wide = inner if below is None else 2 * inner
        up = nn.ConvTranspose2d(wide, outer, 4, 2, 1, bias=bias or outermost)
        if outermost:
            assert below is not None
            parts = [down, below, nn.ReLU(), up, nn.Tanh()]
        elif below is None:
            parts = [nn.LeakyReLU(0.2), down, nn.ReLU(), up, norm(outer)]
        else:
            parts = [nn.LeakyReLU(0.2), down, norm(inner), below, nn.ReLU(), up, norm(outer)]
        self.model = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class _UNet(nn.Module):
    def __init__(self, width: int, levels: int, norm: type[nn.Module]) -> None:
        super().__init__()
        widths = [min(8 * width, width * 2**level) for level in range(levels)]
        below: nn.Module | None = None
        for level in range(levels - 1, 0, -1):
            below = _Skip(widths[level - 1], widths[level], below, norm)
        self.model = _Skip(3, widths[0], below, norm, outermost=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def _theirs(kind: str, norm: str) -> nn.Module:
    torch.manual_seed(0)
    norms: dict[str, type[nn.Module]] = {"instance": nn.InstanceNorm2d, "batch": nn.BatchNorm2d}
    network = _Resnet(4, 2, norms[norm]) if kind == "resnet" else _UNet(4, 5, norms[norm])
    for _ in range(2):  # statistics of their own
        network(torch.rand(2, 3, 64, 64) * 2 - 1)
    return network.eval()


@pytest.mark.parametrize("kind", ["resnet", "unet"])
@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_converted_generator_answers_as_before(kind: str, norm: str, prefix: str) -> None:
    theirs = _theirs(kind, norm)
    name, settings, tensors = checkpoint_importer.recognise({prefix + key: value for key, value in theirs.state_dict().items()})
    ours = networks.build(name, **settings).eval()
    ours.load_state_dict(tensors)
    picture = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        expected = (theirs(2 * picture - 1) + 1) / 2
        torch.testing.assert_close(picture + ours(picture), expected, rtol=1e-4, atol=1e-5)


def test_dropout_in_the_blocks_does_not_matter() -> None:
    network = _Resnet(4, 3, nn.InstanceNorm2d, dropout=True)
    name, settings, _ = checkpoint_importer.recognise(network.state_dict())
    assert (name, settings["blocks"], settings["norm"]) == ("resnet", 3, "instance")


def test_statistics_of_old_files_are_left_out() -> None:
    tensors = dict(_theirs("resnet", "instance").state_dict())
    tensors |= {"model.2.running_mean": torch.zeros(4), "model.2.running_var": torch.ones(4)}
    assert checkpoint_importer.recognise(tensors)[0] == "resnet"


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        ({}, "no convolution"),
        ({"features.0.weight": torch.zeros(8, 3, 3, 3)}, "no generator"),
        (
            {"model.1.conv_block.1.weight": torch.zeros(4, 3, 3, 3), "model.9.weight": torch.zeros(1, 4, 7, 7)},
            "3 to 1 channels",
        ),
        (
            {"model.1.weight": torch.zeros(4, 3, 7, 7), "model.2.conv_block.1.weight": torch.zeros(3, 3, 3, 3)},
            "another variant",
        ),
    ],
)
def test_what_is_no_such_generator_is_refused(tensors: dict[str, Tensor], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        checkpoint_importer.recognise(tensors)


def test_added_by_name_it_translates(own_weights: Path) -> None:
    torch.save(_theirs("resnet", "instance").state_dict(), "latest_net_G.pth")
    path = restore.add_weights("latest_net_G.pth", "zebra")
    assert path.parent == own_weights
    restorer = restore.load("zebra", device="cpu", precision="fp32")
    picture = torch.rand(1, 3, 32, 40)
    assert restorer(picture).shape == picture.shape
    assert weights.find("zebra").recipe["task"] == "translate"


@pytest.mark.usefixtures("own_weights")
def test_a_file_that_would_run_code_is_refused() -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("the trap has sprung",)

    torch.save({"model": Trap()}, "trap.pth")
    with pytest.raises(ValueError, match=r"trap\.pth"):
        restore.add_weights("trap.pth", "trap")
