"""The generator of CycleGAN: down twice, residual blocks at a quarter of the resolution, up twice.

Johnson et al. 2016 (the shape), Ulyanov et al. 2016 (instance normalisation), Zhu et al. 2017, appendix 7.2 (c7s1-64, d128, d256,
R256 x 6 or 9, u128, u64, c7s1-3); Odena et al. 2016 (resize, then convolve: transposed convolutions leave checkerboards).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from restore.networks.discriminators import initialise
from restore.networks.mirrored import MirroredConv2d
from restore.networks.normalisation import normalisation
from restore.networks.spec import OVERLAP, ModelSpec, RestorationNetwork

MULTIPLE = 8
"""Of the sides: a quarter of the resolution must leave two pixels to reflect."""
EDGE = 1 / 255
"""Distance from black and white at which the logit of a residual translator ends."""


class ResnetBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), mirrored at the borders, (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, norm: str, dropout: float) -> None:
        super().__init__()
        bias = norm != "batch"
        parts: list[nn.Module] = [
            MirroredConv2d(channels, channels, 3, bias=bias),
            normalisation(norm, channels),
            nn.ReLU(inplace=True),
        ]
        if dropout:
            parts.append(nn.Dropout(dropout))
        parts += [MirroredConv2d(channels, channels, 3, bias=bias), normalisation(norm, channels)]
        self.layers = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Up(nn.Module):
    """Twice the resolution: nearest neighbour ("resize") or bilinear ("smooth", whose answer has a zero where a checkerboard would
    be), then a convolution; or a transposed convolution as in the reference code."""

    def __init__(self, before: int, after: int, how: str, bias: bool) -> None:
        super().__init__()
        self.convolution: nn.Module
        self.nearest = how == "resize"
        if how in {"resize", "smooth"}:
            smooth = how == "smooth"
            self.resize: nn.Module = nn.Upsample(scale_factor=2, mode="bilinear" if smooth else "nearest")
            self.convolution = MirroredConv2d(before, after, 3, bias=bias)
        elif how == "transposed":
            self.resize = nn.Identity()
            self.convolution = nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1, bias=bias)
        else:
            raise ValueError(f"upsample must be resize, smooth or transposed, not {how!r}")

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # which would resize, and then mirror, in float32
            if self.nearest and torch.compiler.is_compiling():  # whose gradient for torch's own is slow
                x = x[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2).reshape(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
            else:
                x = self.resize(x)
        return self.convolution(x)  # type: ignore[no-any-return]


class ResnetGenerator(RestorationNetwork):
    """Translate a picture; the correction that leads to the translation is returned, as by every network here.

    Args:
        channels: of the picture and of its translation, 1 or 3.
        width: channels after the first layer (64 in the paper).
        blocks: residual blocks (9 for 256 x 256, 6 for 128 x 128 in the paper).
        norm: "instance", "batch", "pixel" or "none".
        upsample: "resize", "smooth", or "transposed" as in the reference code.
        dropout: within the blocks, 0..1.
        residual: learn what has to be changed, beginning with nothing, instead of the whole picture: for changes of style.
    """

    def __init__(
        self, channels: int = 3, width: int = 64, blocks: int = 9, *, norm: Literal["instance", "batch", "pixel", "none"] = "instance",
        upsample: Literal["resize", "smooth", "transposed"] = "resize", dropout: float = 0.0,
        residual: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        bias = norm != "batch"

        def block(convolution: nn.Module, wide: int) -> list[nn.Module]:
            return [convolution, normalisation(norm, wide), nn.ReLU(inplace=True)]

        head = MirroredConv2d(channels, width, 7, bias=bias)
        self.head = nn.Sequential(*block(head, width))
        self.downs = nn.Sequential(
            *block(nn.Conv2d(width, 2 * width, 3, 2, 1, bias=bias), 2 * width),
            *block(nn.Conv2d(2 * width, 4 * width, 3, 2, 1, bias=bias), 4 * width),
        )
        self.blocks = nn.Sequential(*(ResnetBlock(4 * width, norm, dropout) for _ in range(blocks)))
        self.ups = nn.Sequential(
            *block(Up(4 * width, 2 * width, upsample, bias), 2 * width),
            *block(Up(2 * width, width, upsample, bias), width),
        )
        self.tail = MirroredConv2d(width, channels, 7)
        reach = 3 + 1 + 2 + 4 * 2 * blocks + 4 + 2 + 3 + (6 if upsample == "smooth" else 0)
        # the outer quarter of an overlap counts for nothing, and what is further off than half of the reach matters little
        self.spec = ModelSpec(
            channels, channels, receptive_field=reach + MULTIPLE, multiple=MULTIPLE, overlap=max(OVERLAP, 2 * reach),
            sees_whole_image=norm == "instance",
        )  # fmt: skip
        initialise(self)
        if norm == "none":
            self._keep_size()
        self.residual = residual
        if residual:
            with torch.no_grad():
                self.tail.weight.mul_(0.1)

    def _keep_size(self) -> None:
        """Weights with which no layer makes the signal larger or smaller (He et al. 2015), and blocks that begin near the identity."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module is not self.tail:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        with torch.no_grad():
            for block in self.blocks:
                last = [part for part in block.layers if isinstance(part, nn.Conv2d)][-1]  # type: ignore[union-attr, operator]
                last.weight.mul_(0.1)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, H, W), nominal [0, 1], sides multiples of 8 -> what has to be added to it to get its translation."""
        hidden = self.ups(self.blocks(self.downs(self.head(2 * picture - 1))))
        # half precision would band the result: from here on float32
        if self.residual:
            # the change is one of the logit: however large, it never leaves [0, 1], where a game would else find what no picture can hold
            inner = picture.float().clamp(EDGE, 1 - EDGE)
            return torch.sigmoid(torch.logit(inner) + 2 * self.tail(hidden).float()) - inner
        return (torch.tanh(self.tail(hidden).float()) + 1) / 2 - picture.float()
