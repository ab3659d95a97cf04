"""What a network is made of: one architecture a file, one table `NETWORKS`.

A network takes a picture (B, C, H, W) in nominal [0, 1] and the maps that its `ModelSpec` names. It returns a correction,
which the caller adds in float32 to the picture, enlarged by `resample.enlarge` where the network enlarges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from restore.networks import planning
from restore.networks.inpainter import Inpainter
from restore.networks.opponent_unet import OpponentUNet
from restore.networks.pix2pix_unet import Pix2PixUNet
from restore.networks.resnet import ResnetGenerator
from restore.networks.rrdb import RRDBNet
from restore.networks.spec import ModelSpec, RestorationNetwork
from restore.networks.unet import RestorationUNet
from restore.networks.upscaler import Upscaler

__all__ = ["NETWORKS", "ModelSpec", "RestorationNetwork", "build", "check", "load", "plan"]

NETWORKS: Mapping[str, Callable[..., RestorationNetwork]] = {
    "unet": RestorationUNet,
    "opponent_unet": OpponentUNet,
    "resnet": ResnetGenerator,
    "pix2pix_unet": Pix2PixUNet,
    "upscaler": Upscaler,
    "rrdb": RRDBNet,
    "inpainter": Inpainter,
}


def build(name: str, **settings: Any) -> RestorationNetwork:
    """Build the network called `name` with its own settings.

    Raises:
        ValueError: no such network, or a setting it does not know; the text names what there is.
    """
    if name == "foreign":  # no architecture of its own: what it is, its tensors say
        from restore.networks.foreign import Foreign

        return Foreign(**settings)
    planned = plan(name, settings)
    count = planning.parameters(planned)
    planning.check_memory(count, f"network {name!r} has {count} parameters: make it smaller")
    return NETWORKS[name](**settings)


def plan(name: str, settings: Mapping[str, Any], *, layers: int = planning.MOST_LAYERS) -> RestorationNetwork:
    """The network called `name` without memory for its weights (on torch's `meta` device), to learn what it would be.

    Args:
        layers: how many layers it can have; see `planning.check_settings`.

    Raises:
        ValueError: no such network, or settings that it cannot be built with.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name[:100]!r}: there are {', '.join(sorted(NETWORKS))}")
    try:
        planning.check_settings(settings, layers=layers)
        return planning.plan(lambda: NETWORKS[name](**settings))
    except ValueError as error:
        raise ValueError(f"network {name!r} cannot be built with {repr(dict(settings))[:200]}: {error}") from error


def check(name: str, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """See to it that `tensors` are those of the network that a recipe names, before it is built.

    Raises:
        ValueError: they are not, or there is no such network.
    """
    if name == "foreign":
        planning.check_settings(settings)
        return
    planned = plan(name, settings, layers=min(len(tensors), planning.MOST_LAYERS))
    planning.check_tensors(planned, {key: tuple(value.shape) for key, value in tensors.items()})


def load(name: str, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> RestorationNetwork:
    """The network called `name` with `tensors`, which may be a stranger's: what does not fit costs neither memory nor time.

    Raises:
        ValueError: as `check`, or tensors that spandrel does not know.
    """
    check(name, settings, tensors)
    network = build(name, **settings)
    network.load_state_dict(tensors)
    return network
