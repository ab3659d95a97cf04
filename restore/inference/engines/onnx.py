"""`OnnxEngine`: runs a network with ONNX Runtime, on the CPU in float32."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from restore.available_memory import out_of_memory
from restore.exporting.cached_model import correction_model
from restore.exporting.formats.onnx import runner
from restore.inference import memory
from restore.inference.engines.base import run_on_tiles
from restore.inference.instance_statistics import Statistics
from restore.inference.self_ensemble import Transform
from restore.networks.spec import RestorationNetwork
from restore.runtime import Runtime


class OnnxEngine:
    """Runs a network with ONNX Runtime, which computes float32 whatever the precision.

    Args:
        network: it is copied and exported.
        runtime: the CPU.

    Raises:
        ValueError: it cannot be exported, or ONNX Runtime computes something else than torch.
    """

    name = "onnx"

    def __init__(self, network: RestorationNetwork, runtime: Runtime) -> None:
        self.spec, self.runtime = network.spec, runtime
        self._network = copy.deepcopy(network).float().cpu().eval().requires_grad_(False)
        self._run = runner(correction_model(self._network, runner, self.name))

    @torch.inference_mode()
    def run(
        self, tiles: Sequence[np.ndarray], conditions: Sequence[np.ndarray] | None, precision: str, transforms: Sequence[Transform],
        common: Statistics | None = None,
    ) -> list[np.ndarray]:  # fmt: skip
        """See `Engine.run`."""
        return run_on_tiles(self._correction, self.spec, self.runtime.in_precision("fp32"), tiles, conditions, transforms)

    def tile_side(self, requested: int | None, shape: Sequence[int], values: int) -> int:
        """See `Engine.tile_side`."""
        return memory.tile_side(requested, shape, values, self._network, self.runtime, overlap=self.spec.overlap)

    def memory_reuse(self, values: int, side: int) -> AbstractContextManager[None]:
        """ONNX Runtime keeps its memory by itself."""
        return nullcontext()

    def release_memory(self) -> None:
        """ONNX Runtime frees its memory by itself."""

    def _correction(self, *inputs: Tensor) -> Tensor:
        try:
            return torch.from_numpy(self._run([one.numpy() for one in inputs])[0])
        except Exception as error:  # its errors are no RuntimeErrors
            if out_of_memory(error):
                raise MemoryError(str(error)) from error
            raise
