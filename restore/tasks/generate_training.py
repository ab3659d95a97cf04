"""`restore train gan`, `dcgan`, `wgan`, `cgan`, `stylegan`, `r3gan` and `fastgan`: generators of pictures from noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from restore import weights
from restore.datasets import folders, samples
from restore.datasets.crops import Pictures
from restore.datasets.samples import NONE, NoiseShape, Samples
from restore.gan.monitor import MonitorConfig
from restore.gan.sample_discriminator import SampleDiscriminatorConfig, SampleDiscriminatorTrainer
from restore.gan.unconditional import COLUMNS, GenerationLossConfig, UnconditionalTrainer
from restore.images import read
from restore.limits import check_fields
from restore.networks import generators, meta_device
from restore.networks.generators.dcgan import DCGANConfig, DCGANDiscriminatorConfig
from restore.networks.generators.fastgan import FastGANConfig, FastGANDiscriminatorConfig
from restore.networks.generators.latent import draw_batch, interpolate
from restore.networks.generators.mlp import MLPConfig, MLPDiscriminatorConfig
from restore.networks.generators.r3gan import R3GANConfig, R3GANDiscriminatorConfig
from restore.networks.generators.spec import Generator, GeneratorSpec, SampleConfig, SampleDiscriminator
from restore.networks.generators.stylegan2 import StyleGAN2Config, StyleGAN2DiscriminatorConfig
from restore.networks.spec import Settings
from restore.runtime import seed_everything
from restore.tasks import generate_start, generated_pictures, validating_samples
from restore.tasks.prepared_run import TEST_FRACTION, Prepared, check_memory, count_parameters, first_batch, runtime_of
from restore.training.loop_config import LoopConfig
from restore.training.optimizers import OptimizerConfig
from restore.training.training_config import TrainingConfig

ADAM = OptimizerConfig("adam", 2e-4, beta1=0.5, beta2=0.999, warmup_steps=0, decay_steps=1, floor=1.0, ema=0.999)
"""Adam at a constant rate (Radford et al. 2016, section 4)."""
PREVIEW_ROWS = 4


@dataclass(frozen=True)
class SampleDataConfig:
    """What is learnt from."""

    channels: Literal[1, 3] = field(default=1, metadata={"help": "1 gray (colour pictures become luma), 3 colour"})
    include: tuple[str, ...] = field(default=(), metadata={"help": "glob patterns under the dataset; empty: every picture", "inside": True})
    crop: int = field(
        default=28,
        metadata={"help": "side of the pictures in pixels; the middle square of each, reduced to this, is used", "range": (4, 1024)},
    )
    labels: str = field(
        default=NONE, metadata={"help": "none, folders (one for each class), or a CSV file below the dataset: path, label", "inside": True}
    )
    flip: bool = field(default=False, metadata={"help": "flip half of the pictures left to right"})
    test_fraction: float = field(default=0.05, metadata=TEST_FRACTION)

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class GenerationConfig(TrainingConfig):
    """The settings of every generator; a method's own defaults follow its paper."""

    generator: SampleConfig = field(default=DCGANConfig(), metadata={"variants": generators.CONFIGS})
    discriminator_network: SampleConfig = field(default=DCGANDiscriminatorConfig(), metadata={"variants": generators.DISCRIMINATOR_CONFIGS})
    data: SampleDataConfig = field(default_factory=SampleDataConfig)
    losses: GenerationLossConfig = field(default_factory=GenerationLossConfig)
    discriminator: SampleDiscriminatorConfig = field(default=SampleDiscriminatorConfig(optimizer=ADAM))
    optimizer: OptimizerConfig = field(default=ADAM)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    loop: LoopConfig = field(default=LoopConfig(steps=20_000, batch_size=64))


DCGAN = DCGANConfig(smallest=4)
"""From maps of 4 x 4 pixels, as in the paper, from any side: from 7 x 7 a digit would be decided by one linear layer."""


