"""Self-ensemble: averages a network's outputs over rotated and flipped copies of its input.

Timofte et al. 2016, "Seven ways to improve example-based single image super resolution", section 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from restore.inference.instance_statistics import Statistics
from restore.runtime import Runtime

Transform = tuple[int, bool]
"""Rotations by 90 degrees, and whether the picture is flipped after them."""
# 180 degrees come first: they keep a tile's shape, so kernels need no new set-up
TRANSFORMS: tuple[Transform, ...] = ((0, False), (2, False), (1, False), (3, False), (0, True), (2, True), (1, True), (3, True))


def apply_transform(tensor: Tensor, transform: Transform, runtime: Runtime) -> Tensor:
    """Rotate and flip (B, C, H, W)."""
    turns, flipped = transform
    if not turns and not flipped:
        return tensor
    rotated_tensor = torch.rot90(tensor, turns, (2, 3))
    return (rotated_tensor.flip(3) if flipped else rotated_tensor).contiguous(memory_format=runtime.memory_format)


def undo_transform(tensor: Tensor, transform: Transform) -> Tensor:
    """Undo `apply_transform`."""
    turns, flipped = transform
    if not turns and not flipped:
        return tensor  # rot90 copies even where it does nothing
    return torch.rot90(tensor.flip(3) if flipped else tensor, -turns, (2, 3))


def averaged(
    network: Callable[..., Tensor], inputs: list[Tensor], transforms: Sequence[Transform], runtime: Runtime, common: Statistics | None,
    *, maps: int = 0,
) -> Tensor:  # fmt: skip
    """The mean of the network's outputs over the transforms, (B, C, H, W) float32.

    Args:
        inputs: (B, C, H, W) and, if the network takes a condition, (B, K, H, W), or (B, N K, H, W) with one for each of N transforms.
        common: the whole picture's statistics for the network's normalisations, or None.
        maps: K.
    """
    picture, *conditions = inputs
    total = torch.zeros(())
    for number, transform in enumerate(transforms):
        own = [one if one.shape[1] <= maps else one[:, number * maps : (number + 1) * maps] for one in conditions]
        with nullcontext() if common is None else common.at(number):
            output = undo_transform(network(*(apply_transform(one, transform, runtime) for one in (picture, *own))).float(), transform)
        total = total + output if number else output
    return total / len(transforms) if len(transforms) > 1 else total
