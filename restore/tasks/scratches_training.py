"""`restore train scratches`: clean images, degraded as old prints are, and a network that detects the defects."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from restore.datasets import defects
from restore.datasets.defects import DefectConfig
from restore.gan.paired import LossConfig
from restore.tasks import restoration
from restore.tasks.prepared import Prepared
from restore.tasks.restoration import DataConfig, Problem, RestorationConfig
from restore.training.optimizers import OptimizerConfig


@dataclass(frozen=True)
class DetectorConfig:
    """What is trained: a U-Net that maps an image to the mask of its defects."""

    width: int = field(default=16, metadata={"help": "channels after the first layer", "range": (1, 4096)})
    levels: int = field(default=4, metadata={"help": "number of downsamplings", "range": (1, 10)})
    refine: int = field(
        default=2, metadata={"help": "convolutions at the full resolution after the last level", "range": (0, 64)}
    )


@dataclass(frozen=True, kw_only=True)
class ScratchesConfig(RestorationConfig):
    """The settings of a run.

    The squared error of a mask is a proper score: the network learns the probability of a defect. Networks trained to remove the defects,
    which would be located by the change, learnt to do nothing: with L1, because the median change is none; and with Muon, because its
    steps have the same length where there is nothing to learn.
    """

    network: DetectorConfig = field(default_factory=DetectorConfig)
    data: DataConfig = field(default=DataConfig(channels=1, crop=128))
    defects: DefectConfig = field(default_factory=DefectConfig)
    losses: LossConfig = field(default=LossConfig(pixel="l2", pixel_weight=10.0))
    optimizer: OptimizerConfig = field(default=OptimizerConfig("adam", 2e-3, beta2=0.999))


def prepare(root: Path, config: ScratchesConfig) -> Prepared:
    """Find the images, build the network and the trainer; see `restoration.prepare`."""
    settings: dict[str, Any] = {
        "channels": config.data.channels, "width": config.network.width, "levels": config.network.levels, "refine": config.network.refine,
        "upsample": "smooth", "norm": "batch", "dropout": 0.0,
    }  # fmt: skip
    problem = Problem(
        partial(defects.add_defects, config=config.defects),
        global_degradation=partial(defects.degrade_globally, config=config.defects),
        make_target=defects.defect_mask,
    )
    return restoration.prepare(
        root, config, problem, task="scratches", network=("pix2pix_unet", settings), multiple=2**config.network.levels
    )
