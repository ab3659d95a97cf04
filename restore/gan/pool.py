"""The pool of past pictures from which a discriminator is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Pool:
    """Made pictures of the past, shown to the discriminator in place of half of the new ones (Shrivastava et al. 2017, section 2.3).

    Args:
        size: pictures kept; 0 gives back what comes.
        seed: of the draws; the generator's state is part of `state_dict`.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        if size < 0:
            raise ValueError(f"a pool cannot hold {size} pictures")
        self.size = size
        self.kept: list[Tensor] = []
        self.generator = torch.Generator().manual_seed(seed)

    def exchange(self, made: Tensor) -> Tensor:
        """(B, C, H, W), detached -> as many: each either itself or, with a chance of a half once the pool is full, an older one,
        whose place it takes."""
        if self.size == 0:
            return made
        given = []
        for picture in made.detach():
            if len(self.kept) < self.size:
                self.kept.append(picture.clone())
                given.append(picture)
            elif torch.rand((), generator=self.generator) < 0.5:
                index = int(torch.randint(self.size, (), generator=self.generator))
                given.append(self.kept[index])
                self.kept[index] = picture.clone()
            else:
                given.append(picture)
        return torch.stack(given)

    def state_dict(self) -> dict[str, Any]:
        """The pictures and the state of the draws."""
        return {"kept": [picture.cpu() for picture in self.kept], "generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device | None = None) -> None:
        """Undo `state_dict`."""
        self.kept = [picture.to(device) for picture in state["kept"]]
        self.generator.set_state(state["generator"])
