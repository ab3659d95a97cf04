"""`OpenVinoEngine`: runs a network with OpenVINO, on the CPU in float32 or bfloat16."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from restore.exporting.cached_model import correction_model
from restore.exporting.checking import Run
from restore.exporting.openvino_core import core
from restore.inference import memory
from restore.inference.engines.base import run_on_tiles
from restore.inference.instance_statistics import Statistics
from restore.inference.self_ensemble import Transform
from restore.networks.spec import RestorationNetwork
from restore.runtime import Runtime

if TYPE_CHECKING:
    from openvino import CompiledModel

HINTS = {"fp32": "f32", "bf16": "bf16"}
KEPT = 8
"""Compiled models that are kept: one for each shape of tiles and each precision."""
Shape = tuple[int, ...]


class OpenVinoEngine:
    """Runs a network with OpenVINO. It compiles a model for each shape of tiles, which runs faster than one for all.

    Args:
        network: it is copied and exported.
        runtime: the CPU, in fp32 or bf16. Its inputs and outputs are float32.

    Raises:
        ValueError: it cannot be exported, or OpenVINO computes something else than torch.
    """

    name = "openvino"

    def __init__(self, network: RestorationNetwork, runtime: Runtime) -> None:
        self.spec, self.runtime = network.spec, runtime
        self._network = copy.deepcopy(network).float().cpu().eval().requires_grad_(False)
        self._model = correction_model(self._network, _runner, self.name)
        self._compiled: OrderedDict[tuple[str, tuple[Shape, ...]], CompiledModel] = OrderedDict()
        self._lock = threading.Lock()

    @torch.inference_mode()
    def run(
        self, tiles: Sequence[np.ndarray], conditions: Sequence[np.ndarray] | None, precision: str, transforms: Sequence[Transform],
        common: Statistics | None = None,
    ) -> list[np.ndarray]:  # fmt: skip
        """See `Engine.run`."""

        def correction(*inputs: Tensor) -> Tensor:
            arrays = [one.numpy() for one in inputs]
            results = self._for(precision, tuple(array.shape for array in arrays)).infer_new_request(dict(enumerate(arrays)))
            return torch.from_numpy(np.array(results[0]))

        return run_on_tiles(correction, self.spec, self.runtime.in_precision("fp32"), tiles, conditions, transforms)

    def tile_side(self, requested: int | None, shape: Sequence[int], values: int) -> int:
        """See `Engine.tile_side`."""
        return memory.tile_side(requested, shape, values, self._network, self.runtime, overlap=self.spec.overlap)

    def memory_reuse(self, values: int, side: int) -> AbstractContextManager[None]:
        """OpenVINO keeps its memory by itself."""
        return nullcontext()

    def release_memory(self) -> None:
        """Forget the compiled models, which hold memory for their shapes."""
        with self._lock:
            self._compiled.clear()

    def _for(self, precision: str, shapes: tuple[Shape, ...]) -> CompiledModel:
        """The compiled model for inputs of these shapes."""
        with self._lock:
            key = (precision, shapes)
            if key not in self._compiled:
                self._compiled[key] = _compile(self._model, precision, shapes)
                while len(self._compiled) > KEPT:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(key)
            return self._compiled[key]


def _compile(model: bytes, precision: str, shapes: Sequence[Shape] | None = None) -> CompiledModel:
    """The model for inputs of these shapes; for all without."""
    read = core().read_model(model)
    if shapes is not None:
        read.reshape({number: list(shape) for number, shape in enumerate(shapes)})
    settings = {"INFERENCE_PRECISION_HINT": HINTS[precision], "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    return core().compile_model(read, "CPU", settings)


def _runner(model: bytes) -> Run:
    compiled = _compile(model, "fp32")

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.array(compiled.infer_new_request(dict(enumerate(inputs)))[0])]

    return run
