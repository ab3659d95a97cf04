"""ImageNet backbones for perceptual distances: from the folder in $RESTORE_BACKBONES, else downloaded by torchvision.

Simonyan and Zisserman 2015 (VGG16), Krizhevsky et al. 2012 (AlexNet, in LPIPS).
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

FOLDER = "RESTORE_BACKBONES"
"""Environment variable: a folder with vgg16_features.safetensors and alexnet_features.safetensors (torchvision's names)."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's red, green and blue."""
VGG16_LAYERS: Mapping[str, int] = {"relu1_2": 3, "relu2_2": 8, "relu3_3": 15, "relu4_3": 22, "relu5_3": 29}
"""Index of each activation in torchvision's `vgg16().features`."""
LPIPS_BACKBONES: Mapping[str, tuple[str, str]] = {
    "alex": ("AlexNet's", "alexnet_features.safetensors"),
    "vgg": ("VGG16's", "vgg16_features.safetensors"),
}
"""Name in the lpips package -> whose weights, and their file in FOLDER."""


def folder() -> Path | None:
    """The folder of backbones that the user named, or None."""
    named = os.environ.get(FOLDER)
    return Path(named) if named else None


def vgg16(through: str = "relu4_3") -> nn.Sequential:
    """VGG16's features up to a key of VGG16_LAYERS, frozen, in float32; takes (B, 3, H, W) normalised as ImageNet was.

    Raises:
        ValueError: the weights are not available; the text says how to get them.
    """
    import torchvision

    named = folder()
    if named is None:
        with explained("VGG16's", "vgg16_features.safetensors"):
            full = torchvision.models.vgg16(weights=torchvision.models.VGG16_Weights.IMAGENET1K_V1)
        features = full.features[: VGG16_LAYERS[through] + 1]
    else:
        features = torchvision.models.vgg16(weights=None).features[: VGG16_LAYERS[through] + 1]
        _fill(features, named / "vgg16_features.safetensors")
    # rectifiers in place would overwrite the features that are compared
    for module in features:
        if isinstance(module, nn.ReLU):
            module.inplace = False
    frozen: nn.Sequential = features.float().eval().requires_grad_(False)
    return frozen.to(memory_format=torch.channels_last)


@cache
def lpips(backbone: str = "alex") -> nn.Module:
    """LPIPS (version 0.1; Zhang et al. 2018): takes two (B, 3, H, W) in [-1, 1], gives (B, 1, 1, 1).

    Args:
        backbone: "alex" (AlexNet) or "vgg" (VGG16).

    Raises:
        ValueError: the backbone's weights are not available; the text says how to get them.
    """
    import lpips as package

    whose, file = LPIPS_BACKBONES[backbone]
    named = folder()
    with warnings.catch_warnings():  # lpips uses a deprecated call of torchvision
        warnings.simplefilter("ignore")
        if named is None:
            with explained(whose, file):
                network: nn.Module = package.LPIPS(net=backbone, verbose=False)
        else:
            network = package.LPIPS(net=backbone, pretrained=True, pnet_rand=True, verbose=False)
            _fill(cast(nn.Module, network.net), named / file)
    return network.eval().requires_grad_(False)


def _fill(network: nn.Module, path: Path) -> None:
    """Copy a file's convolutions into a network's, in order."""
    if not path.is_file():
        raise ValueError(f"{FOLDER} names {path.parent}, which holds no {path.name}")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    names = sorted((key for key in tensors if key.endswith(".weight")), key=lambda key: int(key.split(".")[1]))
    if len(names) < len(convolutions):
        raise ValueError(f"{path} holds {len(names)} convolutions, {len(convolutions)} are needed")
    with torch.no_grad():
        for convolution, name in zip(convolutions, names, strict=False):
            convolution.weight.copy_(tensors[name])
            assert convolution.bias is not None
            convolution.bias.copy_(tensors[name.replace(".weight", ".bias")])


class explained:
    """Turns a failed download into a ValueError that names the alternative, and keeps the library's prints off standard output."""

    def __init__(self, whose: str, name: str | None) -> None:
        self.whose, self.name = whose, name
        self._redirected = redirect_stdout(sys.stderr)

    def __enter__(self) -> None:
        self._redirected.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._redirected.__exit__(kind, error, trace)
        if isinstance(error, OSError):
            mend = (
                f"run `restore weights fetch-backbones` where there is a network, or set {FOLDER} to a folder with {self.name}"
                if self.name
                else "they are downloaded at the first use where there is a network"
            )
            raise ValueError(f"{self.whose} weights are needed, which could not be downloaded ({error}); {mend}") from error


def normalised(pictures: Tensor) -> Tensor:
    """(B, 1|3, H, W) in nominal [0, 1] -> (B, 3, H, W) with ImageNet's mean and deviation; gray is repeated."""
    # filled in on the pictures' device: a copy from the CPU stalls a GPU and breaks the capture of a CUDA graph
    mean, deviation = (torch.cat([pictures.new_full((1, 1, 1), value) for value in values]) for values in (MEAN, DEVIATION))
    return (pictures.expand(-1, 3, -1, -1) - mean) / deviation
