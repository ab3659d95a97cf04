"""`restore train denoise`: clean pictures, seeded noise, the restoration U-Net and the supervised trainer, introduced to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from restore.datasets import degrade
from restore.tasks import restoration
from restore.tasks.prepared import Prepared
from restore.tasks.restoration import RestorationConfig


@dataclass(frozen=True, kw_only=True)
class DenoiseConfig(RestorationConfig):
    """Everything that decides a denoising run."""

    noise: degrade.NoiseConfig = field(default_factory=degrade.NoiseConfig)


def prepare(root: Path, config: DenoiseConfig) -> Prepared:
    """Find the pictures, build the network and the trainer.

    Args:
        root: the dataset's folder.
        config: the resolved configuration.

    Raises:
        ValueError: no pictures, an unknown network, device or precision, or unusable settings.
    """
    return restoration.prepare(root, config, task="denoise", damage=partial(degrade.damage, config=config.noise), condition="noise")
