"""Start one network from another's weights, also between gray and colour and from one scale of enlargement to another."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from restore.networks.spec import RestorationNetwork


def transfer(tensors: Mapping[str, Tensor], network: RestorationNetwork) -> None:
    """Copy `tensors` into `network`, or into the part of it that they fit; each tensor of another shape is fitted by that part.

    Raises:
        ValueError: another architecture: keys or inner shapes differ.
    """
    part = network.part_for(tensors.keys())
    own = part.state_dict()
    if own.keys() != tensors.keys():
        odd = sorted(own.keys() ^ tensors.keys())
        raise ValueError(f"these weights are of another architecture: {', '.join(odd[:4])} ... differ")
    with torch.no_grad():
        for key, tensor in tensors.items():
            value = tensor.to(own[key].dtype)
            own[key].copy_(value if value.shape == own[key].shape else part.fitted(key, value, own[key].shape))
    part.load_state_dict(own)
