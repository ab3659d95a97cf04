"""What an engine is: `Engine`, and how an engine runs a network on tiles of one shape: `run_on_tiles`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from torch import Tensor

from restore.inference.arrays import match_channels, merge_channels, pad, to_tensor
from restore.inference.instance_statistics import Statistics
from restore.inference.self_ensemble import Transform, averaged
from restore.networks.spec import CONDITION_CHANNELS, ModelSpec
from restore.runtime import Runtime


class Engine(Protocol):
    """Runs one network. It keeps no state between pictures, so threads may share one.

    Attributes:
        name: its key in `ENGINES`.
    """

    name: str
    spec: ModelSpec
    runtime: Runtime

    def run(
        self, tiles: Sequence[np.ndarray], conditions: Sequence[np.ndarray] | None, precision: str, transforms: Sequence[Transform],
        common: Statistics | None = None,
    ) -> list[np.ndarray]:  # fmt: skip
        """Run the network on tiles of one shape together.

        Args:
            tiles: (H, W, 1|3) float32 each.
            conditions: (H, W, K) float32 each, for a network that takes a condition; (H, W, N K) if each of N transforms has its own.
            precision: fp32, bf16 or fp16.
            transforms: rotations and flips; the outputs for all of them are averaged.
            common: the whole picture's statistics, for a network that normalises by them.

        Returns:
            The network's output for each tile, (scale H, scale W, 1|3) float32.
        """

    def tile_side(self, requested: int | None, shape: Sequence[int], values: int) -> int:
        """The side of the tiles in pixels for a picture of `shape`.

        Args:
            requested: the user's choice; None for automatic, 0 for no tiles.
            shape: (H, W, ...).
            values: number of values in the result.
        """

    def memory_reuse(self, values: int, side: int) -> AbstractContextManager[None]:
        """Keep the memory of feature maps from tile to tile where this is faster."""

    def release_memory(self) -> None:
        """Free cached memory after an out-of-memory error."""


Network = Callable[..., Tensor]
"""A picture (B, C, H, W) and its condition (B, K, H, W) -> what the network returns."""


def run_on_tiles(
    network: Network, spec: ModelSpec, runtime: Runtime, tiles: Sequence[np.ndarray], conditions: Sequence[np.ndarray] | None,
    transforms: Sequence[Transform], common: Statistics | None = None,
) -> list[np.ndarray]:  # fmt: skip
    """Run a network on tiles; see `Engine.run`.

    Args:
        network: takes tensors on the runtime's device, in its type and memory format.
        spec: of the network.
        runtime: device and precision.
        tiles, conditions, transforms, common: see `Engine.run`.
    """
    height, width, colours = tiles[0].shape
    matched = match_channels(to_tensor(tiles), None if conditions is None else to_tensor(conditions), spec.channels)
    inputs = [pad(one, spec.multiple).to(runtime.device, runtime.dtype).contiguous(memory_format=runtime.memory_format) for one in matched]
    maps = sum(CONDITION_CHANNELS[name] for name in spec.conditions)
    output = averaged(network, inputs, transforms, runtime, common, maps=maps)
    output = merge_channels(output[..., : spec.scale * height, : spec.scale * width].cpu(), colours)
    return [np.ascontiguousarray(item.permute(1, 2, 0).numpy()) for item in output]
