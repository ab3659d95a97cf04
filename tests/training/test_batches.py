"""Which items make up the batch of a step, whoever makes it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from restore.training.batches import batches


class Single(Dataset[dict[str, Tensor]]):
    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input": torch.tensor([float(index)])}


class Whole(Single):
    def batch(self, first: int, count: int) -> dict[str, Tensor]:
        return {"input": torch.arange(first, first + count)[:, None].float()}


def test_a_step_takes_the_same_items_from_both_kinds_of_dataset() -> None:
    for dataset in (Single(), Whole()):
        found = [batch["input"].flatten().tolist() for batch in batches(dataset, batch_size=3, workers=0, start=2, stop=4)]
        assert found == [[6, 7, 8], [9, 10, 11]]
    assert not [*batches(Whole(), batch_size=3, workers=0, start=4, stop=4)]
