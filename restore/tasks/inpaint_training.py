"""`restore train inpaint`: clean pictures, seeded holes, the network that fills them and the paired trainer, introduced to each other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from restore.datasets import masks
from restore.datasets.masks import MaskConfig
from restore.gan.core import GAME
from restore.gan.opponent import OpponentConfig
from restore.gan.paired import LossConfig
from restore.tasks import restoration
from restore.tasks.prepared import Prepared
from restore.tasks.restoration import DataConfig, RestorationConfig


@dataclass(frozen=True)
class InpainterConfig:
    """What is trained."""

    widths: tuple[int, ...] = field(
        default=(32, 64, 128, 128),
        metadata={"help": "channels at the full resolution, at half of it, at a quarter ...", "range": (1, 4096), "count": (1, 10)},
    )
    dilations: tuple[int, ...] = field(
        default=(1, 2, 4, 8, 1, 2, 4, 8),
        metadata={"help": "of the blocks at the lowest resolution: how far a hole's pixels see", "range": (1, 1024), "count": (0, 64)},
    )


@dataclass(frozen=True, kw_only=True)
class InpaintConfig(RestorationConfig):
    """Everything that decides a run of inpainting (losses, an opponent that judges the holes alone: Suvorov et al. 2022, section 2.3)."""

    network: InpainterConfig = field(default_factory=InpainterConfig)
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
    settings: dict[str, Any] = {
        "channels": config.data.channels, "widths": list(config.network.widths), "dilations": list(config.network.dilations),
    }  # fmt: skip
    return restoration.prepare(
        root, config, task="inpaint", network=("inpainter", settings), damage=partial(masks.damage, config=config.masks),
        multiple=2 ** (len(config.network.widths) - 1), condition="mask",
    )  # fmt: skip
