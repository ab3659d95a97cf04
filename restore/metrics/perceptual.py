"""LPIPS (Zhang et al. 2018): the distance of deep features, here AlexNet's with the authors' linear heads."""

from __future__ import annotations

import os
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

BACKBONES = "RESTORE_BACKBONES"
"""Environment variable: a folder with alexnet_features.safetensors (torchvision's names); else torchvision downloads it."""

SMALLEST = 32  # pixels; AlexNet's poolings leave nothing of less


def lpips(result: np.ndarray, reference: np.ndarray) -> float:
    """LPIPS (alex, version 0.1) of two pictures; 0 is equal, higher is worse.

    Args:
        result, reference: (H, W) or (H, W, C) float, C 1 or 3, nominal [0, 1]; gray is repeated.

    Raises:
        ValueError: shapes differ or are too small, or the `lpips` package or AlexNet's weights are not to be had; the text
            says how to get them.
    """
    if result.shape != reference.shape:
        raise ValueError(f"the pictures differ in shape: {result.shape} against {reference.shape}")
    if min(result.shape[:2]) < SMALLEST:
        raise ValueError(
            f"LPIPS needs at least {SMALLEST} x {SMALLEST} pixels, not {result.shape[0]} x {result.shape[1]}"
        )
    with torch.inference_mode():
        return float(_network()(_tensor(result), _tensor(reference)))


def _tensor(picture: np.ndarray) -> torch.Tensor:
    picture = picture[:, :, None] if picture.ndim == 2 else picture
    tensor = torch.from_numpy(np.ascontiguousarray(np.clip(picture, 0, 1).transpose(2, 0, 1), dtype=np.float32))[None]
    return tensor.expand(-1, 3, -1, -1) * 2 - 1


@cache
def _network() -> torch.nn.Module:
    try:
        import lpips as package
    except ImportError as error:
        raise ValueError("LPIPS needs the package lpips: pip install 'restore-suite[metrics]'") from error
    folder = os.environ.get(BACKBONES)
    with warnings.catch_warnings():  # lpips calls torchvision in a way that it calls deprecated
        warnings.simplefilter("ignore")
        if folder is None:
            return _downloaded(package)
        network = package.LPIPS(net="alex", pretrained=True, pnet_rand=True, verbose=False)
    path = Path(folder) / "alexnet_features.safetensors"
    if not path.is_file():
        raise ValueError(f"{BACKBONES} names {folder}, which holds no {path.name}")
    convolutions = [module for module in network.net.modules() if isinstance(module, torch.nn.Conv2d)]
    tensors = load_file(path)
    names = sorted((key for key in tensors if key.endswith(".weight")), key=lambda key: int(key.split(".")[1]))
    with torch.no_grad():
        for convolution, name in zip(convolutions, names, strict=True):
            convolution.weight.copy_(tensors[name])
            assert convolution.bias is not None
            convolution.bias.copy_(tensors[name.replace(".weight", ".bias")])
    return network.eval()  # type: ignore[no-any-return]


def _downloaded(package: object) -> torch.nn.Module:
    try:
        return package.LPIPS(net="alex", verbose=False).eval()  # type: ignore[attr-defined, no-any-return]
    except OSError as error:
        raise ValueError(
            f"LPIPS needs AlexNet's weights, which torchvision could not download ({error}); "
            f"set {BACKBONES} to a folder with alexnet_features.safetensors"
        ) from error
