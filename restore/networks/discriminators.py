"""Discriminators: networks that tell real pictures from generated ones, and their table `DISCRIMINATORS`.

Each takes (B, C, H, W) in nominal [0, 1] and returns logits, larger for more real: a map, or all maps of a sample as one vector.
The caller concatenates a condition (pix2pix) to the picture; `channels` counts both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from restore.networks import backbones
from restore.networks.meta_device import without_autocast
from restore.networks.normalisation import normalisation


class Discriminator(nn.Module):
    """What a trainer asks of a discriminator.

    Attributes:
        channels: of the picture and its condition.
        settings: the arguments that its constructor takes in addition to `channels`.
        local: whether it returns a map of logits, one for each region of the picture.
        shift: pixels by which it shifts its input at random in training; its result is for a picture smaller by as many.
        pretrained: whether it reads a backbone from a file, so that building it takes time.
    """

    channels: int
    settings: ClassVar[frozenset[str]] = frozenset({"width"})
    local: ClassVar[bool] = True
    shift: ClassVar[int] = 0
    pretrained: ClassVar[bool] = False


class PatchGAN(Discriminator):
    """Classifies each patch (Isola et al. 2017, section 3.2.2; appendix 6.1.2: C64-C128-C256-C512).

    With `layers` of 3 each logit sees 70 x 70 pixels.

    Args:
        channels: of the picture and its condition.
        width: channels of the first layer.
        layers: layers with a stride of 2.
        norm: a key of NORMS; the first and the last layer have none.
        spectral: divide each layer by its largest singular value (Miyato et al. 2018).
    """

    settings = frozenset({"width", "norm", "spectral"})

    def __init__(self, channels: int = 3, width: int = 64, layers: int = 3, norm: str = "instance", spectral: bool = False) -> None:
        super().__init__()
        self.channels = channels
        wrap: Callable[[nn.Module], nn.Module] = spectral_norm if spectral else _unchanged
        parts: list[nn.Module] = [wrap(nn.Conv2d(channels, width, 4, 2, 1)), nn.LeakyReLU(0.2)]
        wide = width
        for index in range(1, layers + 1):
            before, wide = wide, min(8 * width, width * 2**index)
            stride = 2 if index < layers else 1
            # a normalisation removes the bias before it
            convolution = nn.Conv2d(before, wide, 4, stride, 1, bias=norm != "batch")
            parts += [wrap(convolution), normalisation(norm, wide), nn.LeakyReLU(0.2)]
        parts.append(wrap(nn.Conv2d(wide, 1, 4, 1, 1)))
        self.layers = nn.Sequential(*parts)
        initialise(self)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 1, H / 8 - 2, W / 8 - 2) for three layers."""
        logits: Tensor = self.layers(2 * pictures - 1)
        return logits