@dataclass(frozen=True, kw_only=True)
class GANConfig(GenerationConfig):
    """The first GAN (Goodfellow et al. 2014); `discriminator.objective=saturating` is its eq. 1."""

    generator: SampleConfig = field(default=MLPConfig(), metadata={"variants": generators.CONFIGS})
    discriminator_network: SampleConfig = field(default=MLPDiscriminatorConfig(), metadata={"variants": generators.DISCRIMINATOR_CONFIGS})


@dataclass(frozen=True, kw_only=True)
class DCGANRunConfig(GenerationConfig):
    """DCGAN (Radford et al. 2016)."""

    generator: SampleConfig = field(default=DCGAN, metadata={"variants": generators.CONFIGS})
    discriminator_network: SampleConfig = field(
        default=DCGANDiscriminatorConfig(smallest=4), metadata={"variants": generators.DISCRIMINATOR_CONFIGS}
    )


@dataclass(frozen=True, kw_only=True)
class WGANConfig(GenerationConfig):
    """WGAN with a gradient penalty (Gulrajani et al. 2017, algorithm 1); the first WGAN clips its weights: `discriminator.clip_weights`."""

    generator: SampleConfig = field(default=DCGAN, metadata={"variants": generators.CONFIGS})
    discriminator_network: SampleConfig = field(
        default=DCGANDiscriminatorConfig(norm="none", smallest=4), metadata={"variants": generators.DISCRIMINATOR_CONFIGS}
    )
    losses: GenerationLossConfig = field(default=GenerationLossConfig(every=5))
    discriminator: SampleDiscriminatorConfig = field(
        default=SampleDiscriminatorConfig(objective="wasserstein", gradient_penalty=10.0, optimizer=replace(ADAM, beta2=0.9))
    )
    optimizer: OptimizerConfig = field(default=replace(ADAM, beta2=0.9))


@dataclass(frozen=True, kw_only=True)
class CGANConfig(GenerationConfig):
    """A conditional GAN (Mirza and Osindero 2014) with DCGAN's networks."""

    generator: SampleConfig = field(default=DCGAN, metadata={"variants": generators.CONFIGS})
    discriminator_network: SampleConfig = field(
        default=DCGANDiscriminatorConfig(conditioning="concatenation", smallest=4), metadata={"variants": generators.DISCRIMINATOR_CONFIGS}
    )
    data: SampleDataConfig = field(default=SampleDataConfig(labels=samples.FOLDERS))


@dataclass(frozen=True, kw_only=True)
class StyleGANConfig(GenerationConfig):
    """StyleGAN2 with adaptive augmentation (Karras et al. 2020, both papers)."""

    generator: SampleConfig = field(default=StyleGAN2Config(), metadata={"variants": generators.CONFIGS})
    discriminator_network: SampleConfig = field(
        default=StyleGAN2DiscriminatorConfig(), metadata={"variants": generators.DISCRIMINATOR_CONFIGS}
    )
    losses: GenerationLossConfig = field(default=GenerationLossConfig(path_length=2.0, style_mixing=0.9))
    discriminator: SampleDiscriminatorConfig = field(
        default=SampleDiscriminatorConfig(
            r1=10.0, penalty_every=16, adaptive=0.6, optimizer=replace(ADAM, learning_rate=2.5e-3, beta1=0.0, beta2=0.99)
        )
    )
    optimizer: OptimizerConfig = field(default=replace(ADAM, learning_rate=2.5e-3, beta1=0.0, beta2=0.99))


R3GAN_ADAM = OptimizerConfig(
    "adam", 3e-3, beta1=0.0, beta2=0.99, beta2_start=0.9, warmup_steps=0, decay_steps=20_000, decay="cosine", floor=0.2, ema=0.999
)
"""Huang et al. 2024, appendix: no momentum; the rate falls and beta2 rises along a cosine. The paper's 2e-4 is for networks of tens of
millions of parameters; networks as small as the default ones learn digits 18 times nearer at 3e-3 than at 1e-3 in 800 steps."""


