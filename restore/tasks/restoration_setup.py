"""What all restoration methods share: clean images, a degradation made on the fly, a network, and a paired trainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Literal

from torch import Tensor
from torch.utils.data import Dataset

from restore import networks, weights
from restore.datasets import folders
from restore.datasets.batch_crops import BatchCrops, BatchDegradation, BatchGlobalDegradation
from restore.datasets.crops import Degradation, DegradedCrops, GlobalDegradation, MakeTarget, Pictures
from restore.datasets.recorrupted import RecorruptedCrops
from restore.gan import build
from restore.gan.discriminator_trainer import GAN_ADAM, DiscriminatorConfig
from restore.gan.monitor import MonitorConfig
from restore.gan.paired import LossConfig, PairedAdversarialTrainer
from restore.limits import check_fields
from restore.networks import ModelSpec, NetworkConfig, RestorationNetwork
from restore.networks.spec import Condition
from restore.networks.unet import UNetConfig
from restore.networks.weight_transfer import transfer
from restore.runtime import Runtime, seed_everything
from restore.tasks import generated_pictures, self_supervision, validating
from restore.tasks.prepared_run import (
    TEST_FRACTION,
    Prepared,
    check_crop,
    check_memory,
    count_parameters,
    first_batch,
    preview_batch,
    runtime_of,
)
from restore.tasks.self_supervision import FolderNoise
from restore.training.supervised import SupervisedTrainer
from restore.training.trainer import Trainer
from restore.training.training_config import TrainingConfig


@dataclass(frozen=True)
class DataConfig:
    """What is trained on."""

    channels: Literal[1, 3] = field(default=1, metadata={"help": "1 gray (colour images become luma), 3 colour"})
    include: tuple[str, ...] = field(default=(), metadata={"help": "glob patterns under the dataset; empty: every image", "inside": True})
    crop: int = field(default=96, metadata={"help": "side of a training crop in pixels", "range": (1, 8192)})
    short_side: int = field(
        default=0,
        metadata={"help": "pixels to which the shorter side of larger images is reduced first; 0 keeps the size", "range": (0, 8192)},
    )
    scales: tuple[float, float] = field(
        default=(1.0, 1.0),
        metadata={
            "help": "range of the factor by which an image is resized first",
            "range": (0.01, 100),
            "rising": True,
        },
    )
    scaled_fraction: float = field(default=1.0, metadata={"help": "fraction of the crops that are resized", "range": (0, 1)})
    gain: tuple[float, float] = field(
        default=(1.0, 1.0),
        metadata={"help": "range of the factor on a crop's contrast", "range": (1e-3, 1000), "rising": True},
    )
    upright: bool = field(default=False, metadata={"help": "flip crops left to right only: the sky stays above"})
    test_fraction: float = field(default=0.05, metadata=TEST_FRACTION)
    on_device: bool = field(
        default=False, metadata={"help": "keep all pictures in the device's memory and make whole batches there: for a GPU"}
    )

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class RestorationConfig(TrainingConfig):
    """The settings of every restoration method, whatever the degradation.

    `discriminator` and `monitor` have an effect, and are shown, only if `losses.adversarial_weight` is above 0.
    """

    network: NetworkConfig = field(default=UNetConfig(), metadata={"variants": networks.CONFIGS})
    data: DataConfig = field(default_factory=DataConfig)
    trained: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "patterns of the tensors that are trained, such as decoders.*; empty: all. The others stay as start_from has them"
        },
    )
    losses: LossConfig = field(default_factory=LossConfig)
    discriminator: DiscriminatorConfig = field(
        default=DiscriminatorConfig(network="unet", objective="vanilla", optimizer=replace(GAN_ADAM, learning_rate=1e-4)),
        metadata={"only_if": "losses.adversarial_weight"},
    )
    monitor: MonitorConfig = field(default_factory=MonitorConfig, metadata={"only_if": "losses.adversarial_weight"})


@dataclass(frozen=True)
class Problem:
    """What a network learns to restore.

    Attributes:
        degradation: turns a clean crop into the input, and returns a map of where or how much, or None.
        condition: name of that map, if there is one.
        scale: how many times larger than the input the target is.
        global_degradation: applied to clean crops first; the network does not undo it.
        make_target: computes the target from the clean and the degraded crop, where it is not the clean one.
        whole: pictures go through the network as a whole, not in tiles.
        distillation_weight: of the distance of the features that the network predicts from a teacher's; 0: there is no teacher.
        batch_degradation: makes the degradation for whole batches on the device; None where only `degradation` can.
        batch_global_degradation: `global_degradation` for whole batches.
        self_supervised: the pictures are noisy, and the targets are made of them; see `self_supervision`.
    """

    degradation: Degradation
    condition: Condition | None = None
    scale: int = 1
    global_degradation: GlobalDegradation | None = None
    make_target: MakeTarget | None = None
    whole: bool = False
    distillation_weight: float = 0.0
    batch_degradation: BatchDegradation | None = None
    batch_global_degradation: BatchGlobalDegradation | None = None
    self_supervised: bool = False


def prepare(root: Path, config: RestorationConfig, problem: Problem, *, task: str) -> Prepared:
    """Find the images, build the network and the trainer.

    Args:
        root: the dataset's folder.
        config: the resolved configuration.
        problem: what is to be restored.
        task: the task of the weights.

    Raises:
        ValueError: no images, an unknown network, device or precision, or unusable settings.
    """
    data, loop = config.data, config.loop
    settings = networks.settings_of(config.network, channels=data.channels, scale=problem.scale)
    planned = networks.plan(config.network.name, settings)
    _check_network(config.network.name, planned.spec, problem, task)
    check_crop(data.crop, planned.spec.multiple * problem.scale, "network")
    runtime = runtime_of(config)
    check_memory(runtime, loop, network=planned, crop=data.crop, channels=data.channels, side=data.crop / data.scales[0])
    seed_everything(config.seed)
    train, test = folders.split(folders.pictures(root, data.include), root, fraction=data.test_fraction, seed=config.seed)
    restorer = networks.build(config.network.name, **settings)
    if config.start_from:
        transfer(weights.load(weights.find(config.start_from).path)[0], restorer)
    _freeze(restorer, config.trained)
    trainer = _trainer(restorer, config, runtime, problem)
    generated, _ = generated_pictures.make(config, runtime, real=len(train), channels=data.channels, short_side=data.short_side)
    alone = problem.self_supervised
    if alone and generated is not None:
        raise ValueError("self_supervised learns from noisy pictures alone, and generated ones have no noise: leave augment_with out")
    pictures = Pictures(train, data.channels, short_side=data.short_side, generated=generated, noisy=alone)
    noise = self_supervision.measure(pictures, planned.spec) if alone else None
    crops_of = partial(_crops, config=config, problem=problem, noise=noise)
    dataset = (
        _training_crops(pictures, config, problem, runtime, task)
        if data.on_device
        else crops_of(pictures, seed=config.seed, length=loop.steps * loop.batch_size)
    )
    stats = {
        "training pictures": len(train),
        "held-out pictures": len(test),
        **({"generated pictures": len(generated.pictures)} if generated else {}),
        "parameters": count_parameters(restorer),
        "device": str(runtime.device),
        "precision": runtime.precision,
        **({"noise": noise.text} if noise else {}),
    }
    recipe = {"task": task, "network": config.network.name, "settings": settings}
    held = Pictures(test, data.channels, short_side=data.short_side, use="validation", noisy=alone) if test else None
    preview = preview_batch(lambda pictures: first_batch(crops_of(pictures, seed=config.seed + 1, length=4), 4), held, pictures)
    # noisy targets score the noise
    scored = crops_of(held, seed=config.seed + 3, length=validating.VALIDATION_SAMPLES) if held and not noise else None
    return Prepared(trainer, dataset, preview, recipe, stats, lambda: pictures.skipped, validating.of_pairs(scored, loop), held_out=test)


def _training_crops(
    pictures: Pictures, config: RestorationConfig, problem: Problem, runtime: Runtime, task: str
) -> Dataset[dict[str, Tensor]]:  # fmt: skip
    """The crops to train on, made on the device in whole batches.

    Raises:
        ValueError: the device cannot make them.
    """
    data, length = config.data, config.loop.steps * config.loop.batch_size
    if problem.batch_degradation is None:
        raise ValueError(f"data.on_device: {task} with these settings makes its crops on the CPU: leave it out and set loop.workers")
    if pictures.generated is not None:
        raise ValueError("data.on_device keeps files' pictures only: leave augment_with out")
    return BatchCrops(
        pictures, runtime.device, crop=data.crop, degradation=problem.batch_degradation, condition=problem.condition or "",
        global_degradation=problem.batch_global_degradation, seed=config.seed, length=length, scales=data.scales,
        scaled_fraction=data.scaled_fraction, gain=data.gain, upright=data.upright,
    )  # fmt: skip


def _check_network(name: str, spec: ModelSpec, problem: Problem, task: str) -> None:
    """Check that a network takes the maps that a method makes, and whole pictures where it needs them.

    Raises:
        ValueError: it takes another map, none where the task needs one, or whole pictures where the task has tiles.
    """
    condition = problem.condition
    if spec.needs_whole_image != problem.whole:
        wants = "needs a network of whole pictures, such as lut" if problem.whole else "runs in tiles, and this one needs whole pictures"
        raise ValueError(f"network {name!r} does not fit: {task} {wants}: choose another network.name")
    others = [needed for needed in spec.conditions if needed != condition]
    if others:
        raise ValueError(f"network {name!r} takes a {others[0]} map, which {task} does not make: choose another network.name")
    if condition == "mask" and not spec.takes_mask:
        raise ValueError(f"network {name!r} takes no mask, which {task} needs: choose another network.name")


def _freeze(network: RestorationNetwork, trained: Sequence[str]) -> None:
    """Leave out of the training what no pattern matches; without patterns, nothing.

    Raises:
        ValueError: a pattern matches no tensor, or they match all.
    """
    names = [name for name, _ in network.named_parameters()]
    if idle := [pattern for pattern in trained if not any(fnmatchcase(name, pattern) for name in names)]:
        raise ValueError(f"trained={idle[0]!r} matches no tensor of the network; the first are {', '.join(names[:4])}")
    chosen = {name for name in names if any(fnmatchcase(name, pattern) for pattern in trained)}
    if len(chosen) == len(names):
        raise ValueError("trained matches all tensors of the network: leave it out, and all are trained")
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not trained or name in chosen)


def _trainer(network: RestorationNetwork, config: RestorationConfig, runtime: Runtime, problem: Problem) -> Trainer:
    """Build a supervised trainer, or an adversarial one if the losses ask for a discriminator."""
    micro_batches = config.loop.accumulate
    if not config.losses.adversarial_weight:
        loss = config.losses.reconstruction(runtime)
        weight = problem.distillation_weight
        return SupervisedTrainer(network, config.optimizer, runtime, loss=loss, micro_batches=micro_batches, distillation_weight=weight)
    if problem.distillation_weight:
        raise ValueError("a teacher trains without a discriminator: set distillation_weight or losses.adversarial_weight to 0")
    masked = problem.condition == "mask"
    discriminator = build.discriminator_trainer(config.data.channels, config.discriminator, runtime, side=config.data.crop, masked=masked)
    return PairedAdversarialTrainer(
        network,
        discriminator,
        config.optimizer,
        runtime,
        losses=config.losses,
        monitor_config=config.monitor,
        micro_batches=micro_batches,
    )


def _crops(
    pictures: Pictures, *, config: RestorationConfig, problem: Problem, noise: FolderNoise | None, seed: int, length: int
) -> DegradedCrops | RecorruptedCrops:
    data = config.data
    if noise is not None:
        return RecorruptedCrops(pictures, data.crop, noise, seed, length, upright=data.upright)
    return DegradedCrops(
        pictures, crop=data.crop, degradation=problem.degradation, condition=problem.condition or "",
        global_degradation=problem.global_degradation, make_target=problem.make_target, seed=seed, length=length,
        scales=data.scales, scaled_fraction=data.scaled_fraction, gain=data.gain, upright=data.upright,
    )  # fmt: skip
