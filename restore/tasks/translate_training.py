"""`restore train cyclegan` and `restore train pix2pix`: two domains of images, generators, discriminators and their trainers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor
from torch.utils.data import Dataset, default_collate

from restore import networks, processes, weights
from restore.datasets import domains
from restore.datasets.crops import Pictures
from restore.datasets.domains import CropConfig, Domains, PairedCrops, UnpairedCrops
from restore.gan import build
from restore.gan.discriminator import GAN_ADAM, DiscriminatorConfig
from restore.gan.monitor import MonitorConfig
from restore.gan.paired import LossConfig, PairedAdversarialTrainer
from restore.gan.unpaired import CycleGANTrainer, CycleLossConfig, Translator
from restore.limits import check_fields
from restore.networks import NetworkConfig, RestorationNetwork
from restore.networks.pix2pix_unet import Pix2PixUNetConfig
from restore.networks.resnet import ResnetConfig
from restore.networks.weight_transfer import transfer
from restore.runtime import Runtime, seed_everything
from restore.runtime import choose as choose_runtime
from restore.tasks.prepared import Prepared, check_memory, count_parameters
from restore.tasks.starting import check_same
from restore.training.config import as_dict
from restore.training.loop import LoopConfig
from restore.training.optimizers import OptimizerConfig
from restore.training.run_config import RunConfig
from restore.training.supervised import SupervisedTrainer
from restore.training.trainer import Trainer


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
    test_fraction: float = field(
        default=0.05,
        metadata={
            "help": "fraction of the images held out for previews, where the dataset has no split",
            "range": (0, 1),
            "below": 1,
        },
    )

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class CycleGANConfig(RunConfig):
    """The settings of a CycleGAN run (defaults: Zhu et al. 2017, section 4 and appendix 7)."""

    generator: NetworkConfig = field(default=ResnetConfig(), metadata={"variants": networks.CONFIGS})
    data: DomainConfig = field(default_factory=DomainConfig)
    losses: CycleLossConfig = field(default_factory=CycleLossConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    optimizer: OptimizerConfig = field(default=GAN_ADAM)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    loop: LoopConfig = field(default=LoopConfig(steps=200_000, batch_size=1))


@dataclass(frozen=True, kw_only=True)
class Pix2PixConfig(RunConfig):
    """The settings of a pix2pix run (defaults: Isola et al. 2017, section 3 and appendix 6)."""

    generator: NetworkConfig = field(default=Pix2PixUNetConfig(dropout=0.5), metadata={"variants": networks.CONFIGS})
    data: DomainConfig = field(default_factory=DomainConfig)
    losses: LossConfig = field(default=LossConfig(pixel_weight=100.0, adversarial_weight=1.0))
    discriminator: DiscriminatorConfig = field(
        default=DiscriminatorConfig(objective="vanilla"), metadata={"only_if": "losses.adversarial_weight"}
    )
    optimizer: OptimizerConfig = field(default=GAN_ADAM)
    monitor: MonitorConfig = field(default_factory=MonitorConfig, metadata={"only_if": "losses.adversarial_weight"})
    loop: LoopConfig = field(default=LoopConfig(steps=80_000, batch_size=1))


TranslationConfig = CycleGANConfig | Pix2PixConfig


def cyclegan(root: Path, config: CycleGANConfig) -> Prepared:
    """Find both domains, build two translators and their trainer.

    Args:
        root: the dataset's folder.
        config: the resolved configuration.

    Raises:
        ValueError: an unknown layout, an empty domain, or unusable settings.
    """
    runtime, found = _begin(root, config, paired=False)
    data = config.data
    forward, backward = [
        Translator(
            _generator(config, name), build.discriminator_trainer(data.channels, config.discriminator, runtime, side=data.crop),
            config.optimizer, runtime, buffer_size=config.losses.image_buffer, seed=config.seed + number,
        )
        for number, name in enumerate(("forward", "backward"))
    ]  # fmt: skip
    train, test = _pictures(found.train, config), _pictures(found.test, config)
    trainer = CycleGANTrainer(
        forward, backward, config.losses, runtime, monitor_config=config.monitor, probe=_probe(UnpairedCrops, train, config),
        micro_batches=config.loop.accumulate,
    )  # fmt: skip
    dataset = UnpairedCrops(*train, _crop(config), seed=config.seed, length=config.loop.steps * config.loop.batch_size)
    preview = _preview_batch(UnpairedCrops, test, train, config)
    return Prepared(
        trainer, dataset, preview, _recipe(config, trainer), _stats(found, trainer, runtime), lambda: dataset.skipped
    )


def pix2pix(root: Path, config: Pix2PixConfig) -> Prepared:
    """Find the pairs, build the generator, its discriminator and their trainer; see `cyclegan`."""
    runtime, found = _begin(root, config, paired=True)
    train = _pictures(found.train, config, shared=found.side_by_side)
    test = _pictures(found.test, config, shared=found.side_by_side)
    trainer = _paired_trainer(config, runtime, train)
    dataset = PairedCrops(*train, _crop(config), seed=config.seed, length=config.loop.steps * config.loop.batch_size)
    preview = _preview_batch(PairedCrops, test, train, config)
    return Prepared(
        trainer, dataset, preview, _recipe(config, trainer), _stats(found, trainer, runtime), lambda: dataset.skipped
    )


def _paired_trainer(config: Pix2PixConfig, runtime: Runtime, train: tuple[Pictures, Pictures]) -> Trainer:
    """Build a supervised trainer, or an adversarial one if the losses ask for a discriminator."""
    micro_batches = config.loop.accumulate
    if not config.losses.adversarial_weight:
        generator = _generator(config)
        loss = config.losses.reconstruction(runtime)
        return SupervisedTrainer(generator, config.optimizer, runtime, loss=loss, micro_batches=micro_batches)
    discriminator = build.discriminator_trainer(
        2 * config.data.channels, config.discriminator, runtime, side=config.data.crop
    )
    return PairedAdversarialTrainer(
        _generator(config), discriminator, config.optimizer, runtime, losses=config.losses, conditional=True, monitor_config=config.monitor,
        probe=_probe(PairedCrops, train, config), micro_batches=micro_batches,
    )  # fmt: skip


def _begin(root: Path, config: TranslationConfig, *, paired: bool) -> tuple[Runtime, Domains]:
    """Check the settings, choose the runtime, seed it, and find the domains."""
    planned = networks.plan(config.generator.name, _settings(config))
    if planned.spec.conditions:
        raise ValueError(f"network {config.generator.name!r} takes a {planned.spec.conditions[0]} map: choose another generator.name")
    multiple = planned.spec.multiple
    if config.data.crop < multiple or config.data.crop % multiple:
        raise ValueError(f"data.crop must be a multiple of {multiple} for this generator, not {config.data.crop}")
    low, high = config.data.sides
    if high and low < config.data.crop:
        raise ValueError(f"data.sides must not be below data.crop ({config.data.crop}), or 0, 0; not {low}, {high}")
    runtime = choose_runtime(config.device, config.precision, compiled=config.compile, replayed=config.cuda_graphs)
    check_memory(
        runtime, network=planned, networks_trained=1 if paired else 2,
        batch_size=config.loop.batch_size // processes.current().world_size, crop=config.data.crop, channels=config.data.channels,
        side=high,
    )  # fmt: skip
    seed_everything(config.seed)
    include = (config.data.source, config.data.target)
    return runtime, domains.find(
        root, paired=paired, fraction=config.data.test_fraction, seed=config.seed, include=include
    )


def _settings(config: TranslationConfig) -> dict[str, Any]:
    """The generator's settings, as `networks.build` takes them."""
    return networks.settings_of(config.generator, channels=config.data.channels)


