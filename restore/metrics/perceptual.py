"""Full-reference distances of deep features: LPIPS (Zhang et al. 2018) and DISTS (Ding et al. 2020)."""

from __future__ import annotations

from functools import cache
from importlib import resources, util

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks import backbones

SMALLEST = 32
"""Pixels; the backbones' pooling layers need at least this side."""
DISTS_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")


def lpips(result: np.ndarray, reference: np.ndarray) -> float:
    """LPIPS (alex, version 0.1) of two pictures; 0 is equal, higher is worse.

    Args:
        result, reference: (H, W) or (H, W, C) float, C 1 or 3, nominal [0, 1]; gray is repeated.

    Raises:
        ValueError: the shapes differ or are too small, or AlexNet's weights are not available; the message says how to get them.
    """
    return _lpips(result, reference, "alex")


def lpips_vgg(result: np.ndarray, reference: np.ndarray) -> float:
    """LPIPS (vgg, version 0.1) of two pictures; 0 is equal, higher is worse. Its values are not comparable with those of `lpips`.

    The arguments and errors are those of `lpips`; the weights are VGG16's.
    """
    return _lpips(result, reference, "vgg")


def dists(result: np.ndarray, reference: np.ndarray) -> float:
    """DISTS: structure and texture of VGG16's features (Ding et al. 2020, eq. 5-7); 0 is equal, higher is worse.

    The pictures keep their size. (The authors' script shrinks the shorter side to 256 pixels; resize first to compare with its values.)

    Raises:
        ValueError: see `lpips`; also torchmetrics, which holds the authors' weights of the layers, is missing.
    """
    _check(result, reference, "DISTS")
    weights, network = _dists_weights(), _dists_backbone()
    with torch.inference_mode():
        activations = [_activations(network, _tensor(picture)) for picture in (result, reference)]
        channels = [stage.shape[1] for stage in activations[0]]
        alphas, betas = (part.split(channels, dim=1) for part in weights)
        similarity = sum(_similarity(*stages) for stages in zip(*activations, alphas, betas, strict=True))
    return 1 - float(similarity)


def _lpips(result: np.ndarray, reference: np.ndarray, backbone: str) -> float:
    _check(result, reference, "LPIPS")
    with torch.inference_mode():
        return float(backbones.lpips(backbone)(_tensor(result) * 2 - 1, _tensor(reference) * 2 - 1))


@cache
def _dists_weights() -> tuple[Tensor, Tensor]:
    """The authors' weights of structure's mean and variance terms, (1, 1475, 1, 1) each; their sum is 1."""
    if util.find_spec("torchmetrics") is None:
        raise ValueError("DISTS needs torchmetrics: pip install 'restore-suite[metrics]'")
    file = resources.files("torchmetrics") / "functional" / "image" / "dists_models" / "weights.pt"
    with resources.as_file(file) as path:
        tensors = torch.load(path, weights_only=True)
    total = tensors["alpha"].sum() + tensors["beta"].sum()
    return tensors["alpha"] / total, tensors["beta"] / total


@cache
def _dists_backbone() -> nn.Sequential:
    return backbones.vgg16("relu5_3")


def _activations(network: nn.Sequential, pictures: Tensor) -> list[Tensor]:
    """(B, 3, H, W) in [0, 1] -> the pictures and VGG16's five activations; a Hanning window of L2 norms replaces max pooling."""
    taps = {index for name, index in backbones.VGG16_LAYERS.items() if name in DISTS_LAYERS}
    found, hidden = [pictures], backbones.normalised(pictures)
    for index, module in enumerate(network):
        hidden = _l2_pool(hidden) if isinstance(module, nn.MaxPool2d) else module(hidden)
        if index in taps:
            found.append(hidden)
    return found


def _l2_pool(hidden: Tensor) -> Tensor:
    """Ding et al. 2020, eq. 3: the root of the squares' weighted mean, every second pixel."""
    side = hidden.new_tensor([0.25, 0.5, 0.25])
    window = torch.outer(side, side).expand(hidden.shape[1], 1, 3, 3)
    return (F.conv2d(hidden**2, window, stride=2, padding=1, groups=hidden.shape[1]) + 1e-12).sqrt()


def _similarity(first: Tensor, second: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """One stage's weighted similarity of texture (means) and structure (covariance), eq. 5 and 6."""
    mean1, mean2 = first.mean((2, 3), keepdim=True), second.mean((2, 3), keepdim=True)
    variance1, variance2 = first.var((2, 3), correction=0, keepdim=True), second.var((2, 3), correction=0, keepdim=True)
    covariance = (first * second).mean((2, 3), keepdim=True) - mean1 * mean2
    texture = (2 * mean1 * mean2 + 1e-6) / (mean1**2 + mean2**2 + 1e-6)
    structure = (2 * covariance + 1e-6) / (variance1 + variance2 + 1e-6)
    return (alpha * texture + beta * structure).sum()


def _check(result: np.ndarray, reference: np.ndarray, name: str) -> None:
    if result.shape != reference.shape:
        raise ValueError(f"the pictures differ in shape: {result.shape} against {reference.shape}")
    if min(result.shape[:2]) < SMALLEST:
        raise ValueError(f"{name} needs at least {SMALLEST} x {SMALLEST} pixels, not {result.shape[0]} x {result.shape[1]}")


def _tensor(picture: np.ndarray) -> torch.Tensor:
    """(H, W[, C]) in nominal [0, 1] -> (1, 3, H, W) in [0, 1]."""
    picture = picture[:, :, None] if picture.ndim == 2 else picture
    tensor = torch.from_numpy(np.ascontiguousarray(np.clip(picture, 0, 1).transpose(2, 0, 1), dtype=np.float32))[None]
    return tensor.expand(-1, 3, -1, -1)
