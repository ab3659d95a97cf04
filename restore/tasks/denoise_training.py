"""`restore train denoise`: clean pictures, seeded noise, the restoration U-Net and the supervised trainer, introduced to each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch.utils.data import default_collate

from restore import networks, runtime, weights
from restore.datasets import crops, degrade, folders
from restore.gan import opponent as opponents
from restore.gan.core import GAME, OptimizerConfig
from restore.gan.health import HealthConfig
from restore.gan.opponent import OpponentConfig
from restore.gan.paired import LossConfig, PairedTrainer
from restore.networks.adapt import transfer
from restore.tasks.prepared import Prepared, count
from restore.training.config import as_dict
from restore.training.loop import LoopConfig


@dataclass(frozen=True)
class NetworkConfig:
    """What is trained."""

    name: str = field(default="unet", metadata={"help": "a key of restore.networks.NETWORKS"})
    widths: tuple[int, ...] = field(
        default=(32, 64, 128, 192),
        metadata={"help": "channels at the first resolution, at half of it, at a quarter ..."},
    )
    blocks: tuple[int, ...] = field(default=(1, 1, 1, 1), metadata={"help": "residual blocks at each of these"})
    unshuffle: int = field(default=1, metadata={"help": "the first resolution is the picture's divided by this"})
    chroma_widths: tuple[int, ...] = field(
        default=(48, 96, 128), metadata={"help": "opponent_unet: channels of its network for the colour differences"}
    )

    @property
    def multiple(self) -> int:
        """What the sides of a crop must be multiples of."""
        own = self.unshuffle * 2 ** (len(self.widths) - 1)
        return math.lcm(own, 2 ** len(self.chroma_widths)) if self.name == "opponent_unet" else own

    def settings(self, channels: int) -> dict[str, Any]:
        """What `networks.build` takes."""
        shared = {"channels": channels, "widths": list(self.widths), "blocks": list(self.blocks), "unshuffle": self.unshuffle}
        return shared | ({"chroma_widths": list(self.chroma_widths)} if self.name == "opponent_unet" else {})


@dataclass(frozen=True)
class DataConfig:
    """What it is trained on."""

    channels: Literal[1, 3] = field(default=1, metadata={"help": "1 gray (colour pictures become luma), 3 colour"})
    include: tuple[str, ...] = field(
        default=(), metadata={"help": "glob patterns under the dataset; empty: every picture"}
    )
    crop: int = field(default=96, metadata={"help": "side of a training crop in pixels"})
    scales: tuple[float, float] = field(
        default=(1.0, 1.0), metadata={"help": "range of the factor a picture is shrunk by first"}
    )
    scaled_share: float = field(default=1.0, metadata={"help": "share of the crops that are shrunk"})
    gain: tuple[float, float] = field(default=(1.0, 1.0), metadata={"help": "range of the factor on a crop's contrast"})
    test_share: float = field(
        default=0.05, metadata={"help": "share of the pictures kept for previews, where no split is given"}
    )


@dataclass(frozen=True)
class DenoiseConfig:
    """Everything that decides a denoising run."""

    seed: int = field(default=0, metadata={"help": "of the crops, the noise and the first weights"})
    precision: str = field(
        default="auto", metadata={"help": "auto, fp32, bf16 or fp16 (autocast; the weights stay float32)"}
    )
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:N or mps"})
    compile: bool = field(default=False, metadata={"help": "compile the networks that learn (torch.compile); pays in long runs"})
    start_from: str | None = field(
        default=None, metadata={"help": "weights (name or file) to start from, gray or colour alike"}
    )
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    noise: degrade.NoiseConfig = field(default_factory=degrade.NoiseConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    opponent: OpponentConfig = field(
        default=OpponentConfig(network="unet", objective="vanilla", optimizer=replace(GAME, learning_rate=1e-4))
    )
    health: HealthConfig = field(default_factory=HealthConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


def prepare(root: Path, config: DenoiseConfig) -> Prepared:
    """Find the pictures, build the network and the trainer.

    Args:
        root: the dataset's folder.
        config: the resolved configuration.

    Raises:
        ValueError: no pictures, an unknown network, device or precision, or unusable settings.
    """
    _check(config)
    place = runtime.choose(config.device, config.precision, compiled=config.compile)
    runtime.seed_everything(config.seed)
    train, test = folders.split(
        folders.pictures(root, config.data.include), root, share=config.data.test_share, seed=config.seed
    )
    settings = config.network.settings(config.data.channels)
    network = networks.build(config.network.name, **settings)
    if config.start_from:
        transfer(weights.load(weights.find(config.start_from).path)[0], network)
    opponent = opponents.build(config.data.channels, config.opponent, place) if config.losses.adversarial_weight else None
    trainer = PairedTrainer(
        network, config.optimizer, place, losses=config.losses, opponent=opponent, health_config=config.health,
        parts=config.loop.accumulate,
    )  # fmt: skip
    make = partial(_crops, config=config)
    recipe = {"task": "denoise", "network": config.network.name, "settings": settings, "training": as_dict(config)}
    dataset = make(train, seed=config.seed, length=config.loop.steps * config.loop.batch_size)
    facts = {
        "training pictures": len(train),
        "held-out pictures": len(test),
        "parameters": count(network),
        "device": str(place.device),
        "precision": place.precision,
    }
    preview = partial(make, seed=config.seed + 1, length=4)
    return Prepared(trainer, dataset, _preview(preview, test, train), recipe, facts, lambda: dataset.pictures.bad)


def _preview(make: Callable[[list[Path]], crops.DamagedCrops], test: list[Path], train: list[Path]) -> dict[str, Any]:
    """Four samples of the held-out pictures, or of the training pictures where none of those can be read."""
    try:
        samples = make(test or train)
        return dict(default_collate([samples[index] for index in range(4)]))
    except ValueError:
        if not test:
            raise
        return _preview(make, [], train)


def _crops(files: list[Path], *, config: DenoiseConfig, seed: int, length: int) -> crops.DamagedCrops:
    data = config.data
    return crops.DamagedCrops(
        files, crop=data.crop, channels=data.channels, damage=partial(degrade.damage, config=config.noise), seed=seed,
        length=length, scales=data.scales, scaled_share=data.scaled_share, gain=data.gain,
    )  # fmt: skip


def _check(config: DenoiseConfig) -> None:
    if config.seed < 0:
        raise ValueError(f"seed must not be negative, not {config.seed}")
    multiple = config.network.multiple
    if config.data.crop < multiple or config.data.crop % multiple:
        raise ValueError(f"data.crop must be a multiple of {multiple} for this network, not {config.data.crop}")
    for name in ("scales", "gain"):
        low, high = getattr(config.data, name)
        if not 0 < low <= high:
            raise ValueError(f"data.{name} must be two rising numbers above 0, not {low}, {high}")
    if not 0 <= config.data.scaled_share <= 1:
        raise ValueError(f"data.scaled_share must be in 0..1, not {config.data.scaled_share}")
    if not 0 <= config.data.test_share < 1:
        raise ValueError(f"data.test_share must be in 0..1, not {config.data.test_share}")

