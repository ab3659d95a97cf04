"""A distance of features that a network predicts from those of AlexNet, which learned from ImageNet what pictures show.

Romero et al. 2015, "FitNets" (hints from a teacher's hidden layers); Zhang et al. 2018, LPIPS (features of unit length in the channels).
A few hundred pictures do not teach a small network what a sky is. The teacher's features name it at every place of every picture.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks import backbones

LAYERS = (2, 4)
"""Of AlexNet's five rectified convolutions: the third and the fifth."""
FEATURES = 384 + 256
"""Their channels."""
ENLARGED = 2
"""Factor on the pictures that the teacher sees: its own training pictures were larger than crops are."""


class FeatureDistillation(nn.Module):
    """The mean squared distance of features from AlexNet's, for each layer between 0 and 2 where both have unit length.

    Raises:
        ValueError: AlexNet's weights cannot be found; the text says how to get them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.teacher = cast(nn.Module, backbones.lpips().net)

    def forward(self, features: Tensor, picture: Tensor) -> Tensor:
        """(B, FEATURES, h, w) and (B, 1|3, H, W) in nominal [0, 1] -> a scalar."""
        with torch.autocast(picture.device.type, enabled=False):
            distance = (features.float() - self.target(picture.float(), features.shape[-2], features.shape[-1])).square()
        return distance.sum(1).mean() / len(LAYERS)

    @torch.no_grad()
    def target(self, picture: Tensor, height: int, width: int) -> Tensor:
        """(B, 1|3, H, W) in nominal [0, 1] -> (B, FEATURES, height, width), each layer of unit length in its channels."""
        enlarged = F.interpolate(picture, scale_factor=ENLARGED, mode="bilinear")
        layers = self.teacher(backbones.normalised(enlarged))
        resized = [F.interpolate(layers[index], size=(height, width), mode="bilinear") for index in LAYERS]
        return torch.cat([F.normalize(layer, dim=1) for layer in resized], 1)