@dataclass(frozen=True, kw_only=True)
class R3GANRunConfig(GenerationConfig):
    """R3GAN (Huang et al. 2024)."""

    generator: SampleConfig = field(default=R3GANConfig(), metadata={"variants": generators.CONFIGS})
    discriminator_network: SampleConfig = field(default=R3GANDiscriminatorConfig(), metadata={"variants": generators.DISCRIMINATOR_CONFIGS})
    discriminator: SampleDiscriminatorConfig = field(
        default=SampleDiscriminatorConfig(
            objective="relativistic_pairing", r1=1.0, r2=1.0, penalty_decay=20_000, penalty_floor=0.1, optimizer=R3GAN_ADAM
        )
    )
    optimizer: OptimizerConfig = field(default=R3GAN_ADAM)


@dataclass(frozen=True, kw_only=True)
class FastGANRunConfig(GenerationConfig):
    """FastGAN's class of method (Liu et al. 2021), for 64 to 512 pixels and some hundred pictures."""

    generator: SampleConfig = field(default=FastGANConfig(), metadata={"variants": generators.CONFIGS})
    discriminator_network: SampleConfig = field(
        default=FastGANDiscriminatorConfig(), metadata={"variants": generators.DISCRIMINATOR_CONFIGS}
    )
    data: SampleDataConfig = field(default=SampleDataConfig(crop=128))
    discriminator: SampleDiscriminatorConfig = field(default=SampleDiscriminatorConfig(objective="hinge", augment=0.7, optimizer=ADAM))
    loop: LoopConfig = field(default=LoopConfig(steps=20_000, batch_size=8))


def prepare(root: Path, config: GenerationConfig) -> Prepared:
    """Find the pictures and their labels, build the generator, its discriminator and their trainer.

    Args:
        root: the dataset's folder.
        config: the resolved configuration.

    Raises:
        ValueError: no pictures, a picture without a label, unusable settings, or a side that the networks cannot make.
    """
    data, loop = config.data, config.loop
    runtime = runtime_of(config)
    files = folders.pictures(root, data.include)
    labels = samples.find_labels(files, root, data.labels)
    settings = generators.settings_of(config.generator, channels=data.channels, side=data.crop, classes=len(labels.names))
    planned = generators.plan(config.generator.name, settings)
    check_memory(runtime, loop, network=planned, crop=data.crop, channels=data.channels, side=data.crop)
    seed_everything(config.seed)
    train, test = folders.split(files, root, fraction=data.test_fraction, seed=config.seed)
    train, test = samples.with_each_class(train, test, root, labels)
    generator = _generator(config, settings, labels.names)
    judge = _discriminator(config, classes=len(labels.names))
    generated, classes = generated_pictures.make(
        config, runtime, real=len(train), channels=data.channels, short_side=data.crop, labels=labels.names
    )
    dataset = _samples(
        Pictures(train, data.channels, short_side=data.crop, generated=generated), config, planned.spec, labels.numbers(train, classes),
        seed=config.seed, length=loop.steps * loop.batch_size,
    )  # fmt: skip
    trainer = UnconditionalTrainer(
        generator, SampleDiscriminatorTrainer(judge, config.discriminator, runtime), config.optimizer, runtime, losses=config.losses,
        monitor_config=config.monitor, probe=first_batch(replace(dataset, seed=config.seed + 2), 32), micro_batches=loop.accumulate,
    )  # fmt: skip
    stats = {
        "training pictures": len(train), "held-out pictures": len(test), "classes": ", ".join(labels.names) or "none",
        **({"generated pictures": len(generated.pictures)} if generated else {}),
        "parameters": count_parameters(generator), "discriminator parameters": count_parameters(judge),
        "device": str(runtime.device), "precision": runtime.precision,
    }  # fmt: skip
    recipe = {
        "task": "generate", "network": config.generator.name, "settings": settings, "labels": list(labels.names),
        "bits": bits_of(train),
    }  # fmt: skip
    held = _samples(
        Pictures(test, data.channels, short_side=data.crop, use="validation"), config, planned.spec, labels.numbers(test),
        seed=config.seed + 3, length=validating_samples.VALIDATION_PICTURES,
    ) if test else None  # fmt: skip
    return Prepared(
        trainer, dataset, preview_batch(planned.spec, config.seed + 1), recipe, stats, lambda: dataset.pictures.skipped,
        validating_samples.of_samples(held, replace(dataset, seed=config.seed + 4), loop), held_out=test,
    )  # fmt: skip


