"""`restore train simgan`: two domains of images, a refiner, its discriminator and their trainer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from restore.gan.simgan import RefinerLossConfig, SimGANTrainer

from restore.datasets.domains import UnpairedCrops
from restore.gan import build
from restore.gan.discriminator_trainer import GAN_ADAM, DiscriminatorConfig
from restore.gan.monitor import MonitorConfig
from restore.gan.unpaired import TranslationDirection
from restore.tasks.prepared_run import Prepared
from restore.tasks.translation_setup import (
    TranslationConfig,
    begin,
    build_generator,
    crop_config,
    pictures,
    preview_batch,
    probe_batch,
    recipe,
    stats,
)
from restore.training.optimizers import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class SimGANConfig(TranslationConfig):
    """The settings of a SimGAN run."""

    losses: RefinerLossConfig = field(default_factory=RefinerLossConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    optimizer: OptimizerConfig = field(default=GAN_ADAM)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)


def simgan(root: Path, config: SimGANConfig) -> Prepared:
    """Find both domains, build the refiner and its trainer.

    Raises:
        ValueError: an unknown layout, an empty domain, or unusable settings.
    """
    runtime, found = begin(root, config, paired=False)
    train, test = pictures(found.train, config), pictures(found.test, config)
    translator = TranslationDirection(
        build_generator(config),
        build.discriminator_trainer(config.data.channels, config.discriminator, runtime, side=config.data.crop),
        config.optimizer, runtime, buffer_size=config.losses.image_buffer, seed=config.seed,
    )  # fmt: skip
    probe = probe_batch(UnpairedCrops, train, config)
    trainer = SimGANTrainer(translator, config.losses, runtime, monitor_config=config.monitor, probe=probe)
    dataset = UnpairedCrops(*train, crop_config(config), seed=config.seed, length=config.loop.steps * config.loop.batch_size)
    preview = preview_batch(UnpairedCrops, test, train, config)
    return Prepared(trainer, dataset, preview, recipe(config, trainer), stats(found, trainer, runtime), lambda: dataset.skipped)
