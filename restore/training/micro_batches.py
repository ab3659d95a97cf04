"""A batch in equal parts: their gradients are accumulated one after the other, to save memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def split(batch: Mapping[str, Tensor], count: int) -> list[dict[str, Tensor]]:
    """Split a batch (tensors of equal length B) into `count` micro-batches.

    Raises:
        ValueError: B is not a multiple of `count`.
    """
    length = len(next(iter(batch.values())))
    if length % count:
        raise ValueError(f"{length} images per step and process cannot be split into {count} equal micro-batches (loop.accumulate)")
    chunks = {name: tensor.chunk(count) for name, tensor in batch.items()}
    return [{name: pieces[index] for name, pieces in chunks.items()} for index in range(count)]


def mean(losses: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Average each loss over the micro-batches; detached."""
    return {name: torch.stack([terms[name].detach() for terms in losses]).mean() for name in losses[0]}
