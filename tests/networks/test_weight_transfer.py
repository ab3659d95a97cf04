"""Starting one network from another's weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from restore import networks
from restore.networks.weight_transfer import transfer

Make = Callable[..., torch.nn.Module]
PICTURE = torch.rand(1, 1, 16, 24, generator=torch.Generator().manual_seed(0))
NOISE = torch.full((1, 1, 16, 24), 0.1)


def test_a_colour_network_from_a_gray_one_answers_gray_the_same(tiny: Make) -> None:
    gray, colour = tiny(channels=1, seed=0), tiny(channels=3, seed=1)
    transfer(gray.state_dict(), colour)
    expected = gray(PICTURE, NOISE).expand(-1, 3, -1, -1)
    torch.testing.assert_close(colour(PICTURE.expand(-1, 3, -1, -1), NOISE), expected, rtol=1e-4, atol=1e-5)


def test_unshuffled_cells_are_spread_colour_by_colour() -> None:
    settings = {"widths": (8, 12), "blocks": (1, 1), "unshuffle": 2}
    gray, colour = (networks.build("unet", channels=channels, **settings) for channels in (1, 3))
    transfer(gray.state_dict(), colour)
    expected = gray(PICTURE, NOISE).expand(-1, 3, -1, -1)
    torch.testing.assert_close(colour(PICTURE.expand(-1, 3, -1, -1), NOISE), expected, rtol=1e-4, atol=1e-5)


def test_a_gray_network_from_a_colour_one_answers_the_mean(tiny: Make) -> None:
    gray, colour = tiny(channels=1, seed=0), tiny(channels=3, seed=1)
    transfer(colour.state_dict(), gray)
    expected = colour(PICTURE.expand(-1, 3, -1, -1), NOISE).mean(1, keepdim=True)
    torch.testing.assert_close(gray(PICTURE, NOISE), expected, rtol=1e-4, atol=1e-5)


def test_half_precision_weights_are_taken(tiny: Make) -> None:
    first, second = tiny(seed=0), tiny(seed=1)
    transfer({key: value.half() for key, value in first.state_dict().items()}, second)
    assert all(value.dtype == torch.float32 for value in second.state_dict().values())
    torch.testing.assert_close(second(PICTURE, NOISE), first(PICTURE, NOISE), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"widths": (8,), "blocks": (1,)}, "architecture"), ({"widths": (8, 16), "blocks": (1, 1)}, "size")],
)
def test_another_architecture_is_refused(tiny: Make, settings: dict[str, tuple[int, ...]], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        transfer(tiny().state_dict(), networks.build("unet", channels=1, **settings))


def test_a_colour_upscaler_from_a_gray_one_enlarges_gray_the_same() -> None:
    gray, colour = (networks.build("upscaler", channels=channels, scale=2, width=8, blocks=1) for channels in (1, 3))
    tensors = {key: value for key, value in gray.state_dict().items() if not key.startswith("tail.")}
    colour_tail = {key: value for key, value in colour.state_dict().items() if key.startswith("tail.")}
    transfer(tensors | colour_tail, colour)
    heads = [network.head(PICTURE.expand(-1, channels, -1, -1)) for network, channels in ((gray, 1), (colour, 3))]
    torch.testing.assert_close(heads[0], heads[1], rtol=1e-4, atol=1e-5)


def test_a_network_with_more_blocks_begins_as_the_smaller_one() -> None:
    torch.manual_seed(0)
    for name, more in (("unet", {}), ("luma_chroma_unet", {"chroma_widths": (8, 8)})):
        small = networks.build(name, channels=1 if name == "unet" else 3, widths=(8, 12), blocks=(1, 1), **more)
        large = networks.build(name, channels=1 if name == "unet" else 3, widths=(8, 12), blocks=(3, 2), **more)
        transfer(small.state_dict(), large)
        picture = PICTURE.expand(-1, small.spec.channels, -1, -1)
        torch.testing.assert_close(large(picture, NOISE), small(picture, NOISE), rtol=1e-4, atol=1e-5)
        large(picture, NOISE).square().sum().backward()
        added = dict(large.named_parameters())[f"{'luminance.' if more else ''}encoders.0.2.second.weight"]
        assert added.grad is not None and added.grad.abs().sum() > 0  # it learns
    with pytest.raises(ValueError, match="architecture"):
        transfer(large.state_dict(), small)


def test_a_gray_network_starts_from_the_luminance_of_a_colour_network(tiny: Make) -> None:
    colour = tiny("luma_chroma_unet", 3, seed=0)
    gray = tiny("unet", 1, seed=1)
    transfer(colour.state_dict(), gray)
    torch.testing.assert_close(gray(PICTURE, NOISE), colour.luminance(PICTURE, NOISE))
