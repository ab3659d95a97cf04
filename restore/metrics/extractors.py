"""Feature extractors of the metrics of sets: pictures -> one vector each. `EXTRACTORS` is the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import util

import numpy as np
import torch
from torch import nn

from restore.metrics.classifier import Classifier, resized
from restore.networks import backbone_files, backbones

DEFAULT_EXTRACTOR = "vgg16"
PIXELS_SIDE = 32
"""Pixels; the side to which the extractor `pixels` resizes."""


class NoPictures(ValueError):
    """There is no picture to take features from."""


@dataclass(frozen=True)
class Features:
    """What an extractor found in N pictures.

    Attributes:
        vectors: (N, D) float64.
        logits: (N, classes) float64 of an extractor that is a classifier, else None.
    """

    vectors: np.ndarray
    logits: np.ndarray | None = None


@dataclass(frozen=True)
class Extractor:
    """One feature extractor.

    Attributes:
        extract: pictures (H, W, C) in nominal [0, 1], C 1 or 3 -> features; a ValueError says why it is not available.
        protocol: which network and layer, and how pictures are resized. Printed next to every number.
        published: whether numbers with it are comparable with published ones.
        classes: the names of the logits' classes, of a classifier that was trained on class folders.
    """

    extract: Callable[[Iterable[np.ndarray]], Features]
    protocol: str
    published: bool = False
    classes: tuple[str, ...] = ()


def features(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Pictures (H, W, C) in nominal [0, 1], C 1 or 3 -> (N, 512) float64 of the default extractor.

    Raises:
        ValueError: VGG16's weights are not available; the message says how to get them.
    """
    return EXTRACTORS[DEFAULT_EXTRACTOR].extract(pictures).vectors


def _vgg16(pictures: Iterable[np.ndarray]) -> Features:
    network = _vgg16_network()
    with torch.inference_mode():
        vectors = [network(backbones.normalised(_tensor(picture))).mean((2, 3))[0].double().numpy() for picture in pictures]
    return Features(_stacked(vectors))


def _pixels(pictures: Iterable[np.ndarray]) -> Features:
    return Features(_stacked([resized([picture], PIXELS_SIDE, 1).flatten().double().numpy() for picture in pictures]))


def of_classifier(classifier: Classifier, trained_on: str) -> Extractor:
    """An extractor whose vectors are the classifier's features; `trained_on` says in its protocol which pictures it learnt from."""

    def extract(pictures: Iterable[np.ndarray]) -> Features:
        found = [*classifier.of_pictures(pictures)]
        return Features(_stacked([features for features, _ in found]), np.stack([logits for _, logits in found]))

    side = classifier.side
    terms = f"a small classifier of {len(classifier.classes)} classes trained on {trained_on}, pictures resized to {side} x {side}"
    return Extractor(extract, f"{terms} (a stand-in: its numbers compare with each other only)", classes=classifier.classes)


@cache
def _vgg16_network() -> nn.Sequential:
    return backbones.vgg16()


def _inception(pictures: Iterable[np.ndarray]) -> Features:
    network = _inception_network()
    vectors, logits = [], []
    with torch.inference_mode():
        for picture in pictures:
            stored = (_tensor(picture) * 255).round().to(torch.uint8).expand(-1, 3, -1, -1)
            found = network(stored)
            vectors.append(found[0][0].double().numpy())
            logits.append(found[1][0].double().numpy())
    return Features(_stacked(vectors), _stacked(logits))


@cache
def _inception_network() -> nn.Module:
    if util.find_spec("torch_fidelity") is None:
        raise ValueError("the extractor inception needs torch-fidelity: pip install 'restore-suite[metrics]'")
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = backbone_files.find("inception")
    # torch-fidelity unpickles the file, so its checksum is compared first
    backbone_files.verify("inception", path)
    network: nn.Module = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path))
    return network


def _tensor(picture: np.ndarray) -> torch.Tensor:
    """(H, W, C) -> (1, C, H, W) float32, clipped to [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.clip(picture, 0, 1).transpose(2, 0, 1), dtype=np.float32))[None]


def _stacked(vectors: list[np.ndarray]) -> np.ndarray:
    if not vectors:
        raise NoPictures("there is no picture to take features from")
    return np.stack(vectors)


EXTRACTORS: Mapping[str, Extractor] = {
    "vgg16": Extractor(_vgg16, "VGG16 relu4_3, averaged over the picture, no resizing (a stand-in: not comparable with published numbers)"),
    "inception": Extractor(
        _inception, "InceptionV3 (2015-12-05) pool 2048, resized to 299 x 299 as TensorFlow 1 did, by torch-fidelity", True
    ),
    "pixels": Extractor(
        _pixels, f"gray pixels, resized to {PIXELS_SIDE} x {PIXELS_SIDE} (for copies; not comparable with published numbers)"
    ),
}
"""Name -> extractor. `of_classifier` makes another one from class folders."""
