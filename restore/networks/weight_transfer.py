"""Start one network from another's weights, also between gray and colour and from one scale of enlargement to another."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from restore.networks.spec import RestorationNetwork


def transfer(tensors: Mapping[str, Tensor], network: RestorationNetwork) -> None:
    """Copy `tensors` into `network`, or into the part of it that they belong to. That part fits tensors of another shape.

    Of a larger network's tensors, those of the part that is like `network` are copied. A network with more residual blocks computes
    at first what the smaller one does.

    Raises:
        ValueError: another architecture: keys or inner shapes differ.
    """
    part = network.part_for(tensors.keys())
    own = part.state_dict()
    tensors = part.adapted(tensors)
    if own.keys() != tensors.keys():
        odd = sorted(own.keys() ^ tensors.keys())
        raise ValueError(f"these weights are of another architecture: {', '.join(odd[:4])} ... differ")
    with torch.no_grad():
        for key, tensor in tensors.items():
            value = tensor.to(own[key].dtype)
            own[key].copy_(value if value.shape == own[key].shape else part.fitted(key, value, own[key].shape))
    part.load_state_dict(own)


def spread_colours(weight: Tensor, colours: int, *, cell: int = 1, maps: int = 0) -> Tensor:
    """A first layer's weight for another number of colours, each with an equal share of the sum of the old ones.

    A gray network's weight, spread over three colours, answers a gray picture as before.

    Args:
        weight: (O, C cell + M, h, w); the inputs of one colour lie together, those of the maps come last.
        colours: how many colours the new layer takes.
        cell: inputs of one colour (pixels of an unshuffled cell).
        maps: inputs M that stay as they are.

    Returns:
        (O, colours cell + M, h, w).
    """
    picture, rest = torch.split(weight, [weight.shape[1] - maps, maps], 1)
    mean = picture.unflatten(1, (-1, cell)).sum(1) / colours
    return torch.cat([mean.repeat(1, colours, 1, 1), rest], 1)


def average_colours(weight: Tensor, colours: int, *, cell: int = 1) -> Tensor:
    """A last layer's weight for another number of colours, each with the mean of the old ones.

    (C cell, I, h, w) -> (colours cell, I, h, w); the outputs of one colour lie together.
    """
    return torch.unflatten(weight, 0, (-1, cell)).mean(0).repeat(colours, 1, 1, 1)
