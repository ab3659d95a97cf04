"""`restore train denoise`: clean images, seeded noise and a restoration network."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from restore.datasets import batch_degrade, degrade
from restore.tasks import restoration_setup
from restore.tasks.prepared_run import Prepared
from restore.tasks.restoration_setup import Problem, RestorationConfig


@dataclass(frozen=True, kw_only=True)
class DenoiseConfig(RestorationConfig):
    """The settings of a denoising run."""

    noise: degrade.NoiseConfig = field(default_factory=degrade.NoiseConfig)


def prepare(root: Path, config: DenoiseConfig) -> Prepared:
    """Find the images, build the network and the trainer; see `restoration_setup.prepare`."""
    problem = Problem(
        partial(degrade.add_noise, config=config.noise),
        condition="noise",
        batch_degradation=partial(batch_degrade.add_noise, config=config.noise),
    )
    return restoration_setup.prepare(root, config, problem, task="denoise")
