"""Differentiable augmentation of what a discriminator sees, applied to real and fake images alike.

Zhao et al. 2020 (DiffAugment) and Karras et al. 2020 (StyleGAN2-ADA): on a small data set the discriminator memorises the images,
unless it never sees one twice unchanged. The augmentations are kornia's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from restore.training.train_state import StateDict

RATE = 1e-3
"""Change of the probability per step: from 0 to 1 in a thousand steps."""
MAX_PROBABILITY = 0.9


class Augmentation:
    """Flips, shifts, rotations, cut-outs and changes of brightness, contrast and saturation, each with the same probability.

    Args:
        probability: 0..1; 0 returns images unchanged.
        target: above 0 the probability adapts. It grows while the mean sign of the discriminator's logits for real images (r_t of
            Karras et al. 2020, eq. 1) is above this value, and falls while it is below.
        flips: whether images are flipped left to right too; never where the two sides differ, as in X-rays of the chest and in digits.
    """

    def __init__(self, probability: float = 0.0, *, target: float = 0.0, flips: bool = True) -> None:
        self.probability, self.target, self.flips = probability, target, flips
        self._geometry: list[nn.Module] | None = None
        self._colour: dict[int, list[nn.Module]] = {}

    def __call__(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """Augment the input of the discriminator.

        Args:
            images: (B, 1|3, H, W), nominal [0, 1].
            condition: (B, K, H, W), moved along with its image; its colours stay.

        Returns:
            (B, K + C, H, W), the condition first.
        """
        if self.probability > 0:
            images = self._apply(self._colour_changes(images.shape[1]), images.float())
        inputs = images if condition is None else torch.cat([condition, images], 1)
        return self._apply(self._geometric_changes(), inputs) if self.probability > 0 else inputs

    def _apply(self, changes: list[nn.Module], images: Tensor) -> Tensor:
        for change in changes:
            change.p = self.probability  # type: ignore[assignment]  # nn.Module types its attributes as tensors and modules
            images = change(images)
        return images

    @torch.no_grad()
    def adapt(self, overfitting: Tensor) -> None:
        """Move the probability by the mean sign of the discriminator's logits for real images, -1..1."""
        if self.target > 0:
            direction = 1 if float(overfitting) - self.target > 0 else -1
            self.probability = min(MAX_PROBABILITY, max(0.0, self.probability + RATE * direction))

    def state_dict(self) -> StateDict:
        """Return the probability."""
        return {"probability": self.probability}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore what `state_dict` returned: a probability that adapts. One that does not is a setting and stays."""
        if self.target > 0:
            self.probability = float(state["probability"])

    def _geometric_changes(self) -> list[nn.Module]:
        if self._geometry is None:
            from kornia.augmentation import RandomAffine, RandomErasing, RandomHorizontalFlip

            self._geometry = [
                *([RandomHorizontalFlip()] if self.flips else []),
                RandomAffine(degrees=10.0, translate=(0.125, 0.125), scale=(0.9, 1.1), padding_mode="reflection"),
                RandomErasing(scale=(0.05, 0.2), ratio=(0.5, 2.0)),
            ]
        return self._geometry

    def _colour_changes(self, channels: int) -> list[nn.Module]:
        if channels not in self._colour:
            from kornia.augmentation import RandomBrightness, RandomContrast, RandomSaturation

            changes: list[nn.Module] = [
                RandomBrightness((0.8, 1.2), clip_output=False),
                RandomContrast((0.7, 1.3), clip_output=False),
            ]
            self._colour[channels] = [*changes, RandomSaturation((0.5, 1.5))] if channels == 3 else changes
        return self._colour[channels]
