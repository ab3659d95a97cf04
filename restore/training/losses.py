"""Reconstruction losses: pixel losses (one table, `PIXEL_LOSSES`) and distances of deep features.

Images are (B, C, H, W) in nominal [0, 1], C 1 or 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks import backbones
from restore.networks.resnet import EDGE
from restore.runtime import Runtime

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Half the logarithm of each image's mean squared error, so that every noise level counts equally (Chen et al. 2022, NAFNet).

    The constant 1e-5 (50 dB) keeps nearly clean images from dominating.
    """
    return ((prediction - target).square().mean((1, 2, 3)) + 1e-5).log().mean() / 2


def charbonnier(prediction: Tensor, target: Tensor) -> Tensor:
    """A smooth L1 (Charbonnier et al. 1994), with epsilon 1e-3 as in Lai et al. 2017."""
    return ((prediction - target).square() + 1e-6).sqrt().mean()


def ms_ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """1 - MS-SSIM (Wang et al. 2003, eq. 7), in float32, on as many of the five scales as the image has room for.

    The window is an 11 x 11 Gaussian of deviation 1.5. Contrast and structure count at every scale, luminance at the coarsest.

    Raises:
        ValueError: the image is smaller than the window.
    """
    first, second = prediction.float(), target.float()
    scales = [index for index in range(len(MS_SSIM_WEIGHTS)) if min(first.shape[-2:]) >> index >= 11]
    if not scales:
        raise ValueError(f"MS-SSIM needs at least 11 x 11 pixels, not {first.shape[-2]} x {first.shape[-1]}")
    total = sum(MS_SSIM_WEIGHTS[: len(scales)])
    weights = [weight / total for weight in MS_SSIM_WEIGHTS[: len(scales)]]
    product = torch.ones(first.shape[:2], device=first.device)
    for index, weight in zip(scales, weights, strict=True):
        luminance, structure = _ssim_terms(first, second)
        value = structure * luminance if index == scales[-1] else structure
        # very different images may correlate negatively, and a negative number has no real power
        product = product * value.mean((2, 3)).clamp_min(1e-4) ** weight
        first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)
    return 1 - product.mean()


def _ssim_terms(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The luminance and the contrast-structure terms of SSIM at each pixel, for a white of 1."""
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


def change_penalty(output: Tensor, source: Tensor, free: float) -> Tensor:
    """The mean square of the change of each value's logit, log p / (1 - p), beyond `free`.

    It forbids blots and allows a style. A self-regularisation (Shrivastava et al. 2017, eq. 3, there the L1 of every change). In values
    instead of logits, a white blot in a bright sky would be a small change.
    """
    # moved towards gray before clipping: a fully white value would get no gradient
    inner = [(EDGE + (1 - 2 * EDGE) * images.float()).clamp(EDGE / 2, 1 - EDGE / 2) for images in (output, source)]
    change = torch.logit(inner[0]) - torch.logit(inner[1])
    return torch.relu(change.abs() - free).square().mean()


def chroma(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean distance of the colours in CIELAB's (a, b) plane in units of 100, in which saturated pixels of the target count more.

    Most of a photograph is nearly gray, so the unweighted distance is smallest for grayish brown. Zhang et al. 2016, "Colorful image
    colorization", section 2.2, weigh by a colour's rarity. Colours become rarer with their distance from gray, so the weight here is
    1 + |(a, b)| / SATURATED, divided by its mean.

    Args:
        prediction, target: (B, 3, H, W), sRGB in nominal [0, 1].

    Raises:
        ValueError: the images are gray.
    """
    if target.shape[1] != 3:
        raise ValueError("the chroma loss needs colour: set data.channels to 3")
    colours = _lab_chroma(target.float())
    distance = ((_lab_chroma(prediction.float()) - colours).square().sum(1) + 1e-6).sqrt()
    weight = 1 + colours.square().sum(1).sqrt() / SATURATED
    return (distance * weight).mean() / weight.mean()


SATURATED = 0.2
"""The chroma, in units of 100, at which a pixel counts twice as much as a gray one in `chroma`; about the mean of photographs."""


def _lab_chroma(picture: Tensor) -> Tensor:
    """(B, 3, H, W) sRGB, clipped to [0, 1] -> (B, 2, H, W), CIELAB's a and b in units of 100."""
    from kornia.color import rgb_to_lab  # takes a second to import, and most runs need none of it

    lab: Tensor = rgb_to_lab(picture.clamp(0, 1))
    return lab[:, 1:] / 100


PIXEL_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda prediction, target: (prediction - target).abs().mean(),
    "l2": lambda prediction, target: (prediction - target).square().mean(),
    "charbonnier": charbonnier,
    "psnr": psnr,
    "ms_ssim": ms_ssim,
    "chroma": chroma,
}


