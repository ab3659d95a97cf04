"""What every training of a translation shares: its settings, the images of both domains, the generator, and the weights' header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

from restore import networks, weights
from restore.datasets import domains
from restore.datasets.crops import Pictures
from restore.datasets.domains import CropConfig, DomainCrops, Domains
from restore.limits import check_fields
from restore.networks import NetworkConfig, RestorationNetwork
from restore.networks.resnet import ResnetConfig
from restore.networks.spec import Settings
from restore.networks.weight_transfer import transfer
from restore.runtime import Runtime, seed_everything
from restore.tasks import prepared_run, validating
from restore.tasks.initial_weights import check_same
from restore.tasks.prepared_run import TEST_FRACTION, check_crop, check_memory, count_parameters, first_batch, runtime_of
from restore.training.trainer import Trainer
from restore.training.training_config import TrainingConfig
from restore.weights_file import Recipe


@dataclass(frozen=True)
class DomainConfig:
    """What it is trained on."""

    source: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "cyclegan: glob patterns of the source's images, relative to DATASET, instead of source/",
            "inside": True,
        },
    )
    target: tuple[str, ...] = field(default=(), metadata={"help": "the same for the target", "inside": True})
    channels: Literal[1, 3] = field(default=3, metadata={"help": "1 gray or 3 colour"})
    crop: int = field(default=256, metadata={"help": "side of a training crop in pixels", "range": (1, 8192)})
    sides: tuple[int, int] = field(
        default=(286, 286),
        metadata={
            "help": "range of the shorter side that an image is resized to first; 0, 0 leaves it",
            "range": (0, 65_536),
            "rising": True,
        },
    )
    flip: bool = field(default=True, metadata={"help": "flip half of the crops left to right"})
    test_fraction: float = field(default=0.05, metadata=TEST_FRACTION)

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class TranslationConfig(TrainingConfig):
    """The settings of every method that trains a translation; a method adds its losses and its discriminator."""

    generator: NetworkConfig = field(default=ResnetConfig(), metadata={"variants": networks.CONFIGS})
    data: DomainConfig = field(default_factory=DomainConfig)


def begin(root: Path, config: TranslationConfig, *, paired: bool, generators: int = 1) -> tuple[Runtime, Domains]:
    """Check the settings, choose the runtime, seed it, and find the domains.

    Args:
        root: the dataset's folder.
        config: the resolved configuration.
        paired: whether each source image has its target.
        generators: how many are trained.

    Raises:
        ValueError: unusable settings, an unknown layout, or an empty domain.
    """
    if config.augment_with:
        raise ValueError("augment_with is for methods that learn from single pictures, not from two domains: leave it out")
    planned = networks.plan(config.generator.name, _settings(config))
    if planned.spec.conditions:
        raise ValueError(f"network {config.generator.name!r} takes a {planned.spec.conditions[0]} map: choose another generator.name")
    if planned.spec.needs_whole_image:
        raise ValueError(f"network {config.generator.name!r} needs whole pictures, translate has tiles: choose another generator.name")
    check_crop(config.data.crop, planned.spec.multiple, "generator")
    low, high = config.data.sides
    if high and low < config.data.crop:
        raise ValueError(f"data.sides must not be below data.crop ({config.data.crop}), or 0, 0; not {low}, {high}")
    runtime = runtime_of(config)
    check_memory(
        runtime, config.loop, network=planned, networks_trained=generators, crop=config.data.crop, channels=config.data.channels, side=high
    )
    seed_everything(config.seed)
    include = (config.data.source, config.data.target)
    return runtime, domains.find(root, paired=paired, fraction=config.data.test_fraction, seed=config.seed, include=include)


def _settings(config: TranslationConfig) -> Settings:
    """The generator's settings, as `networks.build` takes them."""
    return networks.settings_of(config.generator, channels=config.data.channels)


def build_generator(config: TranslationConfig, direction: str | None = None) -> RestorationNetwork:
    """Build a generator, with the weights that `start_from` names.

    Args:
        direction: which of the weights' networks, where they hold several.

    Raises:
        ValueError: weights that do not fit.
    """
    network = networks.build(config.generator.name, **_settings(config))
    if config.start_from:
        try:
            tensors, recipe = weights.load(weights.find(config.start_from).path)
            tensors = weights.select_network(tensors, recipe, direction)
            check_same(config.generator, networks.config_of(recipe["network"], recipe["settings"]), "generator")
            transfer(tensors, network)
        except ValueError as error:
            raise ValueError(f"start_from={config.start_from}: {error}") from error
    return network


def crop_config(config: TranslationConfig, *, flip: bool = True) -> CropConfig:
    """How crops are taken; none is flipped where `flip` is false."""
    return CropConfig(config.data.crop, config.data.sides, config.data.flip and flip)


def pictures(
    files: tuple[list[Path], list[Path]], config: TranslationConfig, *, shared: bool = False, use: str = "training"
) -> tuple[Pictures, Pictures]:
    """The images of both domains; one object for both where each file holds a pair. `use`: see `Pictures`."""
    source = Pictures(files[0], config.data.channels, use=use)
    return source, source if shared else Pictures(files[1], config.data.channels, use=use)


def probe_batch(crops: type[DomainCrops], train: tuple[Pictures, Pictures], config: TranslationConfig) -> Mapping[str, Tensor]:
    """Eight samples of the training images, for the training monitor."""
    return first_batch(crops(*train, crop_config(config, flip=False), seed=config.seed + 2, length=8), 8)


def preview_batch(
    crops: type[DomainCrops], test: tuple[Pictures, Pictures], train: tuple[Pictures, Pictures], config: TranslationConfig
) -> Mapping[str, Tensor]:
    """Four samples of the held-out images, or of the training images where there are none or none can be read."""
    return prepared_run.preview_batch(
        lambda domains: first_batch(crops(*domains, crop_config(config, flip=False), seed=config.seed + 1, length=4), 4),
        test if all(domain.files for domain in test) else None, train,
    )  # fmt: skip


def held_out(crops: type[DomainCrops], test: tuple[Pictures, Pictures], config: TranslationConfig) -> DomainCrops | None:
    """The held-out samples of validations; None if a domain holds none out."""
    if not all(domain.files for domain in test):
        return None
    return crops(*test, crop_config(config, flip=False), seed=config.seed + 3, length=validating.VALIDATION_SAMPLES)


def stats(found: Domains, trainer: Trainer, runtime: Runtime) -> dict[str, object]:
    """What was found, for the log: images, parameters, device, precision."""
    discriminators = [state.network for name, state in trainer.train_states().items() if "discriminator" in name]
    return {
        "source pictures": len(found.train[0]), "target pictures": len(found.train[1]),
        "held-out pictures": len(found.test[0]) + len(found.test[1]),
        "parameters": count_parameters(*trainer.networks().values()),
        "discriminator parameters": count_parameters(*discriminators),
        "device": str(runtime.device), "precision": runtime.precision,
    }  # fmt: skip


def recipe(config: TranslationConfig, trainer: Trainer) -> Recipe:
    """The header of the weights."""
    names = list(trainer.networks())
    return {
        "task": "translate", "network": config.generator.name, "settings": _settings(config),
        "directions": names if len(names) > 1 else [],
    }  # fmt: skip
