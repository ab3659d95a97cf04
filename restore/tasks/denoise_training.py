"""`restore train denoise`: clean pictures, seeded noise, the restoration U-Net and the supervised trainer, introduced to each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from restore.datasets import degrade
from restore.gan.core import GAME, OptimizerConfig
from restore.gan.health import HealthConfig
from restore.gan.opponent import OpponentConfig
from restore.gan.paired import LossConfig
from restore.tasks import restoration
from restore.tasks.prepared import Prepared
from restore.tasks.restoration import DataConfig
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
    return restoration.prepare(
        root, config, task="denoise", settings=config.network.settings(config.data.channels),
        damage=partial(degrade.damage, config=config.noise), multiple=config.network.multiple,
    )  # fmt: skip
