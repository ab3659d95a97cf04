"""`restore train colorize`: colour photographs, their luma, and a network that adds the chroma."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from restore.datasets.crops import in_channels
from restore.gan.discriminator_trainer import GAN_ADAM, DiscriminatorConfig
from restore.gan.paired import LossConfig
from restore.images import luma
from restore.networks import CONFIGS, NetworkConfig
from restore.networks.colorizer import ColorizerConfig
from restore.tasks import restoration_setup
from restore.tasks.prepared_run import Prepared
from restore.tasks.restoration_setup import DataConfig, Problem, RestorationConfig
from restore.training.distillation import FEATURES
from restore.training.optimizers import OptimizerConfig

TRIED, GRAY = 200, 2 / 255
"""Crops that are looked at before training until one has colour, and the largest difference of the channels of a gray one."""


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
    distillation_weight: float = field(
        default=0.0,
        metadata={
            "help": f"weight of the distance of predicted features from AlexNet's; needs network.features={FEATURES}",
            "range": (0, 1e6),
        },
    )
    exposure: float = field(
        default=0.0,
        metadata={"help": "a crop's luma is raised to a power drawn between exp(-exposure) and exp(exposure)", "range": (0, 2)},
    )


def prepare(root: Path, config: ColorizeConfig) -> Prepared:
    """Find the images, build the network and the trainer; see `restoration_setup.prepare`.

    Raises:
        ValueError: the pictures are gray, or are to be; also see `restoration_setup.prepare`.
    """
    if config.data.channels != 3:
        raise ValueError("colours are learnt from colour pictures: leave data.channels at 3")
    problem = Problem(
        remove_colour,
        global_degradation=partial(vary_exposure, most=config.exposure) if config.exposure else None,
        distillation_weight=config.distillation_weight,
    )
    prepared = restoration_setup.prepare(root, config, problem, task="colorize")
    if all(is_gray(prepared.dataset[index]["target"]) for index in range(TRIED)):
        raise ValueError(f"the pictures of {root} are gray: colours are learnt from colour pictures")
    return prepared


def is_gray(crop: Tensor) -> bool:
    """Whether the channels of a crop (3, H, W) are equal."""
    return float((crop.amax(0) - crop.amin(0)).max()) < GRAY


def remove_colour(crop: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, None]:
    """(H, W, 3) -> its luma (ITU-R BT.601) as three equal channels, and no map."""
    return in_channels(in_channels(crop, 1), 3), None


def vary_exposure(crop: np.ndarray, rng: np.random.Generator, *, most: float) -> np.ndarray:
    """(H, W, 3) with its luma raised to a random power and its contrast changed; the chroma stays where the gamut has room."""
    power, contrast, offset = np.exp(rng.uniform(-most, most)), rng.uniform(0.75, 1.1), rng.uniform(-0.06, 0.06)
    changed = (np.clip(luma.luma(crop), 0, 1) ** np.float32(power) - 0.5) * contrast + 0.5 + offset
    return luma.with_chroma(np.clip(changed, 0, 1).astype(np.float32), luma.chroma(crop))
