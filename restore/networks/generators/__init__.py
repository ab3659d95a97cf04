"""Networks that make pictures from noise, one pair a file: its generator, its discriminator, their settings and the paper.

Two tables: `GENERATORS`, whose weights are published, and `SAMPLE_DISCRIMINATORS`, which only training needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import NamedTuple

from torch import Tensor

from restore.networks import meta_device
from restore.networks.generators.dcgan import DCGANConfig, DCGANDiscriminator, DCGANDiscriminatorConfig, DCGANGenerator
from restore.networks.generators.fastgan import FastGANConfig, FastGANDiscriminator, FastGANDiscriminatorConfig, FastGANGenerator
from restore.networks.generators.mlp import MLPConfig, MLPDiscriminator, MLPDiscriminatorConfig, MLPGenerator
from restore.networks.generators.r3gan import R3GANConfig, R3GANDiscriminator, R3GANDiscriminatorConfig, R3GANGenerator
from restore.networks.generators.spec import Generator, SampleConfig, SampleDiscriminator
from restore.networks.generators.stylegan2 import (
    StyleGAN2Config,
    StyleGAN2Discriminator,
    StyleGAN2DiscriminatorConfig,
    StyleGAN2Generator,
)
from restore.networks.spec import Settings


class GeneratorRow(NamedTuple):
    """One row of `GENERATORS`: the settings, and the class that is built from them."""

    config: type[SampleConfig]
    network: type[Generator]


class DiscriminatorRow(NamedTuple):
    """One row of `SAMPLE_DISCRIMINATORS`."""

    config: type[SampleConfig]
    network: type[SampleDiscriminator]


GENERATORS: Mapping[str, GeneratorRow] = {
    "mlp": GeneratorRow(MLPConfig, MLPGenerator),
    "dcgan": GeneratorRow(DCGANConfig, DCGANGenerator),
    "stylegan2": GeneratorRow(StyleGAN2Config, StyleGAN2Generator),
    "r3gan": GeneratorRow(R3GANConfig, R3GANGenerator),
    "fastgan": GeneratorRow(FastGANConfig, FastGANGenerator),
}
SAMPLE_DISCRIMINATORS: Mapping[str, DiscriminatorRow] = {
    "mlp": DiscriminatorRow(MLPDiscriminatorConfig, MLPDiscriminator),
    "dcgan": DiscriminatorRow(DCGANDiscriminatorConfig, DCGANDiscriminator),
    "stylegan2": DiscriminatorRow(StyleGAN2DiscriminatorConfig, StyleGAN2Discriminator),
    "r3gan": DiscriminatorRow(R3GANDiscriminatorConfig, R3GANDiscriminator),
    "fastgan": DiscriminatorRow(FastGANDiscriminatorConfig, FastGANDiscriminator),
}
CONFIGS: Mapping[str, type[SampleConfig]] = {name: row.config for name, row in GENERATORS.items()}
DISCRIMINATOR_CONFIGS: Mapping[str, type[SampleConfig]] = {name: row.config for name, row in SAMPLE_DISCRIMINATORS.items()}
"""Name -> settings, for a configuration's group whose `name` chooses the network."""
OF_THE_RUN = ("channels", "side", "classes")
"""Settings of a weights file that belong to the run, not to the network's own configuration."""


def settings_of(config: SampleConfig, *, channels: int, side: int, classes: int) -> Settings:
    """The settings that a weights file records, and that `build` takes."""
    return {"channels": channels, "side": side, "classes": classes, **config.settings()}


def config_of(name: str, settings: Settings) -> SampleConfig:
    """The configuration of a generator whose settings a weights file records.

    Raises:
        ValueError: no such generator, or a setting that it does not have.
    """
    kind = _row(name).config
    known = {entry.name for entry in fields(kind)} - {"name"}
    own: Settings = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items() if key not in OF_THE_RUN}
    if unknown := [key for key in own if key not in known]:
        raise ValueError(f"it has no setting {unknown[0][:100]!r}: there are {', '.join(sorted(known))}")
    return kind(**own)


def build(name: str, settings: Settings) -> Generator:
    """Build the generator called `name` from the settings that a weights file records: channels, side, classes, and its own.

    Raises:
        ValueError: no such generator, or settings that it cannot be built with.
    """
    count = meta_device.parameters(plan(name, settings))
    meta_device.check_memory(count, f"generator {name!r} has {count} parameters: make it smaller")
    return _made(name, settings)


def plan(name: str, settings: Settings, *, layers: int = meta_device.MOST_LAYERS) -> Generator:
    """The generator called `name` on PyTorch's `meta` device, without memory for its weights.

    Raises:
        ValueError: no such generator, or settings that it cannot be built with.
    """
    counts = {entry.name for entry in fields(_row(name).config) if entry.metadata.get("layers")}
    try:
        meta_device.check_settings(settings, counts=counts, layers=layers)
        return meta_device.plan(lambda: _made(name, settings))
    except ValueError as error:
        raise ValueError(f"generator {name!r} cannot be built with {repr(dict(settings))[:200]}: {error}") from error


def plan_discriminator(config: SampleConfig, *, channels: int, side: int, classes: int) -> SampleDiscriminator:
    """A discriminator on PyTorch's `meta` device.

    Raises:
        ValueError: it cannot be built.
    """
    return meta_device.plan(lambda: build_discriminator(config, channels=channels, side=side, classes=classes))


def build_discriminator(config: SampleConfig, *, channels: int, side: int, classes: int) -> SampleDiscriminator:
    """Build the discriminator with these settings.

    Raises:
        ValueError: pictures that do not fit.
    """
    return SAMPLE_DISCRIMINATORS[config.name].network(config, channels=channels, side=side, classes=classes)


def check(name: str, settings: Settings, tensors: Mapping[str, Tensor]) -> None:
    """Check that `tensors` are those of the generator that a recipe names, before it is built.

    Raises:
        ValueError: they are not, or there is no such generator.
    """
    planned = plan(name, settings, layers=min(len(tensors), meta_device.MOST_LAYERS))
    meta_device.check_tensors(planned, {key: tuple(value.shape) for key, value in tensors.items()})


def load(name: str, settings: Settings, tensors: Mapping[str, Tensor]) -> Generator:
    """The generator called `name` with `tensors`. Untrusted tensors that do not fit cost neither memory nor time.

    Raises:
        ValueError: as `check`.
    """
    check(name, settings, tensors)
    generator = build(name, settings)
    generator.load_state_dict(tensors)
    return generator


def _row(name: str) -> GeneratorRow:
    if name not in GENERATORS:
        raise ValueError(f"unknown generator {name[:100]!r}: there are {', '.join(GENERATORS)}")
    return GENERATORS[name]


def _made(name: str, settings: Settings) -> Generator:
    row = _row(name)
    of_the_run = {key: int(settings[key]) for key in OF_THE_RUN if key in settings}
    return row.network(config_of(name, settings), **of_the_run)
