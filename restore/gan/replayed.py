"""A round of training launched whole: on a GPU its kernels are recorded once (a CUDA graph) and then replayed.

A network of small feature maps takes a GPU less time to compute than it takes Python to say so, kernel by kernel: CycleGAN's round is
some thousand of them. Replayed, they cost one launch. What is recorded is what the GPU does, none of what Python decides beside it, so
that a round may be replayed only if it is the same kernels every time; the few numbers that change are told by `Player.tick`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from restore import processes
from restore.gan.core import Player
from restore.runtime import Runtime

log = logging.getLogger(__name__)

REHEARSALS = 3
"""Rounds that go ahead as they are before one is recorded: in them optimizers make their state and the fastest kernels are sought."""

Round = Callable[[Mapping[str, Tensor], int], dict[str, Tensor]]
"""(tensors by name, parts of the batch) -> losses (scalars) and made pictures, by name."""


class Replayed:
    """`function`, recorded and replayed where that can be; elsewhere as it is.

    Args:
        function: computes on tensors alone: what it draws, decides or counts on the CPU would be recorded as it was the first time.
        players: who moves in it.
        runtime: `runtime.replay` says whether to record.
        steady: says whether `function` is the same kernels every time, as things stand.
    """

    def __init__(
        self, function: Round, players: Sequence[Player], runtime: Runtime, *, steady: Callable[[], bool] = lambda: True
    ) -> None:
        self.function, self.players, self.runtime, self.steady = function, players, runtime, steady
        # what processes tell each other is not recorded
        self.records = runtime.replay and processes.current().count == 1
        self._rehearsed: Counter[Any] = Counter()
        self._recordings: dict[Any, _Recording] = {}
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, inputs: Mapping[str, Tensor], parts: int = 1) -> dict[str, Tensor]:
        """What `function` returns; pictures are overwritten by the next call."""
        if not (self.records and self.steady()):
            return self.function(inputs, parts)
        kind = (parts, *((name, tensor.shape, tensor.dtype) for name, tensor in inputs.items()))
        if kind not in self._recordings:
            if self._rehearsed[kind] < REHEARSALS:
                self._rehearsed[kind] += 1
                return self._rehearse(inputs, parts)
            failure = self._record(kind, inputs, parts)
            if failure is not None:
                self._give_up(failure)
                return self.function(inputs, parts)
        for player in self.players:
            player.tick()
        return self._recordings[kind].play(inputs)

    def forget(self) -> None:
        """Record anew: to be called when the players' state has been put in other places of memory."""
        self._recordings.clear()
        self._rehearsed.clear()

    def _rehearse(self, inputs: Mapping[str, Tensor], parts: int) -> dict[str, Tensor]:
        """A round as it is, on a stream of its own: the one that will be recorded."""
        if self._stream is None:
            self._stream = torch.cuda.Stream(self.runtime.device)
        usual = torch.cuda.current_stream(self.runtime.device)
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream):
            made = self.function(inputs, parts)
        usual.wait_stream(self._stream)
        return made

    def _record(self, kind: Any, inputs: Mapping[str, Tensor], parts: int) -> str | None:
        """Record a round of this kind; why that failed, if it did. (The error itself would keep the round's memory.)"""
        try:
            self._recordings[kind] = self._captured(inputs, parts)
        except RuntimeError as error:
            # the end of a recording that failed raises an error of its own
            return str(error.__context__ or error).split("\n", 1)[0]
        return None

    def _give_up(self, failure: str) -> None:
        log.warning("training goes on without recorded rounds, more slowly: %s", failure)
        self.records = False
        for player in self.players:
            player.network.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        # a recording that failed leaves the random generator as if it still went on; one that succeeds sets it right
        with suppress(RuntimeError), torch.cuda.graph(torch.cuda.CUDAGraph(), stream=self._stream):
            torch.zeros((), device=self.runtime.device)

    def _captured(self, inputs: Mapping[str, Tensor], parts: int) -> _Recording:
        places = {name: torch.empty_like(tensor, device=self.runtime.device) for name, tensor in inputs.items()}
        graph = torch.cuda.CUDAGraph()
        # other threads (those that load the next batch) may do as they like meanwhile
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            made = self.function(places, parts)
            losses = {name: tensor for name, tensor in made.items() if tensor.dim() == 0}
            together = torch.stack([loss.float() for loss in losses.values()])
        pictures = {name: tensor for name, tensor in made.items() if tensor.dim()}
        return _Recording(graph, places, tuple(losses), together, pictures)


@dataclass(frozen=True)
class _Recording:
    """A recorded round: where its inputs are read and its losses and pictures are left."""

    graph: torch.cuda.CUDAGraph
    places: Mapping[str, Tensor]
    names: tuple[str, ...]
    losses: Tensor
    pictures: Mapping[str, Tensor]

    def play(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        for name, place in self.places.items():
            place.copy_(inputs[name], non_blocking=True)
        self.graph.replay()
        return dict(zip(self.names, self.losses.clone().unbind(), strict=True)) | dict(self.pictures)
