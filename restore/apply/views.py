"""The eight turned and mirrored views of a picture, for averaging over them.

Timofte et al. 2016, "Seven ways to improve example-based single image super resolution", section 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

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
