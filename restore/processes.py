"""The processes that train one network together, started by torchrun or `accelerate launch`: Hugging Face Accelerate joins them.

Every process holds the same networks and takes its share of each batch; `average` makes one of what each found. The gradients are
averaged once an update, whatever went through the network before it: several passes, penalties of second order, gathered parts of a
batch. Wrappers that answer to each backward pass would do it once for each of those.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from restore import runtime


@dataclass(frozen=True)
class Processes:
    """Who trains together.

    Attributes:
        count: how many there are.
        index: which of them this is; 0 writes the files and speaks.
    """

    count: int = 1
    index: int = 0

    @property
    def first(self) -> bool:
        """Whether this one writes the files and speaks."""
        return self.index == 0

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each of `tensors` (any shapes, float, on one device) by its mean over the processes, in one message."""
        if self.count == 1 or not tensors:
            return
        from accelerate import PartialState
        from accelerate.utils import reduce

        gathered = torch.cat([tensor.reshape(-1) for tensor in tensors])
        # a training on the CPU of a machine with GPUs talks through them all the same
        mean = reduce(gathered.to(PartialState().device), "mean")
        for tensor, part in zip(tensors, mean.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view(tensor.shape))

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()

    def part_ways(self) -> None:
        """Let this process draw other random numbers than the first: to be called when all have the same networks."""
        if self.index:
            runtime.seed_everything(int(torch.randint(2**31, ())) + self.index)

    def share(self, length: int, what: str) -> int:
        """This process's part of a batch.

        Raises:
            ValueError: it cannot be divided; `what` names the setting.
        """
        if length % self.count:
            raise ValueError(f"{what} must be a multiple of the {self.count} processes that train together, not {length}")
        return length // self.count


@cache
def current() -> Processes:
    """The processes that were started with this one, joined at the first call; alone unless a launcher says otherwise."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    return Processes(state.num_processes, state.process_index)
