"""Any network of NETWORKS can be chosen in any method that gives it what it takes; a new row is known everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import restore
from restore import networks, weights
from restore.networks import Architecture, ModelSpec, NetworkConfig, RestorationNetwork

Photos = Callable[..., Path]
BASE = {"data.crop": "32", "loop.batch_size": "1", "loop.steps": "1", "precision": "fp32", "device": "cpu"}
DISCRIMINATOR = {"discriminator.network": "patchgan", "discriminator.width": "4"}
DOMAINS = BASE | DISCRIMINATOR | {"data.sides": "32,40"}


@dataclass(frozen=True)
class ShallowConfig(NetworkConfig):
    """The settings of `Shallow`."""

    name: Literal["shallow"] = "shallow"
    depth: int = field(default=2, metadata={"help": "convolutions", "range": (1, 8), "layers": True})
    slope: float = field(default=0.1, metadata={"help": "of the rectifiers", "range": (0, 1), "free": True})


class Shallow(RestorationNetwork):
    """A few convolutions, which may enlarge."""

    enlarges: ClassVar[bool] = True

    def __init__(self, config: ShallowConfig, *, channels: int = 1, scale: int = 1) -> None:
        super().__init__()
        self.spec = ModelSpec(channels, channels, receptive_field=config.depth + 1, scale=scale)
        hidden = [nn.Sequential(nn.LazyConv2d(4, 3, padding=1), nn.LeakyReLU(config.slope)) for _ in range(config.depth - 1)]
        layers = [*hidden, nn.LazyConv2d(channels * scale**2, 3, padding=1), nn.PixelShuffle(scale)]
        self.layers = nn.Sequential(*layers)
        self.layers(torch.zeros(1, channels, 8, 8))

    def forward(self, picture: Tensor) -> Tensor:
        result: Tensor = self.layers(picture)
        return result


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more row in the table, and in what is derived from it."""
    row = Architecture(ShallowConfig, Shallow)
    monkeypatch.setitem(networks.NETWORKS, "shallow", row)  # type: ignore[arg-type]  # a Mapping to all others
    monkeypatch.setitem(networks.LOADABLE, "shallow", row)  # type: ignore[arg-type]  # a Mapping to all others
    monkeypatch.setitem(networks.CONFIGS, "shallow", ShallowConfig)  # type: ignore[arg-type]  # a Mapping to all others


@pytest.fixture
def folder(photos: Photos, own_weights: Path) -> Path:
    """Clean pictures, and two domains, in a working directory of the test's own."""
    assert own_weights.is_dir()
    for part in ("source", "target"):
        photos(Path("domains") / part, channels=3)
    return photos(Path("photos"))


def _train(method: str, data: Path, **settings: Any) -> dict[str, Any]:
    base = DOMAINS if method in ("cyclegan", "pix2pix") else BASE
    restore.train(method, data, overrides={**base, **settings.pop("overrides", {})}, out="runs/a", **settings)
    return weights.find("runs/a").recipe


@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("denoise", {}), ("upscale", {"scale": "2"}), ("scratches", {}), ("cyclegan", {}), ("pix2pix", {}),
    ],
)  # fmt: skip
def test_a_new_network_is_trained_and_used_by_its_name(folder: Path, method: str, more: dict[str, str]) -> None:
    domains = method in ("cyclegan", "pix2pix")
    group, data = ("generator", Path("domains")) if domains else ("network", folder)
    recipe = _train(method, data, overrides={f"{group}.name": "shallow", f"{group}.depth": "3", **more})
    channels = recipe["settings"]["channels"]
    assert (recipe["network"], recipe["settings"]) == (
        "shallow", {"channels": channels, "scale": int(more.get("scale", 1)), "depth": 3, "slope": 0.1},
    )  # fmt: skip
    assert recipe["training"][group] == {"name": "shallow", "depth": 3, "slope": 0.1}
    assert f'[{group}]\nname = "shallow"' in Path("runs/a/config.toml").read_text()
    restorer = restore.load("a", device="cpu", precision="fp32")
    scale = int(more.get("scale", 1))
    picture = np.random.default_rng(0).random((20, 24, channels), np.float32)
    expected = (20, 24) if method == "scratches" else (20 * scale, 24 * scale, channels)  # a detector returns a map
    assert restorer(picture).shape == expected


