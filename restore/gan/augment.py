"""Augmentations of what a discriminator sees, real and made alike, through which gradients pass.

Zhao et al. 2020 (DiffAugment) and Karras et al. 2020 (StyleGAN2-ADA): on small data sets the discriminator learns its pictures by heart,
unless it never sees them twice alike. The augmentations are kornia's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

SPEED = 1e-3  # change of the chance a step; 0 to 1 in a thousand steps


class Augmentation:
    """Flips, shifts, turns, cut-outs and changes of brightness, contrast and saturation, each with the same chance.

    Args:
        chance: 0..1; 0 leaves pictures alone.
        target: above 0 the chance adapts: it grows while the mean sign of the discriminator's answers to real pictures (its
            overfitting, r_t of Karras et al. 2020, eq. 1) is above this, and falls while it is below.
    """

    def __init__(self, chance: float = 0.0, *, target: float = 0.0) -> None:
        self.chance, self.target = chance, target
        self._geometry: list[nn.Module] | None = None
        self._colour: dict[int, list[nn.Module]] = {}

    def __call__(self, pictures: Tensor, condition: Tensor | None = None) -> Tensor:
        """Augment what the discriminator sees.

        Args:
            pictures: (B, 1|3, H, W), nominal [0, 1].
            condition: (B, K, H, W), moved along with its picture, its colours left alone.

        Returns:
            (B, K + C, H, W), the condition first.
        """
        if self.chance > 0:
            pictures = self._apply(self._colours(pictures.shape[1]), pictures.float())
        both = pictures if condition is None else torch.cat([condition, pictures], 1)
        return self._apply(self._places(), both) if self.chance > 0 else both

    def _apply(self, parts: list[nn.Module], pictures: Tensor) -> Tensor:
        for part in parts:
            part.p = self.chance  # type: ignore[assignment]
            pictures = part(pictures)
        return pictures

    @torch.no_grad()
    def adapt(self, overfitting: Tensor) -> None:
        """Move the chance, by the mean sign of the discriminator's answers to real pictures, -1..1."""
        if self.target > 0:
            excess = float(overfitting) - self.target
            self.chance = min(0.9, max(0.0, self.chance + SPEED * (1 if excess > 0 else -1)))

    def state_dict(self) -> dict[str, Any]:
        """The chance."""
        return {"chance": self.chance}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""
        self.chance = float(state["chance"])

    def _places(self) -> list[nn.Module]:
        if self._geometry is None:
            from kornia.augmentation import RandomAffine, RandomErasing, RandomHorizontalFlip

            self._geometry = [
                RandomHorizontalFlip(),
                RandomAffine(degrees=10.0, translate=(0.125, 0.125), scale=(0.9, 1.1), padding_mode="reflection"),
                RandomErasing(scale=(0.05, 0.2), ratio=(0.5, 2.0)),
            ]
        return self._geometry

    def _colours(self, channels: int) -> list[nn.Module]:
        if channels not in self._colour:
            from kornia.augmentation import RandomBrightness, RandomContrast, RandomSaturation

            parts: list[nn.Module] = [
                RandomBrightness((0.8, 1.2), clip_output=False),
                RandomContrast((0.7, 1.3), clip_output=False),
            ]
            self._colour[channels] = [*parts, RandomSaturation((0.5, 1.5))] if channels == 3 else parts
        return self._colour[channels]