def _generator(config: TranslationConfig, direction: str | None = None) -> RestorationNetwork:
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


def _crop(config: TranslationConfig, *, flip: bool = True) -> CropConfig:
    return CropConfig(config.data.crop, config.data.sides, config.data.flip and flip)


def _pictures(
    files: tuple[list[Path], list[Path]], config: TranslationConfig, *, shared: bool = False
) -> tuple[Pictures, Pictures]:
    """The images of both domains; one object for both where each file holds a pair."""
    source = Pictures(files[0], config.data.channels)
    return source, source if shared else Pictures(files[1], config.data.channels)


CropsOf = Callable[..., Dataset[dict[str, Tensor]]]
"""`UnpairedCrops` or `PairedCrops`."""


def _probe(crops: CropsOf, train: tuple[Pictures, Pictures], config: TranslationConfig) -> Mapping[str, Tensor]:
    """Eight samples of the training images, for the training monitor."""
    return _collated(crops(*train, _crop(config, flip=False), seed=config.seed + 2, length=8), 8)


def _preview_batch(
    crops: CropsOf, test: tuple[Pictures, Pictures], train: tuple[Pictures, Pictures], config: TranslationConfig
) -> Mapping[str, Tensor]:
    """Four samples of the held-out images, or of the training images where there are none or none can be read."""

    def four(pictures: tuple[Pictures, Pictures]) -> Mapping[str, Tensor]:
        return _collated(crops(*pictures, _crop(config, flip=False), seed=config.seed + 1, length=4), 4)

    if all(domain.files for domain in test):
        try:
            return four(test)
        except ValueError:
            pass  # each unreadable image was logged
    return four(train)


def _collated(samples: Dataset[dict[str, Tensor]], count: int) -> Mapping[str, Tensor]:
    batch: dict[str, Tensor] = default_collate([samples[index] for index in range(count)])
    return batch


def _stats(found: Domains, trainer: Trainer, runtime: Runtime) -> dict[str, Any]:
    discriminators = [state.network for name, state in trainer.train_states().items() if "discriminator" in name]
    return {
        "source pictures": len(found.train[0]), "target pictures": len(found.train[1]),
        "held-out pictures": len(found.test[0]) + len(found.test[1]),
        "parameters": count_parameters(*trainer.networks().values()),
        "discriminator parameters": count_parameters(*discriminators),
        "device": str(runtime.device), "precision": runtime.precision,
    }  # fmt: skip


def _recipe(config: TranslationConfig, trainer: Trainer) -> dict[str, Any]:
    names = list(trainer.networks())
    return {
        "task": "translate", "network": config.generator.name, "settings": _settings(config),
        "directions": names if len(names) > 1 else [], "training": as_dict(config),
    }  # fmt: skip
