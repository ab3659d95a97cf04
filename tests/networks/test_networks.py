"""The contract of every row of NETWORKS, on its tiny variant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from restore import networks, weights
from restore.images.noise_model import NoiseLevel
from restore.inference.loading import InferenceOptions, make_runner
from restore.networks import NETWORKS
from restore.networks.reflect_padding import ReflectConv2d, _ReflectPad
from restore.networks.resnet import ResnetConfig, ResnetGenerator
from restore.networks.weight_transfer import transfer
from restore.runtime import Runtime

Make = Callable[..., torch.nn.Module]
every_network = pytest.mark.parametrize("name", sorted(NETWORKS))
every_tiled_network = pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"lut"}))
"""Networks that do not need the whole picture."""


def _inputs(network: torch.nn.Module, side: int = 32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    channels, conditions = network.spec.channels, len(network.spec.conditions)
    inputs = [torch.rand(2, channels, side, side, generator=generator)]
    return inputs + ([0.1 * torch.rand(2, conditions, side, side, generator=generator)] if conditions else [])


def _scale(network: torch.nn.Module) -> int:
    return network.spec.scale


@every_network
@pytest.mark.parametrize("channels", [1, 3])
def test_the_correction_has_the_pictures_shape(tiny: Make, name: str, channels: int) -> None:
    network = tiny(name, channels)
    inputs = _inputs(network)
    assert network(*inputs).shape == (*inputs[0].shape[:2], *(_scale(network) * side for side in inputs[0].shape[2:]))


@every_tiled_network
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 33), (35, 9), (64, 50)])
def test_odd_sizes_keep_their_shape(tiny: Make, fp32: Runtime, name: str, height: int, width: int) -> None:
    picture = np.random.default_rng(0).random((height, width, 1), np.float32)
    network = tiny(name)
    mask = picture[:, :, 0] > 0.7 if network.spec.takes_mask else None
    restored, _ = make_runner(network, InferenceOptions(fp32)).run(picture, level=NoiseLevel.gaussian(25.0), mask=mask)
    assert restored.shape == (_scale(network) * height, _scale(network) * width, 1)
    assert np.isfinite(restored).all()


@every_network
def test_gradients_reach_every_parameter(tiny: Make, name: str) -> None:
    network = tiny(name).train()
    network(*_inputs(network)).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


@every_network
def test_saved_and_loaded_it_answers_the_same(tiny: Make, name: str, tmp_path: Path) -> None:
    first, second = tiny(name, seed=0), tiny(name, seed=1)
    weights.save(
        tmp_path / "a.safetensors",
        first.state_dict(),
        {"task": "denoise", "network": name, "settings": {}},
        dtype=torch.float32,
    )
    second.load_state_dict(weights.load(tmp_path / "a.safetensors")[0])
    assert torch.equal(first(*_inputs(first)), second(*_inputs(first)))


def test_a_network_of_whole_pictures_does_not_run_in_tiles(tiny: Make) -> None:
    assert [name for name in NETWORKS if tiny(name).spec.needs_whole_image] == ["lut"]
    with pytest.raises(ValueError, match="cannot run in tiles: use an Enhancer"):
        make_runner(tiny("lut"))


@every_tiled_network
def test_one_pixel_reaches_no_further_than_the_receptive_field(tiny: Make, name: str) -> None:
    network = tiny(name)
    reach, multiple = network.spec.receptive_field, network.spec.multiple
    side = -(-(2 * reach + 3 * multiple) // multiple) * multiple
    picture = torch.rand(1, 1, side, side, requires_grad=True)
    middle = side // 2
    inputs = [picture, torch.full((1, 1, side, side), 0.1)][: 1 + len(network.spec.conditions)]
    network(*inputs)[0, 0, _scale(network) * middle, _scale(network) * middle].backward()
    assert picture.grad is not None
    touched = picture.grad[0, 0].nonzero()
    assert (touched - middle).abs().max() <= reach
    assert (touched - middle).abs().max() > reach // 3


@pytest.mark.parametrize("unshuffle", [1, 2, 4])
def test_the_unet_works_at_a_fraction_of_the_resolution(unshuffle: int) -> None:
    network = networks.build("unet", channels=3, widths=(8, 12), blocks=(1, 1), unshuffle=unshuffle)
    assert network.spec.multiple == 2 * unshuffle
    picture, noise = torch.rand(1, 3, 24, 40), torch.rand(1, 1, 24, 40)
    hidden = []
    network.head.register_forward_hook(lambda module, inputs, output: hidden.append(output.shape[-2:]))
    assert network(picture, noise).shape == picture.shape
    assert hidden == [(24 // unshuffle, 40 // unshuffle)]


def test_the_unet_is_homogeneous(tiny: Make) -> None:
    network = tiny("unet")
    picture, noise = _inputs(network)
    torch.testing.assert_close(network(3 * picture, 3 * noise), 3 * network(picture, noise), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_the_unet_starts_without_a_checkerboard(unshuffle: int) -> None:
    torch.manual_seed(0)
    network = networks.build("unet", channels=1, widths=(8, 12), blocks=(1, 1), unshuffle=unshuffle)
    with torch.inference_mode():
        answer = network(torch.full((1, 1, 96, 96), 0.5), torch.full((1, 1, 96, 96), 0.1))[..., 40:56, 40:56]
    assert answer.abs().max() > 0
    torch.testing.assert_close(answer, answer[..., :1, :1].expand_as(answer), rtol=1e-3, atol=1e-6)


def test_an_unknown_network_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no-such.*unet"):
        networks.build("no-such")


@pytest.mark.parametrize("settings", [{"depth": 3}, {"widths": (8, 12), "blocks": (1,)}, {"unshuffle": 3}])
def test_unusable_settings_are_a_value_error(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"depth|same length|unshuffle"):
        networks.build("unet", **settings)


def test_a_residual_translator_begins_near_the_identity() -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 32, 32)
    changes = [ResnetGenerator(ResnetConfig(width=8, blocks=1, residual=residual))(picture).abs().mean() for residual in (False, True)]
    assert changes[1] < 0.3 * changes[0]


def test_an_upscaler_starts_at_the_cubic_kernel_and_without_a_checkerboard() -> None:
    torch.manual_seed(0)
    network = networks.build("upscaler", channels=3, scale=4, width=8, blocks=1)
    answer = network(torch.rand(1, 3, 12, 12))
    assert 0 < answer.abs().mean() < 0.1
    cells = torch.nn.functional.pixel_unshuffle(answer, 4).unflatten(1, (3, 16))
    torch.testing.assert_close(cells, cells[:, :, :1].expand_as(cells))


def test_an_upscaler_starts_from_one_of_another_scale() -> None:
    first, second = (networks.build("upscaler", channels=3, scale=scale, width=8, blocks=1) for scale in (2, 4))
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.normal_()
    transfer(first.state_dict(), second)
    picture = torch.rand(1, 3, 12, 12)
    torch.testing.assert_close(
        torch.nn.functional.avg_pool2d(second(picture), 4),
        torch.nn.functional.avg_pool2d(first(picture), 2),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("upsample", ["resize", "smooth", "transposed"])
def test_a_translator_without_normalisations_keeps_the_signals_size(upsample: str) -> None:
    torch.manual_seed(0)
    network = networks.build("resnet", width=16, blocks=9, norm="none", upsample=upsample)
    sizes = []
    network.tail.register_forward_pre_hook(lambda module, inputs: sizes.append(inputs[0].square().mean().sqrt()))
    network(torch.rand(1, 3, 64, 64))
    assert 0.1 < sizes[0] < 5


def test_a_residual_translator_stays_within_black_and_white() -> None:
    network = ResnetGenerator(ResnetConfig(width=8, blocks=1, residual=True))
    picture = torch.rand(1, 3, 32, 32)
    for push in (-100.0, 100.0):
        torch.nn.init.constant_(network.tail.bias, push)
        made = picture + network(picture)
        assert made.min() > -0.01
        assert made.max() < 1.01


@pytest.mark.parametrize("upsample", ["resize", "smooth", "transposed"])
@pytest.mark.parametrize("refine", [0, 2])
def test_a_translating_unet_sees_no_further_than_it_tells(upsample: str, refine: int) -> None:
    torch.manual_seed(0)
    network = networks.build("pix2pix_unet", width=4, levels=2, norm="none", upsample=upsample, refine=refine).eval()
    reach, side = network.spec.receptive_field, 96
    assert side > 2 * reach
    picture = torch.rand(1, 3, side, side)
    changed = picture.clone()
    changed[:, :, 47:49, 47:49] = 1 - changed[:, :, 47:49, 47:49]
    apart = (network(picture) + picture - network(changed) - changed).abs().amax((0, 1)) > 1e-7
    assert apart.any()
    far = torch.ones(side, side, dtype=torch.bool)
    far[47 - reach : 49 + reach, 47 - reach : 49 + reach] = False
    assert not (apart & far).any()


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("side", [1, 3])
def test_a_gpus_mirroring_is_torchs_own_and_keeps_the_layout(device: str, memory_format: torch.memory_format, side: int) -> None:
    torch.manual_seed(0)
    given = torch.randn(2, 5, 9, 4, dtype=torch.float64, device=device).contiguous(memory_format=memory_format)
    wanted = F.pad(given, (side,) * 4, mode="reflect")
    weight = torch.randn_like(wanted).contiguous(memory_format=memory_format)
    slopes = []
    for mirror in (lambda x: F.pad(x, (side,) * 4, mode="reflect"), lambda x: _ReflectPad.apply(x, side)):
        x = given.clone(memory_format=torch.preserve_format).requires_grad_()
        made = mirror(x)
        slopes += torch.autograd.grad((made * weight).sum(), x)
    assert torch.equal(made, wanted) and made.is_contiguous(memory_format=memory_format)
    torch.testing.assert_close(slopes[1], slopes[0])
    assert slopes[1].is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("size", [3, 7])
def test_a_mirrored_convolution_is_torchs_own_without_the_detour(size: int) -> None:
    torch.manual_seed(0)
    ours, theirs = ReflectConv2d(4, 6, size), nn.Conv2d(4, 6, size, padding=size // 2, padding_mode="reflect")
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 4, 9, 11).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours(x), theirs(x))
    hidden, kept = x.bfloat16().requires_grad_(), []
    with torch.autocast("cpu", torch.bfloat16):
        expected = theirs(hidden)
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.dtype) or tensor, lambda tensor: tensor):
            answer = ours(hidden)
    torch.testing.assert_close(answer, expected, rtol=0, atol=0)
    assert set(kept) == {torch.bfloat16}
    ours.padding_mode = "zeros"
    torch.testing.assert_close(ours(x), F.conv2d(x, ours.weight, ours.bias, padding=size // 2))
