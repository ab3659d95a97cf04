"""A restoration U-Net of plain 3x3 convolutions, bias-free, with the noise level or another map of the damage as an input.

Sources: Ronneberger et al. 2015 (the shape). Zhang et al. 2018, FFDNet (the noise map as an input; pixel-unshuffle). Zhang et al. 2021,
DRUNet (residual blocks, no normalisation). Mohan et al. 2020: without biases the network is homogeneous, f(a x, a s) = a f(x, s), and
generalises to noise levels and value ranges that it was not trained on.

Plain dense convolutions reach 85 % of the matrix units' peak on CPUs with AMX; depthwise ones and attention do not. Few blocks at the
full resolution learn more for the same operations than many at half of it: 28.08 against 27.93 dB (held-out BSDS500, sigma 25) after
10^14 operations of training each.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.fused_residual import Residual, ResidualStack
from restore.networks.spec import CONDITION_CHANNELS, NAME_HELP, OVERLAP, ModelSpec, NetworkConfig, RestorationNetwork
from restore.networks.weight_transfer import average_colours, spread_colours

FAR_REACH = 96
"""Receptive field in pixels up to which `OVERLAP` will do for tiles; they overlap by this above it."""
LUMINANCE = "luminance"
"""The name of a `LumaChromaUNet`'s part that is a `RestorationUNet`."""
BLOCK = re.compile(r"((?:en|de)coders\.\d+|bottom)\.(\d+)\.(?:first|second)\.weight")
"""The tensors of a residual block: its stage and its number there."""


@dataclass(frozen=True)
class UNetSettings(NetworkConfig):
    """The settings that all restoration U-Nets share."""

    across_tasks: ClassVar[bool] = True

    widths: tuple[int, ...] = field(
        default=(32, 64, 128, 192),
        metadata={
            "help": "channels at the first resolution, at half of it, at a quarter ...",
            "range": (1, 4096),
            "count": (1, 10),
        },
    )
    blocks: tuple[int, ...] = field(
        default=(1, 1, 1, 1),
        metadata={
            "help": "residual blocks at each of these, down and up again",
            "range": (0, 64),
            "count": (1, 10),
            "layers": True,
            "grows": True,
        },
    )
    unshuffle: int = field(
        default=1,
        metadata={"help": "the first resolution is the picture's divided by this, 1 or a power of 2", "range": (1, 16)},
    )
    condition: Literal["noise", "quantisation", "blur"] = field(
        default="noise", metadata={"help": "the map that it takes in addition to the picture", "free": True, "of_task": True}
    )

    def conflict(self, other: NetworkConfig) -> str | None:
        """See `NetworkConfig.conflict`: another map of as many channels is learned in a few steps."""
        if isinstance(other, UNetSettings) and CONDITION_CHANNELS[self.condition] != CONDITION_CHANNELS[other.condition]:
            return "condition"
        return super().conflict(other)


@dataclass(frozen=True)
class UNetConfig(UNetSettings):
    """The settings of `RestorationUNet`."""

    name: Literal["unet"] = field(default="unet", metadata={"help": NAME_HELP})


