"""`restore train upscale`: clean pictures, made small on the fly, and a network that learns to enlarge them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from restore.datasets import shrinking
from restore.datasets.shrinking import ShrinkingConfig
from restore.tasks import restoration
from restore.tasks.prepared import Prepared
from restore.tasks.restoration import DataConfig, RestorationConfig


@dataclass(frozen=True)
class UpscalerConfig:
    """What is trained."""

    name: str = field(default="upscaler", metadata={"help": "a network of restore.networks.NETWORKS that enlarges"})
    width: int = field(default=64, metadata={"help": "channels of every layer", "range": (1, 4096)})
    blocks: int = field(default=12, metadata={"help": "residual blocks", "range": (0, 256)})


@dataclass(frozen=True, kw_only=True)
class UpscaleConfig(RestorationConfig):
    """Everything that decides a run of super-resolution (crops of 192 and the L1 loss: Lim et al. 2017, section 4.2)."""

    scale: int = field(default=4, metadata={"help": "how many times larger: 2, 3 or 4", "range": (2, 4)})
    network: UpscalerConfig = field(default_factory=UpscalerConfig)
    data: DataConfig = field(default=DataConfig(channels=3, crop=192))
    shrinking: ShrinkingConfig = field(default_factory=ShrinkingConfig)


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
    return restoration.prepare(root, config, task="upscale", network=(config.network.name, settings), damage=damage, multiple=config.scale)
