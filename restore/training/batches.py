"""The batches of a run: step k takes the items k B .. (k + 1) B - 1, so that the step number is the position in the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from restore import distributed
from restore.training.signals import in_worker


@runtime_checkable
class WholeBatches(Protocol):
    """A dataset that makes whole batches itself, on the device."""

    def batch(self, first: int, count: int) -> dict[str, Tensor]:
        """Make the batch of the items `first` .. `first + count - 1`, a function of these two numbers."""


def batches(dataset: Dataset[dict[str, Tensor]], *, batch_size: int, workers: int, start: int, stop: int) -> Iterator[dict[str, Tensor]]:
    """Yield this process's part of each batch, from step `start` to before step `stop`.

    Args:
        dataset: `dataset[i]` must be a function of i alone. `WholeBatches` are asked for batches; no process loads them.
        batch_size: B, of all processes together.
        workers: loading processes; 0 loads in this one.
    """
    if start >= stop:
        return
    group = distributed.current()
    own = batch_size // group.world_size
    if isinstance(dataset, WholeBatches):
        yield from (dataset.batch(step * batch_size + group.rank * own, own) for step in range(start, stop))
        return
    loader = DataLoader(
        dataset,
        own,
        sampler=_StepSampler(start, stop, batch_size),
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
        worker_init_fn=in_worker,
        # the loader draws a seed for its workers from the global generator, which would differ between a straight and a resumed run
        generator=torch.Generator().manual_seed(0),
    )
    yield from loader


class _StepSampler(Sampler[int]):
    """This process's items of each step."""

    def __init__(self, start: int, stop: int, batch_size: int) -> None:
        self.start, self.stop, self.batch_size = start, stop, batch_size

    def __iter__(self) -> Iterator[int]:
        group = distributed.current()
        own = self.batch_size // group.world_size
        for step in range(self.start, self.stop):
            first = step * self.batch_size + group.rank * own
            yield from range(first, first + own)
