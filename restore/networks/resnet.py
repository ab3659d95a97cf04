"""The generator of CycleGAN: two downsamplings, residual blocks at a quarter of the resolution, two upsamplings.

Johnson et al. 2016 (the shape), Ulyanov et al. 2016 (instance normalisation), Zhu et al. 2017, appendix 7.2 (c7s1-64, d128, d256,
R256 x 6 or 9, u128, u64, c7s1-3); Odena et al. 2016 (resize, then convolve: a transposed convolution leaves checkerboards).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from restore.networks.discriminators import initialise
from restore.networks.meta_device import without_autocast
from restore.networks.normalisation import normalisation
from restore.networks.reflect_padding import ReflectConv2d
from restore.networks.spec import NAME_HELP, OVERLAP, ModelSpec, NetworkConfig, RestorationNetwork

MULTIPLE = 8
"""Of the sides: a quarter of the resolution must leave two pixels to reflect."""
EDGE = 1 / 255
"""Distance from black and white at which a residual translator clips its input, so that the logit is finite."""
Norm = Literal["instance", "batch", "pixel", "none"]
NORM = {"help": "normalisation; pixel and none see no further than the convolutions, so that tiles are exact"}
Upsample = Literal["resize", "smooth", "transposed"]
UPSAMPLE = {
    "help": "resize (nearest neighbour) or smooth (bilinear) before a convolution, or transposed as in the reference code",
    "free": True,
}
"""What the metadata of these settings say in the configurations of both translation networks."""


@dataclass(frozen=True)
class ResnetConfig(NetworkConfig):
    """The settings of `ResnetGenerator`."""

    name: Literal["resnet"] = field(default="resnet", metadata={"help": NAME_HELP})
    width: int = field(default=64, metadata={"help": "channels after the first layer", "range": (1, 4096)})
    blocks: int = field(
        default=9,
        metadata={
            "help": "residual blocks (paper: 9 for 256 x 256, 6 for 128 x 128)",
            "range": (0, 256),
            "layers": True,
        },
    )
    norm: Norm = field(default="instance", metadata=NORM)
    upsample: Upsample = field(default="resize", metadata=UPSAMPLE)
    dropout: float = field(
        default=0.0,
        metadata={"help": "fraction of the activations dropped in training", "range": (0, 0.99), "free": True},
    )
    residual: bool = field(default=False, metadata={"help": "learn the change, starting from none, instead of the whole picture"})


class ResnetBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))) with reflect padding, (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, norm: str, dropout: float) -> None:
        super().__init__()
        bias = norm != "batch"
        parts: list[nn.Module] = [
            ReflectConv2d(channels, channels, 3, bias=bias),
            normalisation(norm, channels),
            nn.ReLU(inplace=True),
        ]
        if dropout:
            parts.append(nn.Dropout(dropout))
        parts += [ReflectConv2d(channels, channels, 3, bias=bias), normalisation(norm, channels)]
        self.layers = nn.Sequential(*parts)

    @property
    def last(self) -> nn.Conv2d:
        """The second convolution, before the normalisation."""
        layer = self.layers[-2]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        change: Tensor = self.layers(x)
        return x + change


class Up(nn.Module):
    """Twice the resolution, (B, C, H, W) -> (B, C', 2 H, 2 W).

    Args:
        before, after: channels.
        how: "resize" (nearest neighbour) or "smooth" (bilinear, whose frequency response has a zero at the checkerboard's frequency)
            before a convolution, or "transposed" as in the reference code.
        bias: of the convolution.
    """

    def __init__(self, before: int, after: int, how: str, bias: bool) -> None:
        super().__init__()
        self.convolution: nn.Module
        self.nearest = how == "resize"
        if how in {"resize", "smooth"}:
            smooth = how == "smooth"
            self.resize: nn.Module = nn.Upsample(scale_factor=2, mode="bilinear" if smooth else "nearest")
            self.convolution = ReflectConv2d(before, after, 3, bias=bias)
        elif how == "transposed":
            self.resize = nn.Identity()
            self.convolution = nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1, bias=bias)
        else:
            raise ValueError(f"upsample must be resize, smooth or transposed, not {how!r}")

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', 2 H, 2 W)."""
        with without_autocast(x):  # it would resize and pad in float32
            if self.nearest and torch.compiler.is_compiling():  # the compiler's gradient of nn.Upsample is slow
                x = x[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2).reshape(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
            else:
                x = self.resize(x)
        convolved: Tensor = self.convolution(x)
        return convolved


class ResnetGenerator(RestorationNetwork):
    """Translate a picture: predict what is to be added to it to get its translation.

    Args:
        config: its settings; `residual` suits changes of style.
        channels: of the picture and of its translation, 1 or 3.
    """

    def __init__(self, config: ResnetConfig, *, channels: int = 3) -> None:
        super().__init__()
        width, norm, upsample, bias = config.width, config.norm, config.upsample, config.norm != "batch"

        def block(convolution: nn.Module, wide: int) -> list[nn.Module]:
            return [convolution, normalisation(norm, wide), nn.ReLU(inplace=True)]

        head = ReflectConv2d(channels, width, 7, bias=bias)
        self.head = nn.Sequential(*block(head, width))
        self.downs = nn.Sequential(
            *block(nn.Conv2d(width, 2 * width, 3, 2, 1, bias=bias), 2 * width),
            *block(nn.Conv2d(2 * width, 4 * width, 3, 2, 1, bias=bias), 4 * width),
        )
        self.blocks = nn.Sequential(*(ResnetBlock(4 * width, norm, config.dropout) for _ in range(config.blocks)))
        self.ups = nn.Sequential(
            *block(Up(4 * width, 2 * width, upsample, bias), 2 * width),
            *block(Up(2 * width, width, upsample, bias), width),
        )
        self.tail = ReflectConv2d(width, channels, 7)
        self.spec = _spec(config, channels)
        initialise(self)
        if norm == "none":
            self._keep_variance()
        self.residual = config.residual
        if self.residual:
            with torch.no_grad():
                self.tail.weight.mul_(0.1)

    def _keep_variance(self) -> None:
        """Weights that keep the signal's variance from layer to layer (He et al. 2015), and blocks that begin near the identity."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module is not self.tail:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        with torch.no_grad():
            for block in self.blocks.modules():
                if isinstance(block, ResnetBlock):
                    block.last.weight.mul_(0.1)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W), nominal [0, 1], sides multiples of 8 -> (B, C, H, W), to be added to get its translation."""
        hidden = self.ups(self.blocks(self.downs(self.head(2 * picture - 1))))
        # float32 from here on: half precision would leave bands in the result
        if self.residual:
            # a change of the logit never leaves [0, 1], however large it is: adversarial training would use values outside
            inner = picture.float().clamp(EDGE, 1 - EDGE)
            return torch.sigmoid(torch.logit(inner) + 2 * self.tail(hidden).float()) - inner
        return (torch.tanh(self.tail(hidden).float()) + 1) / 2 - picture.float()


def _spec(config: ResnetConfig, channels: int) -> ModelSpec:
    reach = 3 + 1 + 2 + 4 * 2 * config.blocks + 4 + 2 + 3 + (6 if config.upsample == "smooth" else 0)
    # the outer quarter of an overlap has no weight, and pixels further off than half of the reach matter little
    return ModelSpec(
        channels, channels, receptive_field=reach + MULTIPLE, multiple=MULTIPLE, overlap=max(OVERLAP, 2 * reach),
        sees_whole_image=config.norm == "instance",
    )  # fmt: skip
