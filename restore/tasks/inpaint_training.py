"""`restore train inpaint`: clean images, seeded holes, and a network that fills them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from restore.datasets import masks
from restore.datasets.masks import MaskConfig
from restore.gan.discriminator_trainer import GAN_ADAM, DiscriminatorConfig
from restore.gan.paired import LossConfig
from restore.networks import CONFIGS, NetworkConfig
from restore.networks.inpainter import InpainterConfig
from restore.tasks import restoration_setup
from restore.tasks.prepared_run import Prepared
from restore.tasks.restoration_setup import DataConfig, Problem, RestorationConfig


@dataclass(frozen=True, kw_only=True)
class InpaintConfig(RestorationConfig):
    """The settings of an inpainting run (losses, a discriminator that judges the holes alone: Suvorov et al. 2022, section 2.3)."""

    network: NetworkConfig = field(default=InpainterConfig(), metadata={"variants": CONFIGS})
    data: DataConfig = field(default=DataConfig(channels=3, crop=256))
    masks: MaskConfig = field(default_factory=MaskConfig)
    losses: LossConfig = field(default=LossConfig(pixel_weight=5.0, perceptual_weight=1.0, adversarial_weight=0.2))
    # the projected discriminator recognises fillings after ten steps; one on pixels needs hundreds, and with R1 of 0.001 it never did:
    # R1's gradient is that of all logits of the map together
    discriminator: DiscriminatorConfig = field(
        default=DiscriminatorConfig(
            network="projected",
            objective="hinge",
            mask_loss=True,
            optimizer=replace(GAN_ADAM, learning_rate=5e-4, beta1=0.0),
        ),
        metadata={"only_if": "losses.adversarial_weight"},
    )


def prepare(root: Path, config: InpaintConfig) -> Prepared:
    """Find the images, build the network and the trainer; see `restoration_setup.prepare`."""
    problem = Problem(partial(masks.cut_holes, config=config.masks), condition="mask")
    return restoration_setup.prepare(root, config, problem, task="inpaint")