class Perceptual(nn.Module):
    """The mean L1 distance of VGG16's activations at relu1_2, relu2_2, relu3_3 and relu4_3, equally weighted.

    Johnson et al. 2016, eq. 2, with L1 as in Wang et al. 2018 (pix2pixHD).

    Raises:
        ValueError: VGG16's weights cannot be found; the text says how to get them.
    """

    def __init__(self, layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")) -> None:
        super().__init__()
        last = max(layers, key=lambda name: backbones.VGG16_LAYERS[name])
        self.features = backbones.vgg16(last)
        self.taps = {backbones.VGG16_LAYERS[name] for name in layers}

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Two (B, 1|3, H, W) -> a scalar."""
        with torch.no_grad():  # in one batch with the prediction, the target would cost a gradient too
            expected = self._activations(target)
        distances = [mean_distance(first, second) for first, second in zip(self._activations(prediction), expected, strict=True)]
        return torch.stack(distances).mean()

    def _activations(self, image: Tensor) -> list[Tensor]:
        """The activations at `taps`."""
        activations, hidden = [], backbones.normalised(image)
        for index, layer in enumerate(self.features):
            hidden = layer(hidden)
            if index in self.taps:
                activations.append(hidden)
        return activations


def mean_distance(output: Tensor, target: Tensor) -> Tensor:
    """The mean of |output - target| in float32, for tensors in the network's precision; no gradient reaches `target`."""
    distance: Tensor = _MeanDistance.apply(output, target)
    return distance


class _MeanDistance(torch.autograd.Function):
    """`mean_distance`, whose gradient is one sign per value, kept in the network's precision.

    Through `.float()` and `abs()`, float32 maps take half the time of a VGG16 in bfloat16, for one sign per value.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, target: Tensor) -> Tensor:
        difference = output - target
        ctx.save_for_backward(difference.sgn())
        total: Tensor = torch.linalg.vector_norm(difference, 1, dtype=torch.float32)
        return total / difference.numel()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (sign,) = ctx.saved_tensors
        return sign * (gradients[0] / sign.numel()).to(sign.dtype), None


class Lpips(nn.Module):
    """LPIPS (AlexNet) as a loss; in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.distance = backbones.lpips()

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Two (B, 1|3, H, W) -> a scalar."""
        with torch.autocast(prediction.device.type, enabled=False):
            first, second = (x.float().expand(-1, 3, -1, -1) * 2 - 1 for x in (prediction, target))
            distance: Tensor = self.distance(first, second).mean()
        return distance


class ReconstructionLoss:
    """Pixel and deep-feature distances of a prediction from its target; a weight of 0 leaves a term out.

    Args:
        runtime: device and autocast of the deep features.
        pixel: a key of PIXEL_LOSSES.
        pixel_weight, perceptual_weight, lpips_weight: what multiplies each term.

    Raises:
        ValueError: an unknown pixel loss, or the weights of a backbone cannot be found.
    """

    def __init__(
        self,
        runtime: Runtime,
        pixel: str = "l1",
        *,
        pixel_weight: float = 1.0,
        perceptual_weight: float = 0.0,
        lpips_weight: float = 0.0,
    ) -> None:
        if pixel not in PIXEL_LOSSES:
            raise ValueError(f"unknown pixel loss {pixel!r}: there are {', '.join(PIXEL_LOSSES)}")
        self.runtime, self.pixel, self.pixel_weight = runtime, PIXEL_LOSSES[pixel], pixel_weight
        self.deep: dict[str, tuple[float, nn.Module]] = {}
        if perceptual_weight:
            self.deep["perceptual"] = perceptual_weight, Perceptual().to(runtime.device)
        if lpips_weight:
            self.deep["lpips"] = lpips_weight, Lpips().to(runtime.device)

    def terms(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Two (B, C, H, W) -> the weighted terms by name."""
        terms: dict[str, Tensor] = {}
        if self.pixel_weight:
            terms["pixel"] = self.pixel_weight * self.pixel(prediction, target)
        for name, (weight, distance) in self.deep.items():
            with self.runtime.autocast():
                terms[name] = weight * distance(prediction, target)
        return terms
