"""A training step launched whole: on a GPU its kernels are captured once as a CUDA graph and then replayed.

A network of small feature maps computes faster than Python launches its kernels; CycleGAN's step has some thousand. A replay is one
launch. The graph holds what the GPU does, nothing that Python decides. A step may therefore be captured only if it launches the same
kernels every time; `TrainState.update_schedule` sets the few numbers that change.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from restore import distributed
from restore.runtime import Runtime
from restore.training.train_state import TrainState
from restore.training.trainer import StepOutput

log = logging.getLogger(__name__)

WARMUP_STEPS = 3
"""Steps that run eagerly before the capture: in them optimizers build their state and cuDNN chooses its kernels."""

StepFunction = Callable[[Mapping[str, Tensor], int], StepOutput]
"""(tensors by name, number of micro-batches) -> losses and images."""


class CUDAGraphStep:
    """Captures and replays `function` where that is possible, and calls it elsewhere.

    Args:
        function: computes on tensors alone; what it draws, decides or counts on the CPU would be frozen at its first value.
        train_states: the networks that it updates.
        runtime: `runtime.replay` enables the capture.
        capturable: whether `function` launches the same kernels every time, as things stand.
    """

    def __init__(
        self, function: StepFunction, train_states: Sequence[TrainState], runtime: Runtime,
        *, capturable: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        self.function, self.train_states, self.runtime, self.capturable = function, train_states, runtime, capturable
        # messages between processes are not captured
        self.enabled = runtime.replay and distributed.current().world_size == 1
        self._warmed_up: Counter[Hashable] = Counter()
        self._graphs: dict[Hashable, _Graph] = {}
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, inputs: Mapping[str, Tensor], micro_batches: int = 1) -> StepOutput:
        """Do what `function` does; the next call overwrites the images."""
        if not (self.enabled and self.capturable()):
            return self.function(inputs, micro_batches)
        signature = (micro_batches, *((name, tensor.shape, tensor.dtype) for name, tensor in inputs.items()))
        if signature not in self._graphs:
            if self._warmed_up[signature] < WARMUP_STEPS:
                self._warmed_up[signature] += 1
                return self._warm_up(inputs, micro_batches)
            failure = self._try_capture(signature, inputs, micro_batches)
            if failure is not None:
                self._disable(failure)
                return self.function(inputs, micro_batches)
        for state in self.train_states:
            state.update_schedule()
        return self._graphs[signature].replay(inputs)

    def reset(self) -> None:
        """Drop all graphs: call it when the state of `train_states` moved to other memory."""
        self._graphs.clear()
        self._warmed_up.clear()

    def _warm_up(self, inputs: Mapping[str, Tensor], micro_batches: int) -> StepOutput:
        """Run a step eagerly on the stream that will be captured."""
        if self._stream is None:
            self._stream = torch.cuda.Stream(self.runtime.device)
        main = torch.cuda.current_stream(self.runtime.device)
        self._stream.wait_stream(main)
        with torch.cuda.stream(self._stream):
            output = self.function(inputs, micro_batches)
        main.wait_stream(self._stream)
        return output

    def _try_capture(self, signature: Hashable, inputs: Mapping[str, Tensor], micro_batches: int) -> str | None:
        """Capture a step; return why it failed, if it did. (The error itself would keep the step's memory alive.)"""
        try:
            self._graphs[signature] = self._capture(inputs, micro_batches)
        except RuntimeError as error:
            # the end of a failed capture raises an error of its own
            return str(error.__context__ or error).split("\n", 1)[0]
        return None

    def _disable(self, failure: str) -> None:
        log.warning("training continues without CUDA graphs, more slowly: %s", failure)
        self.enabled = False
        for state in self.train_states:
            state.network.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        # a failed capture leaves the random generator in capture mode; one that succeeds resets it
        with suppress(RuntimeError), torch.cuda.graph(torch.cuda.CUDAGraph(), stream=self._stream):
            torch.zeros((), device=self.runtime.device)

    def _capture(self, inputs: Mapping[str, Tensor], micro_batches: int) -> _Graph:
        buffers = {name: torch.empty_like(tensor, device=self.runtime.device) for name, tensor in inputs.items()}
        graph = torch.cuda.CUDAGraph()
        # thread_local: threads that load the next batch may use the GPU meanwhile
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            output = self.function(buffers, micro_batches)
            losses = torch.stack([loss.float() for loss in output.losses.values()])
        return _Graph(graph, buffers, tuple(output.losses), losses, output.images)


@dataclass(frozen=True)
class _Graph:
    """A captured step: the buffers that it reads and those where it leaves losses and images."""

    graph: torch.cuda.CUDAGraph
    buffers: Mapping[str, Tensor]
    names: tuple[str, ...]
    losses: Tensor
    images: Mapping[str, Tensor]

    def replay(self, inputs: Mapping[str, Tensor]) -> StepOutput:
        for name, buffer in self.buffers.items():
            buffer.copy_(inputs[name], non_blocking=True)
        self.graph.replay()
        return StepOutput(dict(zip(self.names, self.losses.clone().unbind(), strict=True)), self.images)
