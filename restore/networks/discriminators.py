"""Networks that tell real pictures from made ones, and the table `DISCRIMINATORS`.

Each takes (B, C, H, W), nominal [0, 1], and returns logits, the larger the more real: a map, a list of maps as one vector a sample,
or both. A condition (pix2pix) is concatenated to the picture by the caller, which `channels` then counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from restore.networks import backbones
from restore.networks.normalisation import normalisation


class PatchGAN(nn.Module):
    """Says of each patch whether it is real (Isola et al. 2017, section 3.2.2; appendix 6.1.2: C64-C128-C256-C512).

    With `layers` of 3 each answer sees 70 x 70 pixels.

    Args:
        channels: of the picture, and of its condition.
        width: of the first layer.
        layers: with a stride of 2.
        norm: a key of NORMS; not on the first and the last layer.
        spectral: divide each layer by its largest singular value (Miyato et al. 2018).
    """

    def __init__(
        self, channels: int = 3, width: int = 64, layers: int = 3, norm: str = "instance", spectral: bool = False
    ) -> None:
        super().__init__()
        self.channels = channels
        wrap: Callable[[nn.Module], nn.Module] = spectral_norm if spectral else _same
        parts: list[nn.Module] = [wrap(nn.Conv2d(channels, width, 4, 2, 1)), nn.LeakyReLU(0.2)]
        wide = width
        for index in range(1, layers + 1):
            before, wide = wide, min(8 * width, width * 2**index)
            stride = 2 if index < layers else 1
            # a bias before a normalisation does nothing
            convolution = nn.Conv2d(before, wide, 4, stride, 1, bias=norm != "batch")
            parts += [wrap(convolution), normalisation(norm, wide), nn.LeakyReLU(0.2)]
        parts.append(wrap(nn.Conv2d(wide, 1, 4, 1, 1)))
        self.layers = nn.Sequential(*parts)
        initialise(self)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 1, H / 8 - 2, W / 8 - 2) for three layers."""
        return self.layers(2 * pictures - 1)  # type: ignore[no-any-return]


