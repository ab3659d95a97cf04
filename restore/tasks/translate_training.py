"""`restore train cyclegan` and `restore train pix2pix`: two domains of images, generators, discriminators and their trainers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from restore import networks
from restore.datasets.crops import Pictures
from restore.datasets.domains import PairedCrops, UnpairedCrops
from restore.gan import build
from restore.gan.discriminator_trainer import GAN_ADAM, DiscriminatorConfig
from restore.gan.monitor import MonitorConfig
from restore.gan.paired import LossConfig, PairedAdversarialTrainer
from restore.gan.unpaired import CycleGANTrainer, CycleLossConfig, TranslationDirection
from restore.networks import NetworkConfig
from restore.networks.pix2pix_unet import Pix2PixUNetConfig
from restore.runtime import Runtime
from restore.tasks import validating
from restore.tasks.prepared_run import Prepared
from restore.tasks.translation_setup import (
    TranslationConfig,
    begin,
    build_generator,
    crop_config,
    held_out,
    pictures,
    preview_batch,
    probe_batch,
    recipe,
    stats,
)
from restore.training.loop_config import LoopConfig
from restore.training.optimizers import OptimizerConfig
from restore.training.supervised import SupervisedTrainer
from restore.training.trainer import Trainer


@dataclass(frozen=True, kw_only=True)
class CycleGANConfig(TranslationConfig):
    """The settings of a CycleGAN run (defaults: Zhu et al. 2017, section 4 and appendix 7)."""

    losses: CycleLossConfig = field(default_factory=CycleLossConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    optimizer: OptimizerConfig = field(default=GAN_ADAM)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    loop: LoopConfig = field(default=LoopConfig(steps=200_000, batch_size=1))


@dataclass(frozen=True, kw_only=True)
class Pix2PixConfig(TranslationConfig):
    """The settings of a pix2pix run (defaults: Isola et al. 2017, section 3 and appendix 6)."""

    generator: NetworkConfig = field(default=Pix2PixUNetConfig(dropout=0.5), metadata={"variants": networks.CONFIGS})
    losses: LossConfig = field(default=LossConfig(pixel_weight=100.0, adversarial_weight=1.0))
    discriminator: DiscriminatorConfig = field(
        default=DiscriminatorConfig(objective="vanilla"), metadata={"only_if": "losses.adversarial_weight"}
    )
    optimizer: OptimizerConfig = field(default=GAN_ADAM)
    monitor: MonitorConfig = field(default_factory=MonitorConfig, metadata={"only_if": "losses.adversarial_weight"})
    loop: LoopConfig = field(default=LoopConfig(steps=80_000, batch_size=1))


def cyclegan(root: Path, config: CycleGANConfig) -> Prepared:
    """Find both domains, build two translators and their trainer.

    Args:
        root: the dataset's folder.
        config: the resolved configuration.

    Raises:
        ValueError: an unknown layout, an empty domain, or unusable settings.
    """
    runtime, found = begin(root, config, paired=False, generators=2)
    data = config.data
    forward, backward = [
        TranslationDirection(
            build_generator(config, name), build.discriminator_trainer(data.channels, config.discriminator, runtime, side=data.crop),
            config.optimizer, runtime, buffer_size=config.losses.image_buffer, seed=config.seed + number,
        )
        for number, name in enumerate(("forward", "backward"))
    ]  # fmt: skip
    train, test = pictures(found.train, config), pictures(found.test, config, use="validation")
    trainer = CycleGANTrainer(
        forward, backward, config.losses, runtime, monitor_config=config.monitor, probe=probe_batch(UnpairedCrops, train, config),
        micro_batches=config.loop.accumulate,
    )  # fmt: skip
    dataset = UnpairedCrops(*train, crop_config(config), seed=config.seed, length=config.loop.steps * config.loop.batch_size)
    preview = preview_batch(UnpairedCrops, test, train, config)
    validation = validating.of_domains(held_out(UnpairedCrops, test, config), config.loop)
    return Prepared(
        trainer, dataset, preview, recipe(config, trainer), stats(found, trainer, runtime), lambda: dataset.skipped, validation,
        held_out=found.held_out,
    )  # fmt: skip


def pix2pix(root: Path, config: Pix2PixConfig) -> Prepared:
    """Find the pairs, build the generator, its discriminator and their trainer; see `cyclegan`."""
    runtime, found = begin(root, config, paired=True)
    train = pictures(found.train, config, shared=found.side_by_side)
    test = pictures(found.test, config, shared=found.side_by_side, use="validation")
    trainer = _paired_trainer(config, runtime, train)
    dataset = PairedCrops(*train, crop_config(config), seed=config.seed, length=config.loop.steps * config.loop.batch_size)
    preview = preview_batch(PairedCrops, test, train, config)
    validation = validating.of_pairs(held_out(PairedCrops, test, config), config.loop)
    return Prepared(
        trainer, dataset, preview, recipe(config, trainer), stats(found, trainer, runtime), lambda: dataset.skipped, validation,
        held_out=found.held_out,
    )  # fmt: skip


def _paired_trainer(config: Pix2PixConfig, runtime: Runtime, train: tuple[Pictures, Pictures]) -> Trainer:
    """Build a supervised trainer, or an adversarial one if the losses ask for a discriminator."""
    micro_batches = config.loop.accumulate
    if not config.losses.adversarial_weight:
        generator = build_generator(config)
        loss = config.losses.reconstruction(runtime)
        return SupervisedTrainer(generator, config.optimizer, runtime, loss=loss, micro_batches=micro_batches)
    discriminator = build.discriminator_trainer(2 * config.data.channels, config.discriminator, runtime, side=config.data.crop)
    return PairedAdversarialTrainer(
        build_generator(config), discriminator, config.optimizer, runtime, losses=config.losses, conditional=True,
        monitor_config=config.monitor, probe=probe_batch(PairedCrops, train, config), micro_batches=micro_batches,
    )  # fmt: skip
