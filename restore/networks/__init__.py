"""The networks: one architecture a file with its settings and its `ModelSpec`, one table `NETWORKS`.

A network takes a picture (B, C, H, W) in nominal [0, 1] and the maps that its spec names. Its residual is added in float32 to the
picture, enlarged by `resample.enlarge` where the network enlarges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import NamedTuple

from torch import Tensor

from restore.networks import meta_device
from restore.networks.colorizer import ColorizerConfig, ColorizerNet
from restore.networks.error_head import ErrorHead, ErrorHeadConfig
from restore.networks.inpainter import InpainterConfig, InpainterNet
from restore.networks.luma_chroma_unet import LumaChromaUNet, LumaChromaUNetConfig
from restore.networks.lut import LutConfig, LutNetwork
from restore.networks.pix2pix_unet import Pix2PixUNet, Pix2PixUNetConfig
from restore.networks.resnet import ResnetConfig, ResnetGenerator
from restore.networks.rrdb import RRDBConfig, RRDBNet
from restore.networks.spec import ModelSpec, NetworkConfig, RestorationNetwork, Settings
from restore.networks.third_party import ThirdPartyConfig, ThirdPartyNetwork
from restore.networks.unet import RestorationUNet, UNetConfig
from restore.networks.upscaler import UpscalerConfig, UpscalerNet

__all__ = [
    "CONFIGS", "LOADABLE", "NETWORKS", "Architecture", "ModelSpec", "NetworkConfig", "RestorationNetwork", "build", "check",
    "config_of", "load", "plan", "settings_of",
]  # fmt: skip


class Architecture(NamedTuple):
    """One row of `NETWORKS`: the network's settings, and the class that is built from them."""

    config: type[NetworkConfig]
    network: type[RestorationNetwork]


NETWORKS: Mapping[str, Architecture] = {
    "unet": Architecture(UNetConfig, RestorationUNet),
    "luma_chroma_unet": Architecture(LumaChromaUNetConfig, LumaChromaUNet),
    "resnet": Architecture(ResnetConfig, ResnetGenerator),
    "pix2pix_unet": Architecture(Pix2PixUNetConfig, Pix2PixUNet),
    "upscaler": Architecture(UpscalerConfig, UpscalerNet),
    "rrdb": Architecture(RRDBConfig, RRDBNet),
    "inpainter": Architecture(InpainterConfig, InpainterNet),
    "colorizer": Architecture(ColorizerConfig, ColorizerNet),
    "lut": Architecture(LutConfig, LutNetwork),
}
"""The networks that can be trained."""
LOADABLE: Mapping[str, Architecture] = {
    **NETWORKS,
    "third_party": Architecture(ThirdPartyConfig, ThirdPartyNetwork),
    "error_head": Architecture(ErrorHeadConfig, ErrorHead),
}
"""The networks that a weights file can name."""
CONFIGS: Mapping[str, type[NetworkConfig]] = {name: row.config for name, row in NETWORKS.items()}
"""Name -> settings, for a configuration's group whose `name` chooses the network."""
OF_THE_RUN = ("channels", "scale")
"""Settings of a weights file that belong to the run, not to the network's own configuration."""


def settings_of(config: NetworkConfig, *, channels: int, scale: int = 1) -> Settings:
    """The settings that a weights file records, and that `build` takes.

    Args:
        config: the network's own.
        channels: of the picture.
        scale: how many times the network enlarges; left out where it cannot.

    Raises:
        ValueError: a scale above 1 for a network that does not enlarge.
    """
    enlarges = NETWORKS[config.name].network.enlarges
    if scale != 1 and not enlarges:
        able = ", ".join(name for name, row in NETWORKS.items() if row.network.enlarges)
        raise ValueError(f"network {config.name!r} does not enlarge: use one of {able}")
    return {"channels": channels, **({"scale": scale} if enlarges else {}), **config.settings()}


def config_of(name: str, settings: Settings) -> NetworkConfig:
    """The configuration of a network whose settings a weights file records; the network's defaults where it records none.

    Raises:
        ValueError: no such network, or a setting that it does not have.
    """
    row = _row(name)
    known = {entry.name for entry in fields(row.config)} - {"name"}
    own = {key: value for key, value in settings.items() if key not in OF_THE_RUN}
    unknown = [key for key in own if key not in known]
    if unknown:
        raise ValueError(f"it has no setting {unknown[0][:100]!r}: there are {', '.join(sorted(known))}")
    values: Settings = {key: tuple(value) if isinstance(value, list) else value for key, value in own.items()}
    return row.config(**values)


def build(name: str, **settings: object) -> RestorationNetwork:
    """Build the network called `name` from the settings that a weights file records: channels, scale, and its own.

    Raises:
        ValueError: no such network, or settings that it cannot be built with.
    """
    if _row(name).network.trainable:
        count = meta_device.parameters(plan(name, settings))
        meta_device.check_memory(count, f"network {name!r} has {count} parameters: make it smaller")
    return _made(name, settings)


def plan(name: str, settings: Settings, *, layers: int = meta_device.MOST_LAYERS) -> RestorationNetwork:
    """The network called `name` on PyTorch's `meta` device, without memory for its weights.

    Args:
        layers: how many layers it can have; see `meta_device.check_settings`.

    Raises:
        ValueError: no such network, or settings that it cannot be built with.
    """
    row = _row(name)
    try:
        meta_device.check_settings(settings, counts=_counts(row), layers=layers)
        return meta_device.plan(lambda: _made(name, settings))
    except ValueError as error:
        raise ValueError(f"network {name!r} cannot be built with {repr(dict(settings))[:200]}: {error}") from error


def check(name: str, settings: Settings, tensors: Mapping[str, Tensor]) -> None:
    """Check that `tensors` are those of the network that a recipe names, before it is built.

    Raises:
        ValueError: they are not, or there is no such network.
    """
    if not _row(name).network.trainable:
        meta_device.check_settings(settings)
        return
    planned = plan(name, settings, layers=min(len(tensors), meta_device.MOST_LAYERS))
    meta_device.check_tensors(planned, {key: tuple(value.shape) for key, value in tensors.items()})


def load(name: str, settings: Settings, tensors: Mapping[str, Tensor]) -> RestorationNetwork:
    """The network called `name` with `tensors`. Untrusted tensors that do not fit cost neither memory nor time.

    Raises:
        ValueError: as `check`, or tensors that spandrel does not recognise.
    """
    check(name, settings, tensors)
    network = build(name, **settings)
    network.load_state_dict(tensors)
    return network


def _row(name: str) -> Architecture:
    if name not in LOADABLE:
        raise ValueError(f"unknown network {name[:100]!r}: there are {', '.join(sorted(NETWORKS))}")
    return LOADABLE[name]


def _made(name: str, settings: Settings) -> RestorationNetwork:
    row = _row(name)
    of_the_run = {key: settings[key] for key in OF_THE_RUN if key in settings}
    if "scale" in of_the_run and not row.network.enlarges:
        raise ValueError("it does not enlarge, and takes no scale")
    return row.network(config_of(name, settings), **of_the_run)


def _counts(row: Architecture) -> set[str]:
    return {entry.name for entry in fields(row.config) if entry.metadata.get("layers")}
