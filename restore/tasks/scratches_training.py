"""`restore train scratches`: clean pictures made old, worn on the fly, and a network that tells where."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from restore.datasets import wear
from restore.datasets.wear import WearConfig
from restore.gan.core import OptimizerConfig
from restore.gan.paired import LossConfig
from restore.networks import CONFIGS, NetworkConfig
from restore.networks.pix2pix_unet import Pix2PixUNetConfig
from restore.tasks import restoration
from restore.tasks.prepared import Prepared
from restore.tasks.restoration import DataConfig, RestorationConfig

NETWORK = Pix2PixUNetConfig(width=16, levels=4, norm="batch", upsample="smooth", refine=2)
"""A U-Net that translates a picture into the mask of its defects."""


@dataclass(frozen=True, kw_only=True)
class ScratchesConfig(RestorationConfig):
    """Everything that decides a run.

    The squared error of a mask is a proper score, so that the network tells the chance of a mark. (Networks that were to take the marks
    away, by whose change they would be found, learnt to do nothing: by L1, whose median is no change, and by Muon, whose steps are as
    long where there is nothing to learn.)
    """

    network: NetworkConfig = field(default=NETWORK, metadata={"variants": CONFIGS})
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
    return restoration.prepare(
        root, config, task="scratches", damage=partial(wear.wear, config=config.wear), ageing=partial(wear.age, config=config.wear),
        wanted=wear.marked,
    )  # fmt: skip
