"""`restore train sharpen`: clean images, blurred on the fly, and a network that sharpens their luminance."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from restore.datasets.blur import BlurConfig, blur
from restore.networks import CONFIGS, NetworkConfig
from restore.networks.unet import UNetConfig
from restore.tasks import restoration_setup
from restore.tasks.prepared_run import Prepared
from restore.tasks.restoration_setup import Problem, RestorationConfig

NETWORK = UNetConfig(widths=(32, 48, 64), blocks=(4, 3, 1), condition="blur")


@dataclass(frozen=True, kw_only=True)
class SharpenConfig(RestorationConfig):
    """The settings of a run."""

    network: NetworkConfig = field(default=NETWORK, metadata={"variants": CONFIGS})
    blur: BlurConfig = field(default_factory=BlurConfig)


def prepare(root: Path, config: SharpenConfig) -> Prepared:
    """Find the images, build the network and the trainer; see `restoration_setup.prepare`.

    Raises:
        ValueError: colour was asked for, or what `restoration_setup.prepare` raises.
    """
    if config.data.channels != 1:
        raise ValueError("sharpen trains on luminance: keep data.channels at 1")
    problem = Problem(partial(blur, config=config.blur), condition="blur")
    return restoration_setup.prepare(root, config, problem, task="sharpen")
