"""Memory use of tiles: chooses their size, and whether the memory of feature maps is reused between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from restore import runtime
from restore.available_memory import free_memory
from restore.limits import LEAST_TILE
from restore.networks.spec import OVERLAP
from restore.runtime import Runtime

MIN_TILE = LEAST_TILE
STEP = 64
LARGEST_TILE = {"cpu": 768, "cuda": 2048, "mps": 1024}
LARGEST_HALF_TILE = 1024
"""The largest tile on a CPU in half precision."""
FAR = 1024
"""Limit of the minimum tile for networks whose receptive field exceeds OVERLAP; larger tiles would take gigabytes."""
LARGE = 16_000_000
"""Values of a result above which the memory of feature maps is not reused."""


def parse(tile: str | int) -> int | None:
    """Parse a tile side: None for auto, 0 for no tiles.

    Raises:
        ValueError: it is neither auto nor a number, or it is below MIN_TILE.
    """
    if tile == "auto":
        return None
    try:
        side = int(tile)
        if isinstance(tile, bool | float):
            raise ValueError
    except (ValueError, TypeError):
        raise ValueError(f"tile must be auto, 0 or a number of pixels, not {tile!r}") from None
    if side != 0 and side < MIN_TILE:
        raise ValueError(f"tile must be 0 (never cut) or at least {MIN_TILE} pixels, not {side}")
    return side


def halved(tile: int) -> int | None:
    """Half the side, a multiple of STEP; None if that is below MIN_TILE."""
    smaller = tile // 2 // STEP * STEP
    return smaller if smaller >= MIN_TILE else None


def largest(free_bytes: int, bytes_per_pixel: float, *, most: int) -> int:
    """The largest tile side whose memory fits into half of the free memory: `most` or a smaller multiple of STEP."""
    side = int((free_bytes / 2 / max(bytes_per_pixel, 1e-9)) ** 0.5)
    return max(MIN_TILE, min(most, side // STEP * STEP))


def tile_side(requested: int | None, shape: Sequence[int], values: int, network: nn.Module, chosen: Runtime, *, overlap: int) -> int:
    """The side in pixels of the tiles for a picture.

    Args:
        requested: the user's choice, from `parse`.
        shape: the picture's shape, height and width first.
        values: number of values in the result.
        network: estimates the memory of its feature maps.
        chosen: device and precision.
        overlap: pixels by which tiles must overlap. Small tiles would change the result of a network with a large receptive field, so
            its tiles are at least a few times this, unless memory runs out.
    """
    least = min(4 * overlap, max(FAR, 2 * overlap)) if overlap > OVERLAP else 0
    if requested is not None:
        return max(requested, least) if requested else max(shape[:2])
    device = chosen.device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    widths = [weight.shape[0] for weight in network.parameters() if weight.dim() == 4] or [64]
    bytes_per_pixel = 4.0 * max(widths) * chosen.dtype.itemsize  # a few U-Net feature maps at once
    most = LARGEST_TILE.get(device.type, 1024)
    if device.type == "cpu":
        most = _largest_on_cpu(widths[0], chosen, kept=values <= LARGE)
    return max(least, largest(free, bytes_per_pixel, most=most))


def _largest_on_cpu(first: int, chosen: Runtime, *, kept: bool) -> int:
    """The limit for a network with `first` channels at full resolution; `kept`: whether the memory of its feature maps is reused."""
    if kept:
        return LARGEST_HALF_TILE if chosen.dtype.itemsize == 2 else LARGEST_TILE["cpu"]
    # larger feature maps would be allocated anew every time: float32 takes up to 1.8 times as long with tiles of 768
    side = int((0.99 * runtime.LARGEST_BLOCK_KEPT / (first * chosen.dtype.itemsize)) ** 0.5)
    return max(MIN_TILE, min(LARGEST_TILE["cpu"], side // 32 * 32))


@contextmanager
def reuse(values: int, side: int, device: torch.device) -> Iterator[None]:
    """Reuse the memory of feature maps from tile to tile; for a large result, free it instead.

    Args:
        values: number of values in the result.
        side: side of the tiles in pixels.
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
