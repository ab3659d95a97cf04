"""`restore train denoise`: clean images, seeded noise and a restoration network."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from restore.datasets import degrade
from restore.tasks import restoration
from restore.tasks.prepared import Prepared
from restore.tasks.restoration import Problem, RestorationConfig


@dataclass(frozen=True)
class NetworkConfig:
    """What is trained."""

    name: str = field(default="unet", metadata={"help": "a key of restore.networks.NETWORKS"})
    widths: tuple[int, ...] = field(
        default=(32, 64, 128, 192),
        metadata={
            "help": "channels at the first resolution, at half of it, at a quarter ...",
            "range": (1, 4096),
            "count": (1, 10),
        },
    )
    blocks: tuple[int, ...] = field(
        default=(1, 1, 1, 1),
        metadata={"help": "residual blocks at each resolution", "range": (0, 64), "count": (1, 10)},
    )
    unshuffle: int = field(
        default=1, metadata={"help": "the first resolution is the image's divided by this", "range": (1, 16)}
    )
    chroma_widths: tuple[int, ...] = field(
        default=(48, 96, 128),
        metadata={
            "help": "opponent_unet: channels of its network for the colour differences",
            "range": (1, 4096),
            "count": (1, 10),
        },
    )

    @property
    def multiple(self) -> int:
        """The sides of a crop must be multiples of this."""
        own = self.unshuffle * 2 ** (len(self.widths) - 1)
        return math.lcm(own, 2 ** len(self.chroma_widths)) if self.name == "opponent_unet" else own

    def settings(self, channels: int) -> dict[str, Any]:
        """The settings that `networks.build` takes."""
        shared = {
            "channels": channels,
            "widths": list(self.widths),
            "blocks": list(self.blocks),
            "unshuffle": self.unshuffle,
        }
        return shared | ({"chroma_widths": list(self.chroma_widths)} if self.name == "opponent_unet" else {})


@dataclass(frozen=True, kw_only=True)
class DenoiseConfig(RestorationConfig):
    """The settings of a denoising run."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    noise: degrade.NoiseConfig = field(default_factory=degrade.NoiseConfig)


def prepare(root: Path, config: DenoiseConfig) -> Prepared:
    """Find the images, build the network and the trainer; see `restoration.prepare`."""
    network = config.network
    return restoration.prepare(
        root, config, Problem(partial(degrade.add_noise, config=config.noise)), task="denoise",
        network=(network.name, network.settings(config.data.channels)), multiple=network.multiple,
    )  # fmt: skip
