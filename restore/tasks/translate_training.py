"""`restore train cyclegan` and `restore train pix2pix`: two domains of pictures, generators, opponents and their trainers, introduced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch.utils.data import default_collate

from restore import networks, processes, runtime, weights
from restore.datasets import domains
from restore.gan import opponent as opponents
from restore.gan.core import GAME, OptimizerConfig
from restore.gan.health import HealthConfig
from restore.gan.opponent import OpponentConfig
from restore.gan.paired import LossConfig, PairedTrainer
from restore.gan.unpaired import CycleConfig, CycleTrainer, Direction
from restore.networks import NetworkConfig, RestorationNetwork
from restore.networks.pix2pix_unet import Pix2PixUNetConfig
from restore.networks.resnet import ResnetConfig
from restore.networks.weight_transfer import transfer
from restore.runtime import Runtime
from restore.tasks.prepared import Prepared, check_memory, count
from restore.tasks.starting import check_same
from restore.training.config import as_dict
from restore.training.loop import LoopConfig


@dataclass(frozen=True)
class DomainConfig:
    """What it is trained on."""

    source: tuple[str, ...] = field(
        default=(),
        metadata={"help": "cyclegan: glob patterns of the source's pictures, relative to DATASET, instead of source/", "inside": True},
    )
    target: tuple[str, ...] = field(default=(), metadata={"help": "the same of the target's", "inside": True})
    channels: Literal[1, 3] = field(default=3, metadata={"help": "1 gray or 3 colour"})
    crop: int = field(default=256, metadata={"help": "side of a training crop in pixels", "range": (1, 8192)})
    sides: tuple[int, int] = field(
        default=(286, 286),
        metadata={
            "help": "range of the shorter side that a picture is brought to first; 0, 0 leaves it",
            "range": (0, 65_536), "rising": True,
        },
    )
    flip: bool = field(default=True, metadata={"help": "mirror half of the crops"})
    test_share: float = field(default=0.05, metadata={"help": "share kept for previews, where no split is given", "range": (0, 1)})


@dataclass(frozen=True)
class CycleGanConfig:
    """Everything that decides a CycleGAN run (defaults: Zhu et al. 2017, section 4 and appendix 7)."""

    seed: int = field(default=0, metadata={"help": "of the crops and the first weights", "range": (0, 2**63 - 3)})
    precision: str = field(default="auto", metadata={"help": "auto, fp32, bf16 or fp16 (autocast; the weights stay float32)"})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:N or mps"})
    compile: bool = field(default=False, metadata={"help": "compile the networks that learn (torch.compile); pays in long runs"})
    cuda_graphs: bool = field(default=True, metadata={"help": "on a GPU: record a round's kernels once and replay them"})
    start_from: str | None = field(default=None, metadata={"help": "weights (name or file) of the same generator to start from"})
    generator: NetworkConfig = field(default=ResnetConfig(), metadata={"variants": networks.CONFIGS})
    data: DomainConfig = field(default_factory=DomainConfig)
    losses: CycleConfig = field(default_factory=CycleConfig)
    opponent: OpponentConfig = field(default_factory=OpponentConfig)
    optimizer: OptimizerConfig = field(default=GAME)
    health: HealthConfig = field(default_factory=HealthConfig)
    loop: LoopConfig = field(default=LoopConfig(steps=200_000, batch_size=1))


@dataclass(frozen=True)
class Pix2PixConfig:
    """Everything that decides a pix2pix run (defaults: Isola et al. 2017, section 3 and appendix 6)."""

    seed: int = field(default=0, metadata={"help": "of the crops and the first weights", "range": (0, 2**63 - 3)})
    precision: str = field(default="auto", metadata={"help": "auto, fp32, bf16 or fp16 (autocast; the weights stay float32)"})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:N or mps"})
    compile: bool = field(default=False, metadata={"help": "compile the networks that learn (torch.compile); pays in long runs"})
    cuda_graphs: bool = field(default=True, metadata={"help": "on a GPU: record a round's kernels once and replay them"})
    start_from: str | None = field(default=None, metadata={"help": "weights (name or file) of the same generator to start from"})
    generator: NetworkConfig = field(default=Pix2PixUNetConfig(dropout=0.5), metadata={"variants": networks.CONFIGS})
    data: DomainConfig = field(default_factory=DomainConfig)
    losses: LossConfig = field(default=LossConfig(pixel_weight=100.0, adversarial_weight=1.0))
    opponent: OpponentConfig = field(default=OpponentConfig(objective="vanilla"))
    optimizer: OptimizerConfig = field(default=GAME)
    health: HealthConfig = field(default_factory=HealthConfig)
    loop: LoopConfig = field(default=LoopConfig(steps=80_000, batch_size=1))


def cyclegan(root: Path, config: CycleGanConfig) -> Prepared:
    """Find both domains, build two directions and their trainer.

    Args:
        root: the dataset's folder.
        config: the resolved configuration.

    Raises:
        ValueError: an unknown layout, an empty domain, or unusable settings.
    """
    place, found = _begin(root, config, paired=False)
    data = config.data
    ways = [
        Direction(
            _generator(config, name), opponents.build(data.channels, config.opponent, place, side=data.crop), config.optimizer, place,
            pool=config.losses.pool, seed=config.seed + number,
        )
        for number, name in enumerate(("forward", "backward"))
    ]  # fmt: skip
    trainer = CycleTrainer(ways[0], ways[1], config.losses, place, health_config=config.health, parts=config.loop.accumulate)
    return _prepared(config, found, trainer, place, paired=False)


def pix2pix(root: Path, config: Pix2PixConfig) -> Prepared:
    """Find the pairs, build the generator, its opponent and their trainer; see `cyclegan`."""
    place, found = _begin(root, config, paired=True)
    opponent = None
    if config.losses.adversarial_weight:
        opponent = opponents.build(2 * config.data.channels, config.opponent, place, side=config.data.crop)
    trainer = PairedTrainer(
        _generator(config), config.optimizer, place, losses=config.losses, opponent=opponent, conditional=True,
        names=("source", "target"), health_config=config.health, parts=config.loop.accumulate,
    )  # fmt: skip
    return _prepared(config, found, trainer, place, paired=True)


def _begin(root: Path, config: CycleGanConfig | Pix2PixConfig, *, paired: bool) -> tuple[Runtime, domains.Domains]:
    planned = networks.plan(config.generator.name, _settings(config))
    if planned.spec.conditions:
        raise ValueError(f"network {config.generator.name!r} takes a {planned.spec.conditions[0]} map: choose another generator.name")
    multiple = planned.spec.multiple
    if config.data.crop < multiple or config.data.crop % multiple:
        raise ValueError(f"data.crop must be a multiple of {multiple} for this generator, not {config.data.crop}")
    low, high = config.data.sides
    if low > high or (high and low < config.data.crop):
        raise ValueError(f"data.sides must be two rising numbers not below data.crop ({config.data.crop}), or 0, 0; not {low}, {high}")
    place = runtime.choose(config.device, config.precision, compiled=config.compile, replayed=config.cuda_graphs)
    check_memory(
        place, network=planned, networks_trained=1 if paired else 2,
        batch_size=config.loop.batch_size // processes.current().count, crop=config.data.crop, channels=config.data.channels, side=high,
    )  # fmt: skip
    runtime.seed_everything(config.seed)
    include = (config.data.source, config.data.target)
    return place, domains.find(root, paired=paired, share=config.data.test_share, seed=config.seed, include=include)


def _settings(config: CycleGanConfig | Pix2PixConfig) -> dict[str, Any]:
    """The generator's settings, as `networks.build` takes them."""
    return networks.settings_of(config.generator, channels=config.data.channels)


