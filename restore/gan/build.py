"""Builds a discriminator trainer from its configuration, after checking that its network fits into memory and into the crops."""

from __future__ import annotations

import torch

from restore.gan.discriminator_trainer import DiscriminatorConfig, DiscriminatorTrainer
from restore.networks import discriminators, meta_device
from restore.networks.discriminators import Discriminator
from restore.runtime import Runtime
from restore.training.train_state import evaluating

LARGEST_TRIAL = 512
"""Side in pixels of the largest crop that a pretrained discriminator is tried on: it accepts all larger ones too."""


def discriminator_trainer(
    channels: int, config: DiscriminatorConfig, runtime: Runtime, *, side: int | None = None, masked: bool = False
) -> DiscriminatorTrainer:
    """Build a trainer for a discriminator of images (with their condition) of so many channels.

    Args:
        side: of the crops that it will see, in pixels.
        masked: whether its `step` and `generator_loss` will get the mask of the holes.

    Raises:
        ValueError: an unknown discriminator or norm, mask_loss without holes, or crops too small for it.
    """
    if config.mask_loss and not masked:
        raise ValueError("discriminator.mask_loss is for inpainting, where there are holes to judge: set it to false")
    kind = discriminators.find(config.network)
    settings: dict[str, object] = {"channels": channels, **{key: vars(config)[key] for key in kind.settings}}
    if kind.pretrained:  # its backbone comes from a file, which is read once
        network = discriminators.build(config.network, **settings)
        trial, side = network, min(side or LARGEST_TRIAL, LARGEST_TRIAL)
    else:
        trial = meta_device.plan(lambda: discriminators.build(config.network, **settings))
        count = meta_device.parameters(trial)
        meta_device.check_memory(meta_device.COPIES * count, f"the discriminator has {count} parameters: lower discriminator.width")
        network = discriminators.build(config.network, **settings)
    if side is not None:
        _check_side(config.network, trial, channels, side)
    return DiscriminatorTrainer(network, config, runtime)


def _check_side(name: str, network: Discriminator, channels: int, side: int) -> None:
    """Check that a discriminator accepts crops of that side; on the `meta` device this takes no memory.

    Raises:
        ValueError: it does not.
    """
    device = next(network.parameters()).device
    visible = side - network.shift
    try:
        with torch.no_grad(), evaluating(network):
            network(torch.zeros(1, channels, visible, visible, device=device))
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"discriminator.network={name} cannot judge crops of {side} x {side} pixels: make data.crop larger ({error})"
        ) from error
