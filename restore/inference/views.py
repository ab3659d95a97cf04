"""The eight turned and mirrored views of a picture, for averaging over them.

Timofte et al. 2016, "Seven ways to improve example-based single image super resolution", section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from restore.inference.statistics import Statistics
from restore.runtime import Runtime

# (quarter turns, mirrored): half a turn first, which keeps a tile's shape and so costs no new set-up
VIEWS = ((0, False), (2, False), (1, False), (3, False), (0, True), (2, True), (1, True), (3, True))


def turned(tensor: Tensor, view: tuple[int, bool], place: Runtime) -> Tensor:
    """One view of (B, C, H, W): so many quarter turns, then mirrored or not."""
    turns, mirrored = view
    if not turns and not mirrored:
        return tensor
    turned = torch.rot90(tensor, turns, (2, 3))
    return (turned.flip(3) if mirrored else turned).contiguous(memory_format=place.memory_format)


def unturned(tensor: Tensor, view: tuple[int, bool]) -> Tensor:
    """Undo `turned`."""
    turns, mirrored = view
    if not turns and not mirrored:
        return tensor  # rot90 copies, even for no turn
    return torch.rot90(tensor.flip(3) if mirrored else tensor, -turns, (2, 3))


def averaged(
    network: nn.Module, inputs: list[Tensor], views: Sequence[tuple[int, bool]], place: Runtime, common: Statistics | None
) -> Tensor:
    """The network's answer to inputs (B, C, H, W), (B, C', H', W') float32, the mean over the views.

    Args:
        common: what the network's normalisations find in the whole picture, if they are to be told.
    """
    total = torch.zeros(())
    for number, view in enumerate(views):
        with nullcontext() if common is None else common.at(number):
            seen = unturned(network(*(turned(one, view, place) for one in inputs)).float(), view)
        total = total + seen if number else seen
    return total / len(views) if len(views) > 1 else total
