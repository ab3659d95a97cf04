"""The buffer of past fake images that a discriminator is trained on."""

from __future__ import annotations

import torch
from torch import Tensor

from restore.training.train_state import StateDict


class ImageBuffer:
    """Past fake images, which replace half of the new ones (Shrivastava et al. 2017, section 2.3).

    Args:
        size: images kept; 0 returns every batch as it is.
        seed: of the draws; the generator's state is part of `state_dict`.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        if size < 0:
            raise ValueError(f"an image buffer cannot hold {size} images")
        self.size = size
        self.images: list[Tensor] = []
        self.generator = torch.Generator().manual_seed(seed)

    def query(self, fake: Tensor) -> Tensor:
        """Store new images and return as many, (B, C, H, W), detached.

        Each is the new image itself or, with probability 1/2 once the buffer is full, an older one whose slot it takes. Images of
        another shape (C, H, W), of a run that is resumed with other crops, empty the buffer.
        """
        if self.size == 0:
            return fake
        if self.images and self.images[0].shape != fake.shape[1:]:
            self.images.clear()
        returned = []
        for image in fake.detach():
            if len(self.images) < self.size:
                self.images.append(image.clone())
                returned.append(image)
            elif torch.rand((), generator=self.generator) < 0.5:
                index = int(torch.randint(self.size, (), generator=self.generator))
                returned.append(self.images[index])
                self.images[index] = image.clone()
            else:
                returned.append(image)
        return torch.stack(returned)

    def state_dict(self) -> StateDict:
        """Return the images and the state of the draws."""
        return {"images": [image.cpu() for image in self.images], "generator": self.generator.get_state()}

    def load_state_dict(self, state: StateDict, device: torch.device | None = None) -> None:
        """Restore what `state_dict` returned, of the images no more than `size`."""
        self.images = [image.to(device) for image in state["images"][: self.size]]
        self.generator.set_state(state["generator"])
