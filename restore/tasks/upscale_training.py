"""`restore train upscale`: clean pictures, made small on the fly, and a network that learns to enlarge them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from restore.datasets import shrinking
from restore.datasets.shrinking import ShrinkingConfig
from restore.networks import CONFIGS, NetworkConfig
from restore.networks.upscaler import UpscalerConfig
from restore.tasks import restoration
from restore.tasks.prepared import Prepared
from restore.tasks.restoration import DataConfig, RestorationConfig


@dataclass(frozen=True, kw_only=True)
class UpscaleConfig(RestorationConfig):
    """Everything that decides a run of super-resolution (crops of 192 and the L1 loss: Lim et al. 2017, section 4.2)."""

    scale: int = field(default=4, metadata={"help": "how many times larger: 2, 3 or 4", "range": (2, 4)})
    network: NetworkConfig = field(default=UpscalerConfig(), metadata={"variants": CONFIGS})
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
    damage = partial(shrinking.damage, scale=config.scale, config=config.shrinking)
    return restoration.prepare(root, config, task="upscale", damage=damage, scale=config.scale)