@pytest.mark.usefixtures("shallow")
def test_a_new_network_goes_on_and_starts_others(folder: Path) -> None:
    _train("denoise", folder, overrides={"network.name": "shallow"})
    _train("denoise", folder, overrides={"network.name": "shallow", "loop.steps": "2"}, resume=True)
    restore.train(
        "denoise",
        folder,
        overrides={**BASE, "start_from": "runs/a", "network.name": "shallow", "network.slope": "0.2"},
        out="b",
    )
    assert weights.find("b").recipe["settings"] == {"channels": 1, "scale": 1, "depth": 2, "slope": 0.2}
    with pytest.raises(ValueError, match=r"start_from=runs/a: .*network\.depth=2"):
        _train("denoise", folder, overrides={"start_from": "runs/a", "network.name": "shallow", "network.depth": "3"})
    with pytest.raises(ValueError, match=r"start_from=runs/a: .*network\.name=shallow, which has no unshuffle"):
        _train("denoise", folder, overrides={"start_from": "runs/a", "network.unshuffle": "1"})


@pytest.mark.parametrize(
    ("method", "overrides"),
    [
        ("denoise", {"network.name": "resnet", "network.width": "4", "network.blocks": "1"}),
        ("denoise", {"network.name": "pix2pix_unet", "network.width": "4", "network.levels": "3"}),
        (
            "upscale",
            {"network.name": "rrdb", "network.width": "4", "network.growth": "4", "network.blocks": "1", "scale": "2"},
        ),
        ("scratches", {"network.name": "resnet", "network.width": "4", "network.blocks": "1"}),
        (
            "cyclegan",
            {"generator.name": "rrdb", "generator.width": "4", "generator.growth": "4", "generator.blocks": "1"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value.values())),
)
def test_other_networks_fit_too(folder: Path, method: str, overrides: dict[str, str]) -> None:
    data = Path("domains") if method == "cyclegan" else folder
    name = next(value for key, value in overrides.items() if key.endswith(".name"))
    assert _train(method, data, overrides=overrides)["network"] == name


@pytest.mark.parametrize(
    ("method", "overrides", "word"),
    [
        ("denoise", {"network.name": "inpainter"}, "'inpainter' takes a mask map"),
        ("denoise", {"network.name": "upscaler"}, "scale must be 2, 3 or 4"),
        ("inpaint", {"network.name": "unet"}, "'unet' takes a noise map"),
        ("inpaint", {"network.name": "resnet"}, "'resnet' takes no mask"),
        ("upscale", {"network.name": "unet"}, "'unet' does not enlarge: use one of upscaler, rrdb"),
        ("cyclegan", {"generator.name": "unet"}, "'unet' takes a noise map"),
        ("denoise", {"network.name": "lut"}, "'lut' does not fit: denoise runs in tiles"),
        ("cyclegan", {"generator.name": "lut"}, "'lut' needs whole pictures, translate has tiles"),
        ("enhance", {"network.name": "resnet"}, "'resnet' does not fit: enhance needs a network of whole pictures"),
        ("denoise", {"network.name": "unett"}, r"'network\.name' must be one of .*did you mean 'unet'"),
        (
            "denoise",
            {"network.levels": "3"},
            r"'network\.levels' is a setting of pix2pix_unet, and 'network\.name' is unet",
        ),
        ("denoise", {"network.depht": "3"}, r"unknown setting 'network\.depht'"),
        ("denoise", {"network.contains": "x"}, r"unknown setting 'network\.contains'"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_written(folder: Path, method: str, overrides: dict[str, str], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        _train(method, Path("domains") if method == "cyclegan" else folder, overrides=overrides)
    assert not Path("runs").exists()


def test_what_a_method_changes_of_a_networks_defaults_holds_for_other_networks(folder: Path) -> None:
    overrides = {"generator.name": "resnet", "generator.width": "4", "generator.blocks": "1"}
    settings = _train("pix2pix", Path("domains"), overrides=overrides)["settings"]
    assert settings["dropout"] == 0.5  # pix2pix's noise, whatever the generator
    assert settings["upsample"] == "resize"
