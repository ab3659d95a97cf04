"""The eight rotated and flipped views of a picture, for averaging over them.

Timofte et al. 2016, "Seven ways to improve example-based single image super resolution", section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from restore.inference.statistics import Statistics
from restore.runtime import Runtime

View = tuple[int, bool]
"""Quarter turns, and whether the picture is flipped after them."""
# half a turn comes first: it keeps a tile's shape and so costs no new set-up
VIEWS: tuple[View, ...] = ((0, False), (2, False), (1, False), (3, False), (0, True), (2, True), (1, True), (3, True))


def rotated(tensor: Tensor, view: View, runtime: Runtime) -> Tensor:
    """One view of (B, C, H, W)."""
    turns, flipped = view
    if not turns and not flipped:
        return tensor
    turned = torch.rot90(tensor, turns, (2, 3))
    return (turned.flip(3) if flipped else turned).contiguous(memory_format=runtime.memory_format)


def rotated_back(tensor: Tensor, view: View) -> Tensor:
    """Undo `rotated`."""
    turns, flipped = view
    if not turns and not flipped:
        return tensor  # rot90 copies, even for no turn
    return torch.rot90(tensor.flip(3) if flipped else tensor, -turns, (2, 3))


def averaged(network: nn.Module, inputs: list[Tensor], views: Sequence[View], runtime: Runtime, common: Statistics | None) -> Tensor:
    """The mean of the network's outputs over the views, (B, C, H, W) float32.

    Args:
        inputs: (B, C, H, W) and, if the network takes a condition, (B, K, H, W).
        common: the statistics of the whole picture for the network's normalisations, if they are to be used.
    """
    total = torch.zeros(())
    for number, view in enumerate(views):
        with nullcontext() if common is None else common.at(number):
            output = rotated_back(network(*(rotated(one, view, runtime) for one in inputs)).float(), view)
        total = total + output if number else output
    return total / len(views) if len(views) > 1 else total
