"""`restore train upscale`: clean images, downscaled on the fly, and a network that upscales them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from restore.datasets.downscaling import DownscalingConfig, downscale
from restore.tasks import restoration
from restore.tasks.prepared import Prepared
from restore.tasks.restoration import DataConfig, Problem, RestorationConfig


@dataclass(frozen=True)
class UpscalerConfig:
    """What is trained."""

    name: str = field(default="upscaler", metadata={"help": "a network of restore.networks.NETWORKS that upscales"})
    width: int = field(default=64, metadata={"help": "channels of every layer", "range": (1, 4096)})
    blocks: int = field(default=12, metadata={"help": "residual blocks", "range": (0, 256)})


@dataclass(frozen=True, kw_only=True)
class UpscaleConfig(RestorationConfig):
    """The settings of a super-resolution run (crops of 192 and the L1 loss: Lim et al. 2017, section 4.2)."""

    scale: int = field(default=4, metadata={"help": "upscaling factor: 2, 3 or 4", "range": (2, 4)})
    network: UpscalerConfig = field(default_factory=UpscalerConfig)
    data: DataConfig = field(default=DataConfig(channels=3, crop=192))
    downscaling: DownscalingConfig = field(default_factory=DownscalingConfig)


def prepare(root: Path, config: UpscaleConfig) -> Prepared:
    """Find the images, build the network and the trainer; see `restoration.prepare`."""
    settings: dict[str, Any] = {
        "channels": config.data.channels, "scale": config.scale, "width": config.network.width, "blocks": config.network.blocks,
    }  # fmt: skip
    problem = Problem(partial(downscale, scale=config.scale, config=config.downscaling))
    return restoration.prepare(
        root, config, problem, task="upscale", network=(config.network.name, settings), multiple=config.scale
    )
