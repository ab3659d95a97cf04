"""What a picture's tiles may take of the machine's memory: how large they are, and whether feature maps' memory is kept between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from restore import runtime
from restore.machine import free_memory
from restore.networks.spec import OVERLAP
from restore.runtime import Runtime

SMALLEST = 64
STEP = 64
LARGEST_TILE = {"cpu": 768, "cuda": 2048, "mps": 1024}
LARGEST_HALF_TILE = 1024
"""The same on a CPU in half precision."""
FAR = 1024
"""Largest side that a network which sees further than OVERLAP claims for its tiles; larger ones would take gigabytes."""
LARGE = 16_000_000
"""Values of a result from which on no memory is kept for feature maps beside it."""


def parse(tile: str | int) -> int | None:
    """A tile side as users give it: None for auto, 0 for never cut. ValueError for anything else or a side under SMALLEST."""
    if tile == "auto":
        return None
    try:
        side = int(tile)
    except ValueError:
        raise ValueError(f"tile must be auto, 0 or a number of pixels, not {tile!r}") from None
    if side != 0 and side < SMALLEST:
        raise ValueError(f"tile must be 0 (never cut) or at least {SMALLEST} pixels, not {side}")
    return side


def halved(tile: int) -> int | None:
    """Half the side, a multiple of STEP; None where that would be under SMALLEST."""
    smaller = tile // 2 // STEP * STEP
    return smaller if smaller >= SMALLEST else None


def largest(free_bytes: int, bytes_per_pixel: float, *, most: int) -> int:
    """The largest tile side whose work fits into half of the free memory: `most`, or a smaller multiple of 64."""
    side = int((free_bytes / 2 / max(bytes_per_pixel, 1e-9)) ** 0.5)
    return max(SMALLEST, min(most, side // STEP * STEP))


def tile_side(asked: int | None, shape: Sequence[int], values: int, network: nn.Module, place: Runtime, *, overlap: int) -> int:
    """The side in pixels of the tiles that a picture of this shape is cut into.

    Args:
        asked: what `parse` made of the user's wish.
        shape: the picture's, height and width first.
        values: of the result.
        overlap: pixels by which its tiles must overlap. Of a network that sees far a small tile would be another picture, so
            that only a want of memory makes its tiles smaller than a few times that.
    """
    least = min(4 * overlap, max(FAR, 2 * overlap)) if overlap > OVERLAP else 0
    if asked is not None:
        return max(asked, least) if asked else max(shape[:2])
    device = place.device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    widths = [weight.shape[0] for weight in network.parameters() if weight.dim() == 4] or [64]
    bytes_per_pixel = 4.0 * max(widths) * place.dtype.itemsize  # a few U-Net feature maps at once
    most = LARGEST_TILE.get(device.type, 1024)
    if device.type == "cpu":
        most = _largest_on_cpu(widths[0], place, kept=values <= LARGE)
    return max(least, largest(free, bytes_per_pixel, most=most))


def _largest_on_cpu(first: int, place: Runtime, *, kept: bool) -> int:
    """For a network with `first` channels at the full resolution; `kept`: the memory of its feature maps is."""
    if kept:
        return LARGEST_HALF_TILE if place.dtype.itemsize == 2 else LARGEST_TILE["cpu"]
    # larger feature maps would be fresh memory every time: float32 takes up to 1.8 times as long with tiles of 768 as with these
    side = int((0.99 * runtime.LARGEST_BLOCK_KEPT / (first * place.dtype.itemsize)) ** 0.5)
    return max(SMALLEST, min(LARGEST_TILE["cpu"], side // 32 * 32))


@contextmanager
def kept(values: int, side: int, device: torch.device) -> Iterator[None]:
    """Keep feature maps' memory for the next ones, but beside a large picture, whose own is what counts.

    Args:
        values: of the result.
        side: the tiles', in pixels.
    """
    if values <= LARGE and side <= FAR:
        with runtime.memory_reused(device):
            yield
        return
    runtime.give_memory_back(device)
    try:
        yield
    finally:
        runtime.give_memory_back(device)
