"""`restore train colorize`: colour photographs, their luma, and a network that adds the chroma."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from restore.datasets.crops import in_channels
from restore.gan.discriminator_trainer import GAN_ADAM, DiscriminatorConfig
from restore.gan.paired import LossConfig
from restore.networks import CONFIGS, NetworkConfig
from restore.networks.colorizer import ColorizerConfig
from restore.tasks import restoration_setup
from restore.tasks.prepared_run import Prepared
from restore.tasks.restoration_setup import DataConfig, Problem, RestorationConfig
from restore.training.optimizers import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class ColorizeConfig(RestorationConfig):
    """The settings of a colouring run.

    The pictures are small (`data.short_side`), because a colour depends on what a picture shows, not on its finest detail. The
    discriminator sees red, green and blue. The luma of fake and real pictures is the same, so it judges the colours of what it sees.
    """

    network: NetworkConfig = field(default=ColorizerConfig(), metadata={"variants": CONFIGS})
    data: DataConfig = field(default=DataConfig(channels=3, crop=96, short_side=200, scales=(0.48, 1.0), upright=True))
    losses: LossConfig = field(default=LossConfig(pixel="chroma", pixel_weight=10.0, lpips_weight=1.0, adversarial_weight=0.1))
    discriminator: DiscriminatorConfig = field(
        default=DiscriminatorConfig(network="patchgan", width=32, objective="hinge", norm="none", spectral=True, optimizer=GAN_ADAM),
        metadata={"only_if": "losses.adversarial_weight"},
    )
    optimizer: OptimizerConfig = field(default=OptimizerConfig("adam", 5e-4, beta2=0.99))


def prepare(root: Path, config: ColorizeConfig) -> Prepared:
    """Find the images, build the network and the trainer; see `restoration_setup.prepare`.

    Raises:
        ValueError: the pictures are to be gray; also see `restoration_setup.prepare`.
    """
    if config.data.channels != 3:
        raise ValueError("colours are learnt from colour pictures: leave data.channels at 3")
    return restoration_setup.prepare(root, config, Problem(remove_colour), task="colorize")


def remove_colour(crop: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, None]:
    """(H, W, 3) -> its luma (ITU-R BT.601) as three equal channels, and no map."""
    return in_channels(in_channels(crop, 1), 3), None
