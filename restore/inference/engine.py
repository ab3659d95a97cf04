"""Engines run a network on tiles. `TorchEngine` uses PyTorch; other runtimes can implement the same protocol."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import torch
from torch import nn

from restore.inference import instance_statistics, memory
from restore.inference.arrays import match_channels, merge_channels, pad, to_tensor
from restore.inference.instance_statistics import Statistics
from restore.inference.self_ensemble import Transform, averaged
from restore.networks.spec import ModelSpec, RestorationNetwork
from restore.runtime import Runtime


class Engine(Protocol):
    """Runs one network. It keeps no state between pictures, so threads may share one."""

    spec: ModelSpec
    runtime: Runtime

    def run(
        self, tiles: Sequence[np.ndarray], conditions: Sequence[np.ndarray] | None, precision: str, transforms: Sequence[Transform],
        common: Statistics | None = None,
    ) -> list[np.ndarray]:  # fmt: skip
        """Run the network on tiles of one shape together.

        Args:
            tiles: (H, W, 1|3) float32 each.
            conditions: (H, W, 1) float32 each, for a network that takes a condition.
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


class TorchEngine:
    """Runs a network with PyTorch.

    Args:
        network: it is copied; the copy is in evaluation mode and in float32.
        runtime: device and precision.
    """

    def __init__(self, network: RestorationNetwork, runtime: Runtime) -> None:
        self.spec, self.runtime = network.spec, runtime
        self._master: nn.Module = copy.deepcopy(network).float().eval().requires_grad_(False)
        instance_statistics.share_statistics(self._master)
        self._networks: dict[str, nn.Module] = {}
        self._lock = threading.Lock()

    @torch.inference_mode()
    def run(
        self, tiles: Sequence[np.ndarray], conditions: Sequence[np.ndarray] | None, precision: str, transforms: Sequence[Transform],
        common: Statistics | None = None,
    ) -> list[np.ndarray]:  # fmt: skip
        """See `Engine.run`."""
        network, runtime = self._network(precision), self.runtime.in_precision(precision)
        height, width, colours = tiles[0].shape
        matched = match_channels(to_tensor(tiles), None if conditions is None else to_tensor(conditions), self.spec.channels)
        inputs = [
            pad(one, self.spec.multiple).to(runtime.device, runtime.dtype).contiguous(memory_format=runtime.memory_format)
            for one in matched
        ]
        output = averaged(network, inputs, transforms, runtime, common)
        output = merge_channels(output[..., : self.spec.scale * height, : self.spec.scale * width].cpu(), colours)
        return [np.ascontiguousarray(item.permute(1, 2, 0).numpy()) for item in output]

    def tile_side(self, requested: int | None, shape: Sequence[int], values: int) -> int:
        """See `Engine.tile_side`."""
        return memory.tile_side(requested, shape, values, self._master, self.runtime, overlap=self.spec.overlap)

    def memory_reuse(self, values: int, side: int) -> AbstractContextManager[None]:
        """See `Engine.memory_reuse`."""
        return memory.reuse(values, side, self.runtime.device)

    def release_memory(self) -> None:
        """See `Engine.release_memory`."""
        if self.runtime.device.type == "cuda":
            torch.cuda.empty_cache()

    def _network(self, precision: str) -> nn.Module:
        with self._lock:
            if precision not in self._networks:
                self._networks[precision] = self.runtime.in_precision(precision).prepare(copy.deepcopy(self._master))
            return self._networks[precision]
