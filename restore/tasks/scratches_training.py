"""`restore train scratches`: clean pictures made old, worn on the fly, and a network that tells where."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from restore.datasets import wear
from restore.datasets.wear import WearConfig
from restore.gan.core import OptimizerConfig
from restore.gan.paired import LossConfig
from restore.tasks import restoration
from restore.tasks.prepared import Prepared
from restore.tasks.restoration import DataConfig, RestorationConfig


@dataclass(frozen=True)
class FinderConfig:
    """What is trained: a U-Net that translates a picture into the mask of its marks."""

    width: int = field(default=16, metadata={"help": "channels after the first layer", "range": (1, 4096)})
    levels: int = field(default=4, metadata={"help": "halvings", "range": (1, 10)})
    refine: int = field(default=2, metadata={"help": "convolutions at the full size behind the last level", "range": (0, 64)})


@dataclass(frozen=True, kw_only=True)
class ScratchesConfig(RestorationConfig):
    """Everything that decides a run.

    The squared error of a mask is a proper score, so that the network tells the chance of a mark. (Networks that were to take the marks
    away, by whose change they would be found, learnt to do nothing: by L1, whose median is no change, and by Muon, whose steps are as
    long where there is nothing to learn.)
    """

    network: FinderConfig = field(default_factory=FinderConfig)
    data: DataConfig = field(default=DataConfig(channels=1, crop=128))
    wear: WearConfig = field(default_factory=WearConfig)
    losses: LossConfig = field(default=LossConfig(pixel="l2", pixel_weight=10.0))
    optimizer: OptimizerConfig = field(default=OptimizerConfig("adam", 2e-3, beta2=0.999))


def prepare(root: Path, config: ScratchesConfig) -> Prepared:
    """Find the pictures, build the network and the trainer.

    Args:
        root: the dataset's folder.
        config: the resolved configuration.

    Raises:
        ValueError: no pictures, an unknown device or precision, or unusable settings.
    """
    settings: dict[str, Any] = {
        "channels": config.data.channels, "width": config.network.width, "levels": config.network.levels, "refine": config.network.refine,
        "upsample": "smooth", "norm": "batch", "dropout": 0.0,
    }  # fmt: skip
    return restoration.prepare(
        root, config, task="scratches", network=("pix2pix_unet", settings), damage=partial(wear.wear, config=config.wear),
        multiple=2**config.network.levels, ageing=partial(wear.age, config=config.wear), wanted=wear.marked,
    )  # fmt: skip
