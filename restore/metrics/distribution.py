"""Distances between two sets of unpaired pictures: Fréchet and kernel distance of deep features.

Heusel et al. 2017 (FID, eq. 6) and Binkowski et al. 2018 (KID, section 4). Both are defined on InceptionV3's features. This module uses
a stand-in that needs no download of InceptionV3: VGG16's relu4_3, averaged over the picture (512 numbers). Its distances are comparable
with each other, but not with published ones. Below 2,048 pictures the Fréchet distance is biased upwards; the kernel distance is not.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from scipy import linalg

from restore.networks import backbones

STAND_IN = "VGG16 relu4_3, averaged over the picture (a stand-in for InceptionV3)"


def features(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Pictures (H, W, C) in nominal [0, 1], C 1 or 3 -> (N, 512) float64, of the stand-in.

    Raises:
        ValueError: VGG16's weights are not available; the message says how to get them.
    """
    network = backbones.vgg16()
    features_of_all = []
    with torch.inference_mode():
        for picture in pictures:
            tensor = torch.from_numpy(np.ascontiguousarray(np.clip(picture, 0, 1).transpose(2, 0, 1), dtype=np.float32))[None]
            features_of_all.append(network(backbones.normalised(tensor)).mean((2, 3))[0].double().numpy())
    return np.stack(features_of_all)


def fid(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance of two sets of features (N, D), (M, D): |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)); 0 for equal sets.

    Raises:
        ValueError: a set of fewer than two.
    """
    _check(first, second)
    means = [x.mean(0) for x in (first, second)]
    covariances = [np.cov(x, rowvar=False) for x in (first, second)]
    # the trace of the product's root from its eigenvalues, which are real and not negative apart from rounding
    eigenvalues = linalg.eigvals(covariances[0] @ covariances[1]).real
    root = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    difference = means[0] - means[1]
    return float(difference @ difference + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * root)


def kid(first: np.ndarray, second: np.ndarray) -> float:
    """Squared maximum mean discrepancy, unbiased, of two sets of features (N, D), (M, D) by the kernel (x y / D + 1)^3.

    Raises:
        ValueError: a set of fewer than two.
    """
    _check(first, second)
    width = first.shape[1]

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray((a @ b.T / width + 1) ** 3)

    same_set = [(kernel(x, x).sum() - np.trace(kernel(x, x))) / (len(x) * (len(x) - 1)) for x in (first, second)]
    return float(same_set[0] + same_set[1] - 2 * kernel(first, second).mean())


def _check(first: np.ndarray, second: np.ndarray) -> None:
    if min(len(first), len(second)) < 2:
        raise ValueError(f"each set needs at least two pictures, not {len(first)} and {len(second)}")
