"""`restore train upscale`: clean images, downscaled on the fly, and a network that upscales them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from restore.datasets import batch_degrade
from restore.datasets.downscaling import DownscalingConfig, downscale
from restore.networks import CONFIGS, NetworkConfig
from restore.networks.upscaler import UpscalerConfig
from restore.tasks import restoration_setup
from restore.tasks.prepared_run import Prepared
from restore.tasks.restoration_setup import DataConfig, Problem, RestorationConfig


@dataclass(frozen=True, kw_only=True)
class UpscaleConfig(RestorationConfig):
    """The settings of a super-resolution run (crops of 192 and the L1 loss: Lim et al. 2017, section 4.2)."""

    scale: int = field(default=4, metadata={"help": "upscaling factor: 2, 3 or 4", "range": (2, 4)})
    network: NetworkConfig = field(default=UpscalerConfig(), metadata={"variants": CONFIGS})
    data: DataConfig = field(default=DataConfig(channels=3, crop=192))
    downscaling: DownscalingConfig = field(default_factory=DownscalingConfig)


def prepare(root: Path, config: UpscaleConfig) -> Prepared:
    """Find the images, build the network and the trainer; see `restoration_setup.prepare`."""
    problem = Problem(
        partial(downscale, scale=config.scale, config=config.downscaling),
        scale=config.scale,
        batch_degradation=partial(batch_degrade.downscale, scale=config.scale) if config.downscaling.kind == "bicubic" else None,
    )
    return restoration_setup.prepare(root, config, problem, task="upscale")
