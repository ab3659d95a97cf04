"""`restore train upscale`: clean pictures, made small on the fly, and a network that learns to enlarge them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from restore.datasets import shrinking
from restore.datasets.shrinking import ShrinkingConfig
from restore.gan.core import GAME, OptimizerConfig
from restore.gan.health import HealthConfig
from restore.gan.opponent import OpponentConfig
from restore.gan.paired import LossConfig
from restore.tasks import restoration
from restore.tasks.prepared import Prepared
from restore.tasks.restoration import DataConfig
from restore.training.loop import LoopConfig


@dataclass(frozen=True)
class UpscalerConfig:
    """What is trained."""

    name: str = field(default="upscaler", metadata={"help": "a network of restore.networks.NETWORKS that enlarges"})
    width: int = field(default=64, metadata={"help": "channels of every layer"})
    blocks: int = field(default=12, metadata={"help": "residual blocks"})


@dataclass(frozen=True)
class UpscaleConfig:
    """Everything that decides a run of super-resolution (crops of 192 and the L1 loss: Lim et al. 2017, section 4.2)."""

    scale: int = field(default=4, metadata={"help": "how many times larger: 2, 3 or 4"})
    seed: int = field(default=0, metadata={"help": "of the crops, their damage and the first weights"})
    precision: str = field(
        default="auto", metadata={"help": "auto, fp32, bf16 or fp16 (autocast; the weights stay float32)"}
    )
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:N or mps"})
    compile: bool = field(default=False, metadata={"help": "compile the networks that learn (torch.compile); pays in long runs"})
    start_from: str | None = field(default=None, metadata={"help": "weights (name or file) to start from"})
    network: UpscalerConfig = field(default_factory=UpscalerConfig)
    data: DataConfig = field(default=DataConfig(channels=3, crop=192))
    shrinking: ShrinkingConfig = field(default_factory=ShrinkingConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    opponent: OpponentConfig = field(
        default=OpponentConfig(network="unet", objective="vanilla", optimizer=replace(GAME, learning_rate=1e-4))
    )
    health: HealthConfig = field(default_factory=HealthConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


def prepare(root: Path, config: UpscaleConfig) -> Prepared:
    """Find the pictures, build the network and the trainer.

    Args:
        root: the dataset's folder.
        config: the resolved configuration.

    Raises:
        ValueError: no pictures, an unknown network, device or precision, or unusable settings.
    """
    settings: dict[str, Any] = {
        "channels": config.data.channels, "scale": config.scale, "width": config.network.width, "blocks": config.network.blocks,
    }  # fmt: skip
    damage = partial(shrinking.damage, scale=config.scale, config=config.shrinking)
    return restoration.prepare(root, config, task="upscale", settings=settings, damage=damage, multiple=config.scale)
