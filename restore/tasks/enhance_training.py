"""`restore train enhance`: good pictures, seeded faults of their exposure and colours, and a network that predicts a lookup table."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from restore.datasets import exposure
from restore.datasets.exposure import ExposureConfig
from restore.gan.paired import LossConfig
from restore.networks import CONFIGS, NetworkConfig
from restore.networks.lut import LutConfig
from restore.tasks import restoration_setup
from restore.tasks.prepared_run import Prepared
from restore.tasks.restoration_setup import DataConfig, Problem, RestorationConfig
from restore.training.optimizers import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class EnhanceConfig(RestorationConfig):
    """The settings of a run.

    A crop is a large part of a picture, reduced: the table depends on the picture as a whole. With the logarithm of the squared error
    (psnr) the network stayed at the identity: near it, a good picture's gain outweighs every other.
    """

    network: NetworkConfig = field(default=LutConfig(), metadata={"variants": CONFIGS})
    data: DataConfig = field(default=DataConfig(channels=3, crop=96, scales=(0.19, 0.34)))
    exposure: ExposureConfig = field(default_factory=ExposureConfig)
    losses: LossConfig = field(default=LossConfig(pixel="l1"))
    optimizer: OptimizerConfig = field(default=OptimizerConfig("adam", 2e-3, beta2=0.999))


def prepare(root: Path, config: EnhanceConfig) -> Prepared:
    """Find the pictures, build the network and the trainer; see `restoration_setup.prepare`.

    Raises:
        ValueError: the network does not predict a table.
    """
    problem = Problem(partial(exposure.damage, config=config.exposure), whole=True)
    return restoration_setup.prepare(root, config, problem, task="enhance")
