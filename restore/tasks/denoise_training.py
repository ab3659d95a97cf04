"""`restore train denoise`: a restoration network, and clean images with seeded noise or noisy images with more of theirs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from restore.datasets import batch_degrade, camera, degrade
from restore.tasks import restoration_setup
from restore.tasks.prepared_run import Prepared
from restore.tasks.restoration_setup import Problem, RestorationConfig
from restore.tasks.self_supervision import check_losses


@dataclass(frozen=True, kw_only=True)
class DenoiseConfig(RestorationConfig):
    """The settings of a denoising run."""

    self_supervised: bool = field(
        default=False,
        metadata={"help": "the pictures are noisy: learn from them alone, with more of their own noise instead of that of `noise`"},
    )
    noise: degrade.NoiseConfig = field(default_factory=degrade.NoiseConfig)


def prepare(root: Path, config: DenoiseConfig) -> Prepared:
    """Find the images, build the network and the trainer; see `restoration_setup.prepare`.

    Raises:
        ValueError: self-supervised training has a loss that needs clean targets, or what `restoration_setup.prepare` raises.
    """
    if config.self_supervised:
        check_losses(config.losses)
    one_by_one = config.self_supervised or config.noise.camera_fraction > 0 or config.noise.soft_fraction > 0
    problem = Problem(
        partial(camera.add_noise if config.noise.camera_fraction else degrade.add_noise, config=config.noise),
        condition="noise",
        global_degradation=partial(camera.soften, config=config.noise) if config.noise.soft_fraction else None,
        batch_degradation=None if one_by_one else partial(batch_degrade.add_noise, config=config.noise),
        self_supervised=config.self_supervised,
    )
    prepared = restoration_setup.prepare(root, config, problem, task="denoise")
    return replace(prepared, summary="denoising, from noisy pictures alone") if config.self_supervised else prepared
