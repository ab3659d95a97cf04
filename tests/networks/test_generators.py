"""The contract of every row of GENERATORS and SAMPLE_DISCRIMINATORS, and the formulas of their papers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore import weights
from restore.networks import generators
from restore.networks.generators import CONFIGS, DISCRIMINATOR_CONFIGS, GENERATORS, SAMPLE_DISCRIMINATORS
from restore.networks.generators.equalised import EqualisedConv2d, EqualisedLinear, ModulatedConv2d
from restore.networks.generators.latent import draw_batch, interpolate
from restore.networks.generators.resampling import doubled, halved
from restore.networks.generators.spec import Generator, SampleDiscriminator, sides, stages, widths
from restore.networks.generators.stylegan2 import batch_deviation

ROOT = Path(__file__).resolve().parents[2] / "restore" / "networks" / "generators"
PARTS = {"spec", "latent", "equalised", "resampling"}
"""Files without a row."""
SIDE = 32
TINY = {
    "mlp": {"widths": (8, 8)}, "dcgan": {"width": 4, "widest": 8}, "stylegan2": {"width": 4, "widest": 8, "style": 8, "mapping": 2},
    "r3gan": {"width": 4, "widest": 8, "group": 4}, "fastgan": {"width": 4, "widest": 8},
}  # fmt: skip
TINY_DISCRIMINATORS = {
    "mlp": {"widths": (8, 8)}, "dcgan": {"width": 4, "widest": 8}, "stylegan2": {"width": 4, "widest": 8},
    "r3gan": {"width": 4, "widest": 8, "group": 4}, "fastgan": {"width": 4, "widest": 8},
}  # fmt: skip
every_pair = pytest.mark.parametrize("name", sorted(GENERATORS))
with_and_without_classes = pytest.mark.parametrize("classes", [0, 3])


def generator(name: str, *, channels: int = 1, classes: int = 0, seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    config = CONFIGS[name](latent=8, **TINY[name])  # type: ignore[call-arg,arg-type]
    return generators.build(name, generators.settings_of(config, channels=channels, side=SIDE, classes=classes))


def discriminator(name: str, *, channels: int = 1, classes: int = 0) -> SampleDiscriminator:
    torch.manual_seed(1)
    config = DISCRIMINATOR_CONFIGS[name](**TINY_DISCRIMINATORS[name])  # type: ignore[arg-type]
    return generators.build_discriminator(config, channels=channels, side=SIDE, classes=classes)


def noise(network: Generator, count: int = 6) -> tuple[Tensor, Tensor | None, Tensor | None]:
    latent, pixel_noise = draw_batch(range(count), network.spec)
    return latent, torch.arange(count) % network.spec.classes if network.spec.classes else None, pixel_noise


def test_the_tables_equal_the_folder() -> None:
    files = {path.stem for path in ROOT.glob("*.py")} - {"__init__"} - PARTS
    for table in (GENERATORS, SAMPLE_DISCRIMINATORS):
        assert table.keys() == files == {row.network.__module__.rpartition(".")[2] for row in table.values()}
        assert all(row.config().name == name for name, row in table.items())  # type: ignore[call-arg]


@every_pair
@with_and_without_classes
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_and_logits_have_their_shapes(name: str, classes: int, channels: int) -> None:
    network, judge = generator(name, channels=channels, classes=classes), discriminator(name, channels=channels, classes=classes)
    latent, labels, pixel_noise = noise(network)
    pictures = network(latent, labels, pixel_noise)
    assert pictures.shape == (6, channels, SIDE, SIDE) and network.spec.channels == channels
    logits, auxiliary = judge(pictures, labels, auxiliary=True)
    assert logits.shape[0] == 6 and logits.dim() == 2
    assert (auxiliary is not None) == judge.self_supervised


@every_pair
@with_and_without_classes
def test_gradients_reach_every_parameter(name: str, classes: int) -> None:
    network, judge = generator(name, classes=classes), discriminator(name, classes=classes)
    for layer in [*network.modules(), *judge.modules()]:  # what begins as 0 blocks what lies before it
        for parameter in layer.parameters(recurse=False):
            if not parameter.any():
                torch.nn.init.normal_(parameter, 0, 0.3)
    latent, labels, pixel_noise = noise(network)
    judged = judge(network(latent, labels, pixel_noise), labels, auxiliary=True)
    (judged.logits.square().sum() + (0 if judged.auxiliary is None else judged.auxiliary)).backward()
    for part in (network, judge):
        for key, parameter in part.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, key


@every_pair
def test_saved_and_loaded_it_makes_the_same(name: str, tmp_path: Path) -> None:
    network = generator(name, classes=3).eval()
    settings = generators.settings_of(CONFIGS[name](latent=8, **TINY[name]), channels=1, side=SIDE, classes=3)  # type: ignore[call-arg,arg-type]
    recipe = {"task": "generate", "network": name, "settings": settings}
    weights.save(tmp_path / "a.safetensors", network.state_dict(), recipe, dtype=torch.float32)
    tensors, read = weights.load(tmp_path / "a.safetensors")
    other = generators.load(read["network"], read["settings"], tensors).eval()
    inputs = noise(network)
    assert torch.equal(network(*inputs), other(*inputs))


@every_pair
def test_a_label_and_truncation_matter(name: str) -> None:
    network = generator(name, classes=3)
    latent, _, pixel_noise = noise(network)
    network(latent, torch.zeros(6, dtype=torch.long), pixel_noise)  # for batch normalisation and the mean style
    network.eval()
    first, second = (network(latent, torch.full((6,), label), pixel_noise) for label in (0, 1))
    assert (first - second).abs().max() > 1e-6
    labels = torch.zeros(6, dtype=torch.long)
    spread = [network.styles(latent, labels, truncation=truncation).std(0).mean() for truncation in (1.0, 0.5, 0.0)]
    assert spread[0] > 1.5 * spread[1] > 0 and spread[2] < 1e-6


@every_pair
def test_a_network_with_classes_needs_labels(name: str) -> None:
    network = generator(name, classes=3)
    with pytest.raises(ValueError, match="label"):
        network.styles(noise(network)[0])


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown generator 'vae'"):
        generators.build("vae", {})
    with pytest.raises(ValueError, match=r"data\.crop must be"):
        generators.build("dcgan", {"channels": 1, "side": 34, "classes": 0})
    with pytest.raises(ValueError, match="it has no setting 'depth'"):
        generators.build("mlp", {"channels": 1, "side": 28, "classes": 0, "depth": 3})
    with pytest.raises(ValueError, match="at least 32 x 32"):
        generators.build_discriminator(DISCRIMINATOR_CONFIGS["fastgan"](), channels=1, side=16, classes=0)  # type: ignore[call-arg]


@pytest.mark.parametrize(("side", "start", "doublings"), [(28, 7, 2), (32, 4, 3), (128, 4, 5), (96, 6, 4), (80, 5, 4), (8, 4, 1)])
def test_stages(side: int, start: int, doublings: int) -> None:
    assert stages(side) == (start, doublings)
    assert widths(8, 20, 3) == [20, 20, 16, 8]


@pytest.mark.parametrize(
    ("side", "smallest", "maps"), [(28, 7, [7, 14, 28]), (28, 4, [4, 7, 14, 28]), (80, 4, [3, 5, 10, 20, 40, 80]), (32, 4, [4, 8, 16, 32])]
)
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_the_coarsest_map_of_dcgan(side: int, smallest: int, maps: list[int], upsample: str) -> None:
    assert sides(side, smallest) == maps
    settings = {"channels": 1, "side": side, "classes": 0, "width": 4, "widest": 8, "smallest": smallest, "upsample": upsample}
    generator = generators.build("dcgan", settings)
    convolutions = [layer for layer in generator.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) == len(maps) - 1
    config = DISCRIMINATOR_CONFIGS["dcgan"](width=4, widest=8, smallest=smallest)  # type: ignore[call-arg]
    discriminator = generators.build_discriminator(config, channels=1, side=side, classes=0)
    pictures = generator.synthesise(torch.randn(2, 1, generator.spec.latent))
    assert pictures.shape == (2, 1, side, side)
    assert discriminator(pictures).logits.shape == (2, 1)


# formulas


def test_demodulation_in_float64() -> None:
    """Karras et al. 2020, eq. 1 and 3, written out for each sample with weights of its own."""
    torch.manual_seed(0)
    layer = ModulatedConv2d(5, 7, 3, style=4).double()
    x, style = torch.randn(3, 5, 8, 8, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    scale = layer.affine(style)
    for index in range(3):
        modulated = layer.weight / 45**0.5 * scale[index][None, :, None, None]
        demodulated = modulated / (modulated.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected = F.conv2d(x[index : index + 1], demodulated, padding=1)
        torch.testing.assert_close(layer(x, style)[index : index + 1], expected, rtol=1e-10, atol=1e-12)


def test_demodulated_outputs_have_unit_variance() -> None:
    torch.manual_seed(0)
    layer = ModulatedConv2d(32, 64, 3, style=4)
    out = layer(torch.randn(8, 32, 16, 16), 3 * torch.randn(8, 4))
    assert float(out[:, :, 1:-1, 1:-1].detach().std((0, 2, 3)).mean()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_equalised_learning_rate_in_float64(rate: float) -> None:
    """Karras et al. 2018, section 4.1: N(0, 1) scaled by 1 / sqrt(inputs), so that Adam moves a weight by rate / sqrt(inputs)."""
    torch.manual_seed(0)
    layer = EqualisedLinear(50, 40, rate=rate, bias=2.0).double()
    x = torch.randn(200, 50, dtype=torch.float64)
    expected = x @ (layer.weight * rate / 50**0.5).T + layer.bias * rate
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)
    assert float(layer.weight.detach().std()) * rate == pytest.approx(1, rel=0.05)
    torch.testing.assert_close(layer(torch.zeros(1, 50, dtype=torch.float64)), torch.full((1, 40), 2.0, dtype=torch.float64))
    before = layer(torch.eye(50, dtype=torch.float64)).detach()
    optimizer = torch.optim.Adam([layer.weight], 1e-3)
    layer(x).sum().backward()
    optimizer.step()
    moved = (layer(torch.eye(50, dtype=torch.float64)) - before).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 1e-3 * rate / 50**0.5), rtol=1e-3, atol=0)


def test_an_equalised_convolution_in_float64() -> None:
    layer = EqualisedConv2d(3, 4, 3).double()
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight / 27**0.5, layer.bias, padding=1), rtol=1e-12, atol=1e-12)


def test_halving_and_doubling_are_the_binomial_filter() -> None:
    x = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    line = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 8
    kernel = torch.outer(line, line).expand(3, 1, 4, 4)
    torch.testing.assert_close(halved(x), F.conv2d(F.pad(x, (1, 1, 1, 1)), kernel, stride=2, groups=3))
    spread = F.conv_transpose2d(x, 4 * kernel, stride=2, padding=1, groups=3)
    torch.testing.assert_close(doubled(x)[:, :, 1:-1, 1:-1], spread[:, :, 1:-1, 1:-1])


def test_the_deviation_over_the_batch() -> None:
    same = torch.randn(1, 3, 4, 4).expand(4, -1, -1, -1)
    assert batch_deviation(same).max() < 1e-3
    assert batch_deviation(torch.randn(6, 3, 4, 4)).shape == (6, 1, 4, 4)


def test_styles_are_mixed_by_layer() -> None:
    """Coarse layers decide where things are: another style in the last layers changes less than one in the first layers."""
    network = generator("stylegan2").eval()
    latent, _, _ = noise(network)
    styles = network.styles(latent)
    assert styles.shape[1] == network.spec.layers == 8
    other = styles.flip(0)
    plain = network.synthesise(styles)
    for crossover in (1, 7):
        mixed = torch.cat([styles[:, :crossover], other[:, crossover:]], 1)
        assert (network.synthesise(mixed) - plain).abs().max() > 1e-5


def test_r3gan_blocks_begin_as_the_identity() -> None:
    network = generator("r3gan")
    x = torch.randn(2, network.basis.shape[0], 4, 4)
    assert torch.equal(network.stages[0](x), x)


def test_a_picture_of_a_seed_depends_on_nothing_else() -> None:
    spec = generator("stylegan2").spec
    alone, together = draw_batch([7], spec), draw_batch([3, 7, 9], spec)
    assert torch.equal(alone[0][0], together[0][1])
    assert alone[1] is not None and together[1] is not None and torch.equal(alone[1][0], together[1][1])


def test_interpolation_keeps_the_length() -> None:
    generator = np.random.default_rng(0)
    first, second = (torch.from_numpy(generator.standard_normal(64, dtype=np.float32)) for _ in range(2))
    way = interpolate(first, second, torch.linspace(0, 1, 9))
    torch.testing.assert_close(way[0], first, atol=1e-5, rtol=0)
    torch.testing.assert_close(way[-1], second, atol=1e-5, rtol=0)
    assert way.norm(dim=1).min() > 0.95 * min(first.norm(), second.norm())
    torch.testing.assert_close(interpolate(first, first, torch.tensor([0.5]))[0], first)
