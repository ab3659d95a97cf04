"""What the networks that ship declare, compared with what they are."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import torch
from torch import nn

from restore import networks, weights
from restore.inference import instance_statistics
from restore.networks import NETWORKS, RestorationNetwork
from restore.networks.spec import CONDITION_CHANNELS

NOT_RESTORING = ("confidence", "digits", "xray-generator")
SHIPPED = sorted(path for path in (Path(__file__).resolve().parents[2] / "weights").glob("*.safetensors") if path.stem not in NOT_RESTORING)
OVERLAPS = {
    "artifacts": 64, "colorize": 256, "denoise-camera": 64, "denoise-color": 64, "denoise-gray": 64, "denoise-xray": 96, "enhance": 0,
    "facades": 324, "inpaint": 384, "photo2paint": 170, "scratches": 164, "sharpen": 64,
    "upscale-x2": 64, "upscale-x4": 64, "upscale-x4-photo": 64,
}  # fmt: skip
"""Pixels by which the tiles of each overlap: tiled pictures equal whole ones within 1/255 (`tests/inference/test_restorer.py`)."""
by_file = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)


def _shipped(path: Path) -> RestorationNetwork:
    tensors, recipe = weights.load(path)
    return networks.load(recipe["network"], recipe["settings"], weights.select_network(tensors, recipe)).float().eval()


@by_file
def test_the_specs_of_what_ships(path: Path) -> None:
    network, recipe = _shipped(path), weights.recipe(path)
    spec = network.spec
    assert spec.channels == spec.out_channels == recipe["settings"]["channels"]
    assert spec.scale == recipe["settings"].get("scale", 1)
    assert spec.overlap == OVERLAPS[path.stem]
    assert spec.output == "residual"
    assert spec.sees_whole_image == instance_statistics.share_statistics(network)
    assert spec.homogeneous == all("bias" not in key for key in network.state_dict())


@by_file
def test_nothing_beyond_the_receptive_field_of_what_ships_matters(path: Path) -> None:
    network = _shipped(path)
    spec = network.spec
    if spec.needs_whole_image:
        pytest.skip("each pixel depends on all others")
    height, width = (
        4 * spec.multiple + 4,
        2 * spec.receptive_field + 4 * spec.multiple,
    )  # a strip: it is the same in both directions
    height, width = (-(-side // spec.multiple) * spec.multiple for side in (height, width))
    picture = torch.rand(1, spec.channels, height, width, generator=torch.Generator().manual_seed(0)).requires_grad_()
    maps = [
        torch.full((1, CONDITION_CHANNELS[condition], height, width), 1.0 if condition == "mask" else 0.1) for condition in spec.conditions
    ]
    network(picture, *maps)[0, 0, spec.scale * (height // 2), spec.scale * (width // 2)].backward()
    assert picture.grad is not None
    distance = (picture.grad[0].abs().amax((0, 1)).nonzero() - width // 2).abs().max()
    assert spec.receptive_field // 4 < distance <= spec.receptive_field


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_setting_explains_itself_and_is_recorded(name: str) -> None:
    config = NETWORKS[name].config
    assert config.__dataclass_params__.frozen  # type: ignore[attr-defined]  # of every dataclass
    assert config().name == name
    for entry in fields(config):
        assert entry.metadata["help"], entry.name
    enlarges = NETWORKS[name].network.enlarges
    settings = networks.settings_of(config(), channels=3, scale=2 if enlarges else 1)
    assert networks.config_of(name, settings) == config()
    assert networks.plan(name, settings).spec.scale == (2 if enlarges else 1)


@pytest.mark.parametrize("norm", ["instance", "batch", "pixel", "none"])
@pytest.mark.parametrize("name", ["resnet", "pix2pix_unet"])
def test_only_instance_normalisation_sees_the_whole_image(name: str, norm: str) -> None:
    size = {"blocks": 1} if name == "resnet" else {"levels": 3}
    network = networks.build(name, channels=1, width=4, norm=norm, **size)
    assert network.spec.sees_whole_image == (norm == "instance") == instance_statistics.share_statistics(network)


def test_a_conflict_is_the_first_setting_that_weights_cannot_start_with() -> None:
    unet = networks.config_of("unet", {"widths": [8, 12], "blocks": [1, 1]})
    luma = networks.config_of("luma_chroma_unet", {"widths": [8, 12], "blocks": [1, 1], "chroma_widths": [8]})
    assert luma.conflict(unet) is None and unet.conflict(luma) is None  # the luminance's network is one
    assert unet.conflict(networks.config_of("resnet", {})) == "name"
    assert luma.conflict(networks.config_of("luma_chroma_unet", {"widths": [8, 12], "blocks": [1, 1]})) is None
    assert unet.conflict(networks.config_of("unet", {"widths": [8, 12], "blocks": [1, 2]})) == "blocks"
    assert unet.conflict(networks.config_of("unet", {"widths": [8, 12], "blocks": [1, 0]})) is None  # it may grow
    assert unet.conflict(networks.config_of("unet", {"widths": [8, 12], "blocks": [1]})) == "blocks"
    assert unet.conflict(networks.config_of("unet", {"widths": [8, 12], "blocks": [1, 1], "condition": "quantisation"})) is None
    assert unet.conflict(networks.config_of("unet", {"widths": [8, 12], "blocks": [1, 1], "condition": "blur"})) == "condition"


def test_a_network_that_does_not_enlarge_takes_no_scale() -> None:
    with pytest.raises(ValueError, match="does not enlarge"):
        networks.build("unet", channels=1, scale=2)
    with pytest.raises(ValueError, match="'unet' does not enlarge: use one of upscaler, rrdb"):
        networks.settings_of(networks.config_of("unet", {}), channels=1, scale=2)
    assert isinstance(networks.build("upscaler", channels=1, scale=2, width=4, blocks=1), nn.Module)
