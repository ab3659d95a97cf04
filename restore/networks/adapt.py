"""Start one network from another's weights, between gray and colour and from one scale of enlargement to another too."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def transfer(tensors: Mapping[str, Tensor], network: nn.Module) -> None:
    """Copy `tensors` into `network`; a first or last layer for another number of colours is spread or averaged over them.

    A gray network's first layer, spread over the three colours with a third each, answers a gray picture as before; its last
    layer, repeated, gives every colour the same correction. A network with a part for the luminance takes a gray one's as that.

    Raises:
        ValueError: another architecture: keys or inner shapes differ.
    """
    inner = getattr(network, "luminance", None)
    if isinstance(inner, nn.Module) and inner.state_dict().keys() == tensors.keys():
        network = inner
    own = network.state_dict()
    if own.keys() != tensors.keys():
        odd = sorted(own.keys() ^ tensors.keys())
        raise ValueError(f"these weights are of another architecture: {', '.join(odd[:4])} ... differ")
    with torch.no_grad():
        for key, value in tensors.items():
            own[key].copy_(_fit(key, value.to(own[key].dtype), own[key].shape, network))
    network.load_state_dict(own)


def _fit(key: str, value: Tensor, shape: torch.Size, network: nn.Module) -> Tensor:
    if value.shape == shape:
        return value
    scale = int(getattr(network, "scale", 1))
    if scale > 1 and key.startswith("tail."):  # another number of sub-pixels: each colour's start equal, as in a fresh network
        return value.unflatten(0, (int(network.channels), -1)).mean(1).repeat_interleave(scale**2, 0)  # type: ignore[arg-type]
    cell = int(getattr(network, "unshuffle", 1)) ** 2  # pixels of an unshuffled cell, whose channels lie together
    if key == "head.weight" and value.shape[0] == shape[0]:
        picture, noise = value[:, :-cell], value[:, -cell:]
        before, after = picture.shape[1] // cell, shape[1] // cell - 1
        mean = picture.unflatten(1, (before, cell)).sum(1) / after
        return torch.cat([mean.repeat(1, after, 1, 1), noise], 1)
    if key == "tail.weight" and value.shape[1] == shape[1]:
        before, after = value.shape[0] // cell, shape[0] // cell
        return value.unflatten(0, (before, cell)).mean(0).repeat(after, 1, 1, 1)
    raise ValueError(
        f"these weights are of another size: {key} is {tuple(value.shape)}, this network's is {tuple(shape)}"
    )
