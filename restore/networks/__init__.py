"""What a network is made of: one architecture a file, one table `NETWORKS`.

A network takes a picture (B, C, H, W) in nominal [0, 1] and, where `condition_channels` > 0, maps (B, K, H, W); it returns the
correction to be added to the picture. It tells `channels`, `multiple` (sides must be multiples of it) and `receptive_field`.
One with a `scale` above 1 returns (B, C, scale H, scale W), to be added to the picture as `resample.enlarge` enlarges it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from restore.networks.inpainter import Inpainter
from restore.networks.opponent_unet import OpponentUNet
from restore.networks.pix2pix_unet import Pix2PixUNet
from restore.networks.resnet import ResnetGenerator
from restore.networks.rrdb import RRDBNet
from restore.networks.unet import RestorationUNet
from restore.networks.upscaler import Upscaler

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "unet": RestorationUNet,
    "opponent_unet": OpponentUNet,
    "resnet": ResnetGenerator,
    "pix2pix_unet": Pix2PixUNet,
    "upscaler": Upscaler,
    "rrdb": RRDBNet,
    "inpainter": Inpainter,
}


def build(name: str, **settings: Any) -> nn.Module:
    """Build the network called `name` with its own settings.

    Raises:
        ValueError: no such network, or a setting it does not know; the text names what there is.
    """
    if name == "foreign":  # no architecture of its own: what it is, its tensors say
        from restore.networks.foreign import Foreign

        return Foreign(**settings)
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}: there are {', '.join(sorted(NETWORKS))}")
    try:
        return NETWORKS[name](**settings)
    except TypeError as error:
        raise ValueError(f"network {name!r} cannot be built with {settings}: {error}") from error
