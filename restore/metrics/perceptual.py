"""LPIPS (Zhang et al. 2018): the distance of deep features, here AlexNet's with the authors' linear heads."""

from __future__ import annotations

import numpy as np
import torch

from restore.networks import backbones

SMALLEST = 32  # pixels; AlexNet's pooling layers need at least this side


def lpips(result: np.ndarray, reference: np.ndarray) -> float:
    """LPIPS (alex, version 0.1) of two pictures; 0 is equal, higher is worse.

    Args:
        result, reference: (H, W) or (H, W, C) float, C 1 or 3, nominal [0, 1]; gray is repeated.

    Raises:
        ValueError: the shapes differ or are too small, or AlexNet's weights are not available; the message says how to get them.
    """
    if result.shape != reference.shape:
        raise ValueError(f"the pictures differ in shape: {result.shape} against {reference.shape}")
    if min(result.shape[:2]) < SMALLEST:
        raise ValueError(f"LPIPS needs at least {SMALLEST} x {SMALLEST} pixels, not {result.shape[0]} x {result.shape[1]}")
    with torch.inference_mode():
        return float(backbones.lpips()(_tensor(result), _tensor(reference)))


def _tensor(picture: np.ndarray) -> torch.Tensor:
    picture = picture[:, :, None] if picture.ndim == 2 else picture
    tensor = torch.from_numpy(np.ascontiguousarray(np.clip(picture, 0, 1).transpose(2, 0, 1), dtype=np.float32))[None]
    return tensor.expand(-1, 3, -1, -1) * 2 - 1
