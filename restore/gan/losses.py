"""What a generator is told beside its opponent's verdict: pixel losses, one table `PIXEL_LOSSES`, and distances of deep features.

Pictures are (B, C, H, W) in nominal [0, 1], C 1 or 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks import backbones
from restore.networks.resnet import EDGE

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2


def psnr(prediction: Tensor, wanted: Tensor) -> Tensor:
    """Half the logarithm of each picture's squared error, so that every noise level counts alike (Chen et al. 2022, NAFNet).

    1e-5 (50 dB) keeps nearly clean pictures from ruling.
    """
    return ((prediction - wanted).square().mean((1, 2, 3)) + 1e-5).log().mean() / 2


def charbonnier(prediction: Tensor, wanted: Tensor) -> Tensor:
    """A smooth L1 (Charbonnier et al. 1994), with epsilon 1e-3 as in Lai et al. 2017."""
    return ((prediction - wanted).square() + 1e-6).sqrt().mean()


def ms_ssim(prediction: Tensor, wanted: Tensor) -> Tensor:
    """1 - MS-SSIM (Wang et al. 2003, eq. 7), in float32, on as many of the five scales as the picture has room for.

    The window is the Gaussian of 11 pixels and 1.5; contrast and structure count at every scale, luminance at the coarsest.
    """
    first, second = prediction.float(), wanted.float()
    scales = [index for index in range(len(MS_SSIM_WEIGHTS)) if min(first.shape[-2:]) >> index >= 11]
    if not scales:
        raise ValueError(f"MS-SSIM needs at least 11 x 11 pixels, not {first.shape[-2]} x {first.shape[-1]}")
    whole = sum(MS_SSIM_WEIGHTS[: len(scales)])
    weights = [weight / whole for weight in MS_SSIM_WEIGHTS[: len(scales)]]
    product = torch.ones(first.shape[:2], device=first.device)
    for index, weight in zip(scales, weights, strict=True):
        luminance, structure = _ssim_terms(first, second)
        value = structure * luminance if index == scales[-1] else structure
        # far from each other, pictures may correlate negatively, of which there is no real power
        product = product * value.mean((2, 3)).clamp_min(1e-4) ** weight
        first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)
    return 1 - product.mean()


def _ssim_terms(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The luminance and the contrast-structure terms of SSIM at each place, for a white of 1."""
    channels = first.shape[1]
    line = torch.exp(-((torch.arange(11, device=first.device) - 5.0) ** 2) / (2 * 1.5**2))
    line = (line / line.sum()).to(first.dtype)

    def blurred(x: Tensor) -> Tensor:
        x = F.conv2d(x, line.reshape(1, 1, 1, 11).expand(channels, -1, -1, -1), groups=channels)
        return F.conv2d(x, line.reshape(1, 1, 11, 1).expand(channels, -1, -1, -1), groups=channels)

    mean1, mean2 = blurred(first), blurred(second)
    variance1, variance2 = blurred(first**2) - mean1**2, blurred(second**2) - mean2**2
    covariance = blurred(first * second) - mean1 * mean2
    luminance = (2 * mean1 * mean2 + 0.01**2) / (mean1**2 + mean2**2 + 0.01**2)
    return luminance, (2 * covariance + 0.03**2) / (variance1 + variance2 + 0.03**2)


def excess(made: Tensor, source: Tensor, free: float) -> Tensor:
    """The mean square of what a picture's logit was changed by beyond `free`, which forbids blots and leaves a style its say.

    A self-regularisation (Shrivastava et al. 2017, eq. 3, there the L1 of every change), in log p / (1 - p): in values a white blot in a
    bright sky would be a small change.
    """
    # shrunk towards gray before it is clipped, or what is wholly white would feel no gradient
    inner = [(EDGE + (1 - 2 * EDGE) * pictures.float()).clamp(EDGE / 2, 1 - EDGE / 2) for pictures in (made, source)]
    change = torch.logit(inner[0]) - torch.logit(inner[1])
    return torch.relu(change.abs() - free).square().mean()


PIXEL_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda prediction, wanted: (prediction - wanted).abs().mean(),
    "l2": lambda prediction, wanted: (prediction - wanted).square().mean(),
    "charbonnier": charbonnier,
    "psnr": psnr,
    "ms_ssim": ms_ssim,
}


class Perceptual(nn.Module):
    """Mean L1 distance of VGG16's activations (Johnson et al. 2016, eq. 2, with L1 as in Wang et al. 2018, pix2pixHD), each of
    the layers relu1_2, relu2_2, relu3_3 and relu4_3 counted alike.

    Raises:
        ValueError: VGG16's weights are not to be had; the text says how to get them.
    """

    def __init__(self, layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")) -> None:
        super().__init__()
        last = max(layers, key=lambda name: backbones.VGG16_LAYERS[name])
        self.features = backbones.vgg16(last)
        self.taps = {backbones.VGG16_LAYERS[name] for name in layers}

    def forward(self, prediction: Tensor, wanted: Tensor) -> Tensor:
        """Two (B, 1|3, H, W) -> a scalar."""
        with torch.no_grad():  # no gradient is wanted of these, and in one batch with the others they would get one
            known = self._taken(wanted)
        distances = [mean_distance(first, second) for first, second in zip(self._taken(prediction), known, strict=True)]
        return torch.stack(distances).mean()

    def _taken(self, picture: Tensor) -> list[Tensor]:
        """The activations of the layers that count."""
        taken, hidden = [], backbones.normalised(picture)
        for index, layer in enumerate(self.features):
            hidden = layer(hidden)
            if index in self.taps:
                taken.append(hidden)
        return taken


def mean_distance(made: Tensor, known: Tensor) -> Tensor:
    """The mean of |made - known| in float32, of two tensors in the network's precision; no gradient reaches `known`."""
    distance: Tensor = _MeanDistance.apply(made, known)  # type: ignore[no-untyped-call]
    return distance


class _MeanDistance(torch.autograd.Function):
    """`mean_distance`, whose gradient is a sign a value, kept in the network's precision.

    Through `.float()` and `abs()` half the time of a VGG16 in bfloat16 goes by in float32 maps that come to a sign each.
    """

    @staticmethod
    def forward(ctx: Any, made: Tensor, known: Tensor) -> Tensor:
        difference = made - known
        ctx.save_for_backward(difference.sgn())
        return torch.linalg.vector_norm(difference, 1, dtype=torch.float32) / difference.numel()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (sign,) = ctx.saved_tensors
        return sign * (gradients[0] / sign.numel()).to(sign.dtype), None


class Lpips(nn.Module):
    """LPIPS (alex) as a loss; in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.distance = backbones.lpips()

    def forward(self, prediction: Tensor, wanted: Tensor) -> Tensor:
        """Two (B, 1|3, H, W) -> a scalar."""
        with torch.autocast(prediction.device.type, enabled=False):
            first, second = (x.float().expand(-1, 3, -1, -1) * 2 - 1 for x in (prediction, wanted))
            answer: Tensor = self.distance(first, second).mean()
        return answer