class ResidualBlock(Residual):
    """x + conv(relu(conv(x))), (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        with torch.no_grad():
            self.second.weight.mul_(0.3)  # a block starts near the identity, which trains deep stacks without normalisation


class RestorationUNet(RestorationNetwork):
    """Predict the correction that, added to the degraded picture, restores it.

    Args:
        config: its settings.
        channels: of the picture, 1 or 3.
    """

    def __init__(self, config: UNetSettings, *, channels: int = 1) -> None:
        super().__init__()
        widths, blocks, unshuffle = config.widths, config.blocks, config.unshuffle
        if len(widths) != len(blocks):
            raise ValueError(f"widths {list(widths)} and blocks {list(blocks)} must have the same length")
        if unshuffle < 1 or unshuffle & (unshuffle - 1):
            raise ValueError(f"unshuffle must be 1 or a power of 2, not {unshuffle}")
        self.unshuffle = unshuffle
        reach = _receptive_field(blocks, unshuffle)
        self.spec = ModelSpec(
            channels, channels, receptive_field=reach, multiple=unshuffle * 2 ** (len(widths) - 1), conditions=(config.condition,),
            homogeneous=True, overlap=OVERLAP if reach <= FAR_REACH else FAR_REACH,
        )  # fmt: skip
        pairs = list(itertools.pairwise(widths))
        self.head = nn.Conv2d((channels + CONDITION_CHANNELS[config.condition]) * unshuffle**2, widths[0], 3, padding=1, bias=False)
        self.encoders = nn.ModuleList(_stage(w, n) for w, n in zip(widths[:-1], blocks[:-1], strict=True))
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2, bias=False) for a, b in pairs)
        self.bottom = _stage(widths[-1], blocks[-1])
        self.ups = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2, bias=False) for a, b in pairs)
        self.decoders = nn.ModuleList(_stage(w, n) for w, n in zip(widths[:-1], blocks[:-1], strict=True))
        self.tail = nn.Conv2d(widths[0], channels * unshuffle**2, 3, padding=1, bias=False)
        self._start_without_checkerboard()

    def _start_without_checkerboard(self) -> None:
        """Start every upsampling as nearest-neighbour (ICNR, Aitken et al. 2017): the taps of one 2x2 cell begin equal."""
        with torch.no_grad():
            for up in (module for module in self.ups if isinstance(module, nn.ConvTranspose2d)):
                up.weight.copy_(up.weight[:, :, :1, :1].expand_as(up.weight))
            cell = self.unshuffle**2
            self.tail.weight.copy_(0.1 * self.tail.weight[::cell].repeat_interleave(cell, 0))

    def forward(self, picture: Tensor, noise: Tensor) -> Tensor:
        """Predict the correction of `picture`.

        Args:
            picture: (B, C, H, W), nominal range [0, 1]; H and W multiples of `spec.multiple`.
            noise: (B, K, H, W), standard deviation of the noise at each pixel in the picture's units (K = 1), or another `Condition`.

        Returns:
            (B, C, H, W), to be added to the picture.
        """
        return self.correction(torch.cat([picture, noise], 1))

    def correction(self, inputs: Tensor) -> Tensor:
        """`forward` of the picture and its noise map in one tensor, (B, C + K, H, W) -> (B, C, H, W)."""
        first = self.head(F.pixel_unshuffle(inputs, self.unshuffle))
        hidden, skips = first, []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            hidden = encoder(hidden, hidden is not first)
            skips.append(hidden)
            hidden = down(hidden)
        hidden = self.bottom(hidden, hidden is not first)
        for up, decoder, skip in zip(reversed(self.ups), reversed(self.decoders), reversed(skips), strict=True):
            hidden = decoder(up(hidden).add_(skip), True)
        return F.pixel_shuffle(self.tail(hidden + first), self.unshuffle)

    def adapted(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The luminance's part of a `LumaChromaUNet`; blocks that the weights lack begin as the identity."""
        prefix = f"{LUMINANCE}."
        if any(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        counts = Counter(match[1] for key in tensors if (match := BLOCK.fullmatch(key)))  # two tensors a block
        added = {
            key: torch.zeros_like(value) if key.endswith("second.weight") else value
            for key, value in self.state_dict().items()
            if (match := BLOCK.fullmatch(key)) and key not in tensors and 2 * int(match[2]) >= counts[match[1]]
        }
        return {**tensors, **added}

    def fitted(self, key: str, value: Tensor, shape: torch.Size) -> Tensor:
        """The first and the last layer fit another number of colours; see `RestorationNetwork.fitted`."""
        cell = self.unshuffle**2
        if key == "head.weight" and value.shape[0] == shape[0]:
            return spread_colours(value, self.spec.channels, cell=cell, maps=cell * CONDITION_CHANNELS[self.spec.conditions[0]])
        if key == "tail.weight" and value.shape[1] == shape[1]:
            return average_colours(value, self.spec.channels, cell=cell)
        return super().fitted(key, value, shape)


def _receptive_field(blocks: Sequence[int], unshuffle: int) -> int:
    """Head and tail, two convolutions a block (each stage on the way down and up, the lowest once), and one cell of the lowest stage."""
    lowest = len(blocks) - 1
    stages: int = sum((1 if level == lowest else 2) * 2 * count * 2**level for level, count in enumerate(blocks))
    return unshuffle * (2 + stages + (1 << lowest))


def _stage(channels: int, blocks: int) -> ResidualStack:
    return ResidualStack(*(ResidualBlock(channels) for _ in range(blocks)))