def _generator(config: GenerationConfig, settings: Settings, names: Sequence[str]) -> Generator:
    """Build the generator, with the weights that `start_from` names.

    Raises:
        ValueError: it does not fit into memory, or the weights do not fit it or the dataset's classes.
    """
    generator = generators.build(config.generator.name, settings)
    if config.start_from:
        tensors, recipe = weights.load(weights.find(config.start_from).path)
        if recipe["task"] != "generate":
            raise ValueError(f"start_from={config.start_from}: these are {recipe['task']} weights; the run needs generate weights")
        generate_start.check(config, settings, names, tensors, recipe)
        generator.load_state_dict(tensors)
    return generator


def _discriminator(config: GenerationConfig, *, classes: int) -> SampleDiscriminator:
    """Build the discriminator after checking that it fits into memory and judges such pictures.

    Raises:
        ValueError: it does not.
    """
    data = config.data
    sizes = {"channels": data.channels, "side": data.crop, "classes": classes}
    count = meta_device.parameters(generators.plan_discriminator(config.discriminator_network, **sizes))
    meta_device.check_memory(meta_device.COPIES * count, f"the discriminator has {count} parameters: make discriminator_network smaller")
    return generators.build_discriminator(config.discriminator_network, **sizes)


def _samples(
    pictures: Pictures, config: GenerationConfig, spec: GeneratorSpec, labels: Sequence[int] | None, *, seed: int, length: int
) -> Samples:
    noise = NoiseShape(spec.latent, spec.pixel_noise, spec.layers, config.losses.style_mixing)
    return Samples(pictures, config.data.crop, noise, labels, flip=config.data.flip, seed=seed, length=length)


def bits_of(files: Sequence[Path]) -> int:
    """Bits of a sample of the training pictures, which generated ones will have: 16 where the first readable one has more than 8."""
    for path in files:
        try:
            return 16 if read(path).bits > 8 else 8
        except Exception:  # whatever a damaged file raises; it is reported when it is drawn
            continue
    return 8


def preview_batch(spec: GeneratorSpec, seed: int) -> dict[str, Tensor]:
    """The fixed noise of the previews: rows of pictures, and in the last row the way from the first picture to the last of the row above.

    A column has one label, so that each row shows all of them where there are no more than COLUMNS.
    """
    rows = PREVIEW_ROWS - 1
    latent, noise = draw_batch(range(seed, seed + COLUMNS * PREVIEW_ROWS), spec)
    first, last = latent[COLUMNS * (rows - 1)], latent[COLUMNS * rows - 1]
    latent[COLUMNS * rows :] = interpolate(first, last, torch.linspace(0, 1, COLUMNS))
    batch = {"latent": latent}
    if noise is not None:
        noise[COLUMNS * rows :] = noise[COLUMNS * (rows - 1)]
        batch["pixel_noise"] = noise
    if spec.classes:
        labels = torch.arange(COLUMNS).repeat(PREVIEW_ROWS) % spec.classes
        labels[COLUMNS * rows :] = 0
        batch["label"] = labels
    return batch
