"""DnCNN: a plain chain of convolutions that predicts the noise (Zhang et al. 2017, "Beyond a Gaussian Denoiser", section III)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from restore.networks.spec import NAME_HELP, ModelSpec, NetworkConfig, RestorationNetwork


@dataclass(frozen=True)
class DnCNNConfig(NetworkConfig):
    """The settings of `DnCNN`."""

    name: Literal["dncnn"] = field(default="dncnn", metadata={"help": NAME_HELP})
    width: int = field(default=64, metadata={"help": "channels of the hidden layers", "range": (1, 4096)})
    depth: int = field(default=17, metadata={"help": "convolutions", "range": (2, 128), "layers": True})


class DnCNN(RestorationNetwork):
    """Predict what is to be added to a picture, without knowing how noisy it is.

    Args:
        config: its settings.
        channels: of the picture, 1 or 3.
    """

    def __init__(self, config: DnCNNConfig, *, channels: int = 1) -> None:
        super().__init__()
        self.spec = ModelSpec(channels, channels, receptive_field=config.depth, overlap=max(64, config.depth))
        layers: list[nn.Module] = [nn.Conv2d(channels, config.width, 3, padding=1), nn.ReLU()]
        for _ in range(config.depth - 2):
            layers += [nn.Conv2d(config.width, config.width, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(config.width, channels, 3, padding=1))

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W) in nominal [0, 1] -> (B, C, H, W), to be added."""
        residual: Tensor = self.layers(picture)
        return residual
