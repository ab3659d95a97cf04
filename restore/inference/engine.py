"""Engines run a network on tiles. PyTorch is one; other runtimes fit behind the same interface."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import torch
from torch import nn

from restore.inference import memory, statistics
from restore.inference.arrays import fitted_back, fitting, padded, tensor
from restore.inference.self_ensemble import View, averaged
from restore.inference.statistics import Statistics
from restore.networks.spec import ModelSpec, RestorationNetwork
from restore.runtime import Runtime


class Engine(Protocol):
    """Runs one network. It holds no state of a picture, so threads may share one."""

    spec: ModelSpec
    runtime: Runtime

    def run(
        self, tiles: Sequence[np.ndarray], conditions: Sequence[np.ndarray] | None, precision: str, views: Sequence[View],
        common: Statistics | None = None,
    ) -> list[np.ndarray]:  # fmt: skip
        """Run the network on tiles of one shape together.

        Args:
            tiles: (H, W, 1|3) float32 each.
            conditions: (H, W, 1) float32 each, for a network that takes a condition.
            precision: fp32, bf16 or fp16.
            views: the views of each tile whose results are averaged.
            common: the statistics of the whole picture for a network that normalises by them.

        Returns:
            What the network returns for each tile, (scale H, scale W, 1|3) float32.
        """

    def tile_side(self, asked: int | None, shape: Sequence[int], values: int) -> int:
        """The side in pixels of the tiles for a picture of `shape` whose result has so many values."""

    def memory_kept(self, values: int, side: int) -> AbstractContextManager[None]:
        """Keep the memory of feature maps from tile to tile, where that pays."""

    def release_memory(self) -> None:
        """Give cached memory back after an out-of-memory error."""


class TorchEngine:
    """Runs a network with PyTorch.

    Args:
        network: is copied, and put into evaluation mode in float32.
        runtime: device and precision.
    """

    def __init__(self, network: RestorationNetwork, runtime: Runtime) -> None:
        self.spec, self.runtime = network.spec, runtime
        self._master: nn.Module = copy.deepcopy(network).float().eval().requires_grad_(False)
        statistics.pool(self._master)
        self._networks: dict[str, nn.Module] = {}
        self._lock = threading.Lock()

    @torch.inference_mode()
    def run(
        self, tiles: Sequence[np.ndarray], conditions: Sequence[np.ndarray] | None, precision: str, views: Sequence[View],
        common: Statistics | None = None,
    ) -> list[np.ndarray]:  # fmt: skip
        """See `Engine.run`."""
        network, runtime = self._network(precision), self.runtime.in_precision(precision)
        height, width, colours = tiles[0].shape
        fitted = fitting(tensor(tiles), None if conditions is None else tensor(conditions), self.spec.channels)
        inputs = [
            padded(one, self.spec.multiple).to(runtime.device, runtime.dtype).contiguous(memory_format=runtime.memory_format)
            for one in fitted
        ]
        output = averaged(network, inputs, views, runtime, common)
        output = fitted_back(output[..., : self.spec.scale * height, : self.spec.scale * width].cpu(), colours)
        return [np.ascontiguousarray(item.permute(1, 2, 0).numpy()) for item in output]

    def tile_side(self, asked: int | None, shape: Sequence[int], values: int) -> int:
        """See `Engine.tile_side`."""
        return memory.tile_side(asked, shape, values, self._master, self.runtime, overlap=self.spec.overlap)

    def memory_kept(self, values: int, side: int) -> AbstractContextManager[None]:
        """See `Engine.memory_kept`."""
        return memory.kept(values, side, self.runtime.device)

    def release_memory(self) -> None:
        """See `Engine.release_memory`."""
        if self.runtime.device.type == "cuda":
            torch.cuda.empty_cache()

    def _network(self, precision: str) -> nn.Module:
        with self._lock:
            if precision not in self._networks:
                self._networks[precision] = self.runtime.in_precision(precision).prepare(copy.deepcopy(self._master))
            return self._networks[precision]
