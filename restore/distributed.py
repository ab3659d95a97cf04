"""The process group that trains one network together, started by torchrun or `accelerate launch`; Hugging Face Accelerate joins it.

Every process holds the same networks and takes its part of each batch. `average` replaces tensors by their mean over the group. The
gradients are averaged once per update, whatever went through the network before: several passes, second-order penalties, micro-batches.
Wrappers that hook into each backward pass would average once for each of those.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from restore import runtime


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train together, as one of them sees it.

    Attributes:
        world_size: number of processes.
        rank: index of this process.
    """

    world_size: int = 1
    rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and reports."""
        return self.rank == 0

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each of `tensors` (any shapes, float, on one device) by its mean over the processes, in one message."""
        if self.world_size == 1 or not tensors:
            return
        from accelerate import PartialState
        from accelerate.utils import reduce

        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        # a training on the CPU of a machine with GPUs communicates through them all the same
        mean = reduce(flat.to(PartialState().device), "mean")
        for tensor, part in zip(tensors, mean.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view(tensor.shape))

    def wait(self) -> None:
        """Return when every process has called this."""
        if self.world_size > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()

    def seed_per_rank(self) -> None:
        """Give this process random draws of its own: call it when all processes hold the same networks."""
        if self.rank:
            runtime.seed_everything(int(torch.randint(2**31, ())) + self.rank)

    def per_process(self, length: int, setting: str) -> int:
        """Return the size of this process's part of a batch.

        Raises:
            ValueError: the batch cannot be divided; `setting` names the setting to change.
        """
        if length % self.world_size:
            raise ValueError(f"{setting} must be a multiple of the {self.world_size} processes that train together, not {length}")
        return length // self.world_size


@cache
def current() -> ProcessGroup:
    """Return the process group, joined at the first call; a group of one unless a launcher started more."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ProcessGroup()
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    atexit.register(_leave)
    return ProcessGroup(state.num_processes, state.process_index)


def _leave() -> None:
    """Leave the group. A process that ends with its communication threads running may be aborted after its work is done."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