def _generator(config: CycleGanConfig | Pix2PixConfig, direction: str | None = None) -> RestorationNetwork:
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


def _prepared(
    config: CycleGanConfig | Pix2PixConfig, found: domains.Domains, trainer: CycleTrainer | PairedTrainer, place: Runtime, *, paired: bool
) -> Prepared:
    data = config.data

    def crops(files: tuple[list[Path], list[Path]], **rest: Any) -> domains.DomainCrops:
        settings: dict[str, Any] = {
            "paired": paired, "joined": found.joined, "crop": data.crop, "channels": data.channels, "sides": data.sides,
            "flip": data.flip, "seed": config.seed, "length": config.loop.steps * config.loop.batch_size,
        }  # fmt: skip
        return domains.DomainCrops(*files, **(settings | rest))

    dataset = crops(found.train)
    preview = _preview(lambda files, **known: crops(files, seed=config.seed + 1, flip=False, length=4, **known), found.test, dataset)
    facts = {
        "source pictures": len(found.train[0]), "target pictures": len(found.train[1]),
        "held-out pictures": len(found.test[0]) + len(found.test[1]),
        "parameters": count(*trainer.networks().values()),
        "discriminator parameters": count(*(player.network for name, player in trainer.players().items() if "discriminator" in name)),
        "device": str(place.device), "precision": place.precision,
    }  # fmt: skip
    recipe = {
        "task": "translate", "network": config.generator.name, "settings": _settings(config),
        "directions": list(trainer.networks()) if len(trainer.networks()) > 1 else [], "training": as_dict(config),
    }  # fmt: skip
    probes = crops(found.train, seed=config.seed + 2, flip=False, length=8, heaps=dataset.heaps)
    trainer.probe = _collated(probes, 8)
    return Prepared(trainer, dataset, preview, recipe, facts, lambda: dataset.bad)


def _preview(
    make: Callable[..., domains.DomainCrops], test: tuple[list[Path], list[Path]], dataset: domains.DomainCrops
) -> dict[str, Any]:
    """Four samples of the held-out pictures, or of the training pictures where there are none or none can be read."""
    if all(test):
        try:
            return _collated(make(test), 4)
        except ValueError:
            pass  # each was reported
    return _collated(make(tuple(heap.files for heap in dataset.heaps), heaps=dataset.heaps), 4)


def _collated(samples: domains.DomainCrops, count: int) -> dict[str, Any]:
    return dict(default_collate([samples[index] for index in range(count)]))
