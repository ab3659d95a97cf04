"""`TorchEngine`: runs a network with PyTorch, on every device."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import nn

from restore.inference import instance_statistics, memory
from restore.inference.engines.base import run_on_tiles
from restore.inference.instance_statistics import Statistics
from restore.inference.self_ensemble import Transform
from restore.networks.spec import RestorationNetwork
from restore.runtime import Runtime


class TorchEngine:
    """Runs a network with PyTorch.

    Args:
        network: it is copied; the copy is in evaluation mode and in float32.
        runtime: device and precision.
    """

    name = "torch"

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
        return run_on_tiles(network, self.spec, runtime, tiles, conditions, transforms, common)

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
