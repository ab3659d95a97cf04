"""`restore train scratches`: clean images, degraded as old prints are, and a network that detects the defects."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from restore.datasets import defects
from restore.datasets.defects import DefectConfig
from restore.gan.paired import LossConfig
from restore.networks import CONFIGS, NetworkConfig
from restore.networks.pix2pix_unet import Pix2PixUNetConfig
from restore.tasks import restoration_setup
from restore.tasks.prepared_run import Prepared
from restore.tasks.restoration_setup import DataConfig, Problem, RestorationConfig
from restore.training.optimizers import OptimizerConfig

NETWORK = Pix2PixUNetConfig(width=16, levels=4, norm="batch", upsample="smooth", refine=2)
"""A U-Net that maps an image to the mask of its defects."""


@dataclass(frozen=True, kw_only=True)
class ScratchesConfig(RestorationConfig):
    """The settings of a run.

    The squared error of a mask is a proper score: the network learns the probability of a defect. Networks trained to remove the defects,
    which would be located by the change, learnt to do nothing: with L1, because the median change is none; and with Muon, because its
    steps have the same length where there is nothing to learn.
    """

    network: NetworkConfig = field(default=NETWORK, metadata={"variants": CONFIGS})
    data: DataConfig = field(default=DataConfig(channels=1, crop=128))
    defects: DefectConfig = field(default_factory=DefectConfig)
    losses: LossConfig = field(default=LossConfig(pixel="l2", pixel_weight=10.0))
    optimizer: OptimizerConfig = field(default=OptimizerConfig("adam", 2e-3, beta2=0.999))


def prepare(root: Path, config: ScratchesConfig) -> Prepared:
    """Find the images, build the network and the trainer; see `restoration_setup.prepare`."""
    problem = Problem(
        partial(defects.add_defects, config=config.defects),
        global_degradation=partial(defects.degrade_globally, config=config.defects),
        make_target=defects.defect_mask,
    )
    return restoration_setup.prepare(root, config, problem, task="scratches")
