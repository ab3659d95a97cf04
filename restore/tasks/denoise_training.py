"""`restore train denoise`: clean pictures, seeded noise, the restoration U-Net and the supervised trainer, introduced to each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from restore.datasets import degrade
from restore.tasks import restoration
from restore.tasks.prepared import Prepared
from restore.tasks.restoration import RestorationConfig


@dataclass(frozen=True)
class NetworkConfig:
    """What is trained."""

    name: str = field(default="unet", metadata={"help": "a key of restore.networks.NETWORKS"})
    widths: tuple[int, ...] = field(
        default=(32, 64, 128, 192),
        metadata={"help": "channels at the first resolution, at half of it, at a quarter ...", "range": (1, 4096), "count": (1, 10)},
    )
    blocks: tuple[int, ...] = field(
        default=(1, 1, 1, 1), metadata={"help": "residual blocks at each of these", "range": (0, 64), "count": (1, 10)}
    )
    unshuffle: int = field(default=1, metadata={"help": "the first resolution is the picture's divided by this", "range": (1, 16)})
    chroma_widths: tuple[int, ...] = field(
        default=(48, 96, 128),
        metadata={"help": "opponent_unet: channels of its network for the colour differences", "range": (1, 4096), "count": (1, 10)},
    )

    @property
    def multiple(self) -> int:
        """What the sides of a crop must be multiples of."""
        own = self.unshuffle * 2 ** (len(self.widths) - 1)
        return math.lcm(own, 2 ** len(self.chroma_widths)) if self.name == "opponent_unet" else own

    def settings(self, channels: int) -> dict[str, Any]:
        """What `networks.build` takes."""
        shared = {"channels": channels, "widths": list(self.widths), "blocks": list(self.blocks), "unshuffle": self.unshuffle}
        return shared | ({"chroma_widths": list(self.chroma_widths)} if self.name == "opponent_unet" else {})


@dataclass(frozen=True, kw_only=True)
class DenoiseConfig(RestorationConfig):
    """Everything that decides a denoising run."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    noise: degrade.NoiseConfig = field(default_factory=degrade.NoiseConfig)


def prepare(root: Path, config: DenoiseConfig) -> Prepared:
    """Find the pictures, build the network and the trainer.

    Args:
        root: the dataset's folder.
        config: the resolved configuration.

    Raises:
        ValueError: no pictures, an unknown network, device or precision, or unusable settings.
    """
    return restoration.prepare(
        root, config, task="denoise", network=(config.network.name, config.network.settings(config.data.channels)),
        damage=partial(degrade.damage, config=config.noise), multiple=config.network.multiple,
    )  # fmt: skip
