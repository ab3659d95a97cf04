"""`restore train inpaint`: clean pictures, seeded holes, the network that fills them and the paired trainer, introduced to each other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from restore.datasets import masks
from restore.datasets.masks import MaskConfig
from restore.gan.core import GAME
from restore.gan.opponent import OpponentConfig
from restore.gan.paired import LossConfig
from restore.networks import CONFIGS, NetworkConfig
from restore.networks.inpainter import InpainterConfig
from restore.tasks import restoration
from restore.tasks.prepared import Prepared
from restore.tasks.restoration import DataConfig, RestorationConfig


@dataclass(frozen=True, kw_only=True)
class InpaintConfig(RestorationConfig):
    """Everything that decides a run of inpainting (losses, an opponent that judges the holes alone: Suvorov et al. 2022, section 2.3)."""

    network: NetworkConfig = field(default=InpainterConfig(), metadata={"variants": CONFIGS})
    data: DataConfig = field(default=DataConfig(channels=3, crop=256))
    masks: MaskConfig = field(default_factory=MaskConfig)
    losses: LossConfig = field(default=LossConfig(pixel_weight=5.0, perceptual_weight=1.0, adversarial_weight=0.2))
    # within ten steps it knows a filling from a photograph; one of pixels takes hundreds, and under R1 of 0.001, whose slope is that of
    # all places' answers together, it never did
    opponent: OpponentConfig = field(
        default=OpponentConfig(
            network="projected", objective="hinge", within=True, optimizer=replace(GAME, learning_rate=5e-4, beta1=0.0)
        )
    )


def prepare(root: Path, config: InpaintConfig) -> Prepared:
    """Find the pictures, build the network and the trainer.

    Args:
        root: the dataset's folder.
        config: the resolved configuration.

    Raises:
        ValueError: no pictures, an unknown device or precision, or unusable settings.
    """
    return restoration.prepare(root, config, task="inpaint", damage=partial(masks.damage, config=config.masks), condition="mask")