class MultiScale(nn.Module):
    """The same PatchGAN at full, half and quarter resolution, apart (Wang et al. 2018, pix2pixHD, section 3.2)."""

    def __init__(self, channels: int = 3, scales: int = 3, **settings: Any) -> None:
        super().__init__()
        self.channels = channels
        self.scales = nn.ModuleList(PatchGAN(channels, **settings) for _ in range(scales))

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, N): every answer of every scale; each scale counts alike."""
        answers = []
        for index, scale in enumerate(self.scales):
            if index:
                # the paper's mean of three would pay every other row and column twice the attention, which the generator learns as stripes
                pictures = _halved(pictures)
            answers.append(scale(pictures).flatten(1))
        # so that the mean over all answers is the mean over the scales
        most = max(answer.shape[1] for answer in answers)
        return torch.cat([F.interpolate(answer[:, None], size=most)[:, 0] for answer in answers], 1)


class UNetDiscriminator(nn.Module):
    """Says of each pixel whether it is real, seeing far (Schonfeld et al. 2020; spectral norm as in Wang et al. 2021, Real-ESRGAN).

    Args:
        channels: of the picture, and of its condition.
        width: of the first layer.
    """

    def __init__(self, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        self.channels = channels
        self.head = nn.Conv2d(channels, width, 3, padding=1)
        self.downs = nn.ModuleList(
            spectral_norm(nn.Conv2d(width * 2**level, width * 2 ** (level + 1), 4, 2, 1, bias=False)) for level in range(3)
        )
        self.ups = nn.ModuleList(
            spectral_norm(nn.Conv2d(width * 2 ** (level + 1), width * 2**level, 3, padding=1, bias=False))
            for level in reversed(range(3))
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
        return self.tail(self.body(hidden))  # type: ignore[no-any-return]


class Projected(nn.Module):
    """Says of each place whether it is real, by what VGG16 sees there, at three depths (Sauer et al. 2021, "Projected GANs converge
    faster").

    A discriminator of pixels has to learn first what brush strokes are; with few pictures it never does. The features are frozen and no
    part of the state; a head a depth learns to judge them. It looks at the pictures at half their size, behind a low-pass: VGG16 is open to
    patterns of two to four pixels that mean nothing to an eye, and a generator finds them before it finds strokes.

    Args:
        channels: of the picture, 1 or 3; a condition it cannot take.
        width: channels of the heads.
    """

    shifts = 7  # pixels that it moves its look by while it learns, at most

    def __init__(self, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        if channels not in {1, 3}:
            raise ValueError("the projected discriminator looks at pictures only: it takes no condition beside them")
        self.channels = channels
        self._features = [backbones.vgg16("relu4_3")]  # in a list, so that it is none of the modules that are saved and averaged
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
        """(B, C, H, W) -> (B, 3, H / 4, W / 4): the heads' answers place by place, the deeper ones' spread; each head counts alike."""
        features = self._features[0] = self._features[0].to(pictures.device)
        if self.training:
            # pooling sees every eighth pixel as another: a pattern that fits its grid would pass for texture if the grid always lay alike
            # (drawn where the pictures are, so that nothing waits for it)
            for axis, shift in zip((2, 3), torch.randint(self.shifts + 1, (2, 1), device=pictures.device), strict=True):
                length = pictures.shape[axis] - self.shifts  # whatever the shift, so that all answers lie alike
                pictures = pictures.index_select(axis, shift + torch.arange(length, device=pictures.device))
        pictures = _halved(pictures)
        hidden, answers = backbones.normalised(pictures), []
        for index, layer in enumerate(features):
            hidden = layer(hidden)
            if index in self._taps:
                # of one length at every place, as in LPIPS: activations grow with the depth and with the contrast
                seen = F.normalize(hidden.float(), dim=1) * hidden.shape[1] ** 0.5
                answers.append(self.heads[self._taps[index]](seen))
        finest = answers[0].shape[-2:]
        return torch.cat([F.interpolate(answer, size=finest) for answer in answers], 1)


def _halved(pictures: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H / 2, W / 2) behind the binomial filter of four taps, which lets nothing of two pixels' period through."""
    channels = pictures.shape[1]
    place = torch.arange(4, device=pictures.device, dtype=pictures.dtype) - 1.5
    line = (3.25 - place.square()) / 8  # 1, 3, 3, 1
    kernel = torch.outer(line, line).expand(channels, 1, 4, 4)
    with torch.autocast(pictures.device.type, enabled=False):
        return F.conv2d(F.pad(pictures, (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=channels)


DISCRIMINATORS: Mapping[str, Callable[..., nn.Module]] = {
    "patchgan": PatchGAN,
    "multiscale": MultiScale,
    "unet": UNetDiscriminator,
    "projected": Projected,
}


def build(name: str, **settings: Any) -> nn.Module:
    """Build the discriminator called `name` with its own settings.

    Raises:
        ValueError: no such discriminator, or a setting that it does not know.
    """
    if name not in DISCRIMINATORS:
        raise ValueError(f"unknown discriminator {name!r}: there are {', '.join(DISCRIMINATORS)}")
    try:
        return DISCRIMINATORS[name](**settings)
    except TypeError as error:
        raise ValueError(f"discriminator {name!r} cannot be built with {settings}: {error}") from error


def initialise(network: nn.Module, deviation: float = 0.02) -> None:
    """Weights from N(0, deviation), as DCGAN, pix2pix and CycleGAN start (Isola et al. 2017, appendix 6.2); biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            for name, parameter in module.named_parameters():  # under a spectral norm the weight has another name
                if name == "bias":
                    nn.init.zeros_(parameter)
                else:
                    nn.init.normal_(parameter, 0.0, deviation)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, deviation)
            nn.init.zeros_(module.bias)


def _same(module: nn.Module) -> nn.Module:
    return module