class MultiScale(Discriminator):
    """One PatchGAN each at full, half and quarter resolution (Wang et al. 2018, pix2pixHD, section 3.2)."""

    settings = PatchGAN.settings
    local = False

    def __init__(self, channels: int = 3, scales: int = 3, **settings: Any) -> None:
        super().__init__()
        self.channels = channels
        self.scales = nn.ModuleList(PatchGAN(channels, **settings) for _ in range(scales))

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, N): the logits of all scales; each scale has the same weight."""
        logits = []
        for index, scale in enumerate(self.scales):
            if index:
                # the paper's mean of three pixels would weigh every other row and column double; the generator learns that as stripes
                pictures = _halved(pictures)
            logits.append(scale(pictures).flatten(1))
        # of one length, so that the mean over all logits is the mean over the scales
        most = max(part.shape[1] for part in logits)
        return torch.cat([F.interpolate(part[:, None], size=most)[:, 0] for part in logits], 1)


class UNetDiscriminator(Discriminator):
    """Classifies each pixel from a wide surrounding (Schonfeld et al. 2020; spectral norm as in Wang et al. 2021, Real-ESRGAN).

    Args:
        channels: of the picture and its condition.
        width: channels of the first layer.
    """

    def __init__(self, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        self.channels = channels
        self.head = nn.Conv2d(channels, width, 3, padding=1)
        self.downs = nn.ModuleList(
            spectral_norm(nn.Conv2d(width * 2**level, width * 2 ** (level + 1), 4, 2, 1, bias=False)) for level in range(3)
        )
        self.ups = nn.ModuleList(
            spectral_norm(nn.Conv2d(width * 2 ** (level + 1), width * 2**level, 3, padding=1, bias=False)) for level in reversed(range(3))
        )
        self.body = nn.Sequential(
            spectral_norm(nn.Conv2d(width, width, 3, padding=1, bias=False)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(width, width, 3, padding=1, bias=False)),
            nn.LeakyReLU(0.2),
        )
        self.tail = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 1, H, W)."""
        hidden = F.leaky_relu(self.head(2 * pictures - 1), 0.2)
        skips = []
        for down in self.downs:
            skips.append(hidden)
            hidden = F.leaky_relu(down(hidden), 0.2)
        for up in self.ups:
            skip = skips.pop()
            hidden = F.interpolate(hidden, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            hidden = F.leaky_relu(up(hidden), 0.2) + skip
        logits: Tensor = self.tail(self.body(hidden))
        return logits


class Projected(Discriminator):
    """Classifies each region by VGG16's features at three depths (Sauer et al. 2021, "Projected GANs converge faster").

    A discriminator of pixels must first learn what brush strokes are; with few pictures it never does. The features are frozen and not
    saved with the state; one head for each depth is trained. It takes the pictures at half their size after a low-pass filter. VGG16
    responds to patterns of two to four pixels that no eye sees, and a generator finds those before it finds strokes.

    Args:
        channels: of the picture, 1 or 3; it takes no condition.
        width: channels of the heads.
    """

    shift = 7
    pretrained = True

    def __init__(self, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        if channels not in {1, 3}:
            raise ValueError("the projected discriminator takes pictures only, without a condition")
        self.channels = channels
        self._features = [backbones.vgg16("relu4_3")]  # in a list, so that it is no submodule, which would be saved and averaged
        self._taps = {backbones.VGG16_LAYERS[name]: depth for depth, name in enumerate(("relu2_2", "relu3_3", "relu4_3"))}
        self.heads = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(before, width, 1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(width, 1, 3, padding=1)),
            )
            for before in (128, 256, 512)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 3, H / 4, W / 4): each head's map of logits, the deeper ones enlarged; each head has the same weight."""
        features = self._features[0] = self._features[0].to(pictures.device)
        if self.training:
            # pooling has a grid of eight pixels: with a fixed grid, a pattern that fits it would pass for texture
            # (drawn on the pictures' device, so that no transfer stalls it)
            for axis, shift in zip((2, 3), torch.randint(self.shift + 1, (2, 1), device=pictures.device), strict=True):
                length = pictures.shape[axis] - self.shift  # the same for every shift
                pictures = pictures.index_select(axis, shift + torch.arange(length, device=pictures.device))
        pictures = _halved(pictures)
        hidden, logits = backbones.normalised(pictures), []
        for index, layer in enumerate(features):
            hidden = layer(hidden)
            if index in self._taps:
                # normalised at every pixel, as in LPIPS: activations grow with the depth and with the contrast
                directions = F.normalize(hidden.float(), dim=1) * hidden.shape[1] ** 0.5
                logits.append(self.heads[self._taps[index]](directions))
        finest = logits[0].shape[-2:]
        return torch.cat([F.interpolate(part, size=finest) for part in logits], 1)


def _halved(pictures: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H / 2, W / 2) after the binomial filter of four taps, which removes the period of two pixels."""
    channels = pictures.shape[1]
    offset = torch.arange(4, device=pictures.device, dtype=pictures.dtype) - 1.5
    line = (3.25 - offset.square()) / 8  # 1, 3, 3, 1
    kernel = torch.outer(line, line).expand(channels, 1, 4, 4)
    with without_autocast(pictures):
        return F.conv2d(F.pad(pictures, (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=channels)


DISCRIMINATORS: Mapping[str, type[Discriminator]] = {
    "patchgan": PatchGAN,
    "multiscale": MultiScale,
    "unet": UNetDiscriminator,
    "projected": Projected,
}


def find(name: str) -> type[Discriminator]:
    """The discriminator called `name`.

    Raises:
        ValueError: no such discriminator.
    """
    if name not in DISCRIMINATORS:
        raise ValueError(f"unknown discriminator {name!r}: there are {', '.join(DISCRIMINATORS)}")
    return DISCRIMINATORS[name]


def build(name: str, **settings: Any) -> Discriminator:
    """Build the discriminator called `name` with its own settings.

    Raises:
        ValueError: no such discriminator, or a setting that it does not know.
    """
    kind = find(name)
    try:
        return kind(**settings)
    except TypeError as error:
        raise ValueError(f"discriminator {name!r} cannot be built with {settings}: {error}") from error


def initialise(network: nn.Module, deviation: float = 0.02) -> None:
    """Draw weights from N(0, deviation) and set biases to 0, as in DCGAN, pix2pix and CycleGAN (Isola et al. 2017, appendix 6.2)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            for name, parameter in module.named_parameters():  # a spectral norm renames the weight
                if name == "bias":
                    nn.init.zeros_(parameter)
                else:
                    nn.init.normal_(parameter, 0.0, deviation)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, deviation)
            nn.init.zeros_(module.bias)


def _unchanged(module: nn.Module) -> nn.Module:
    return module
