"""A small classifier of class folders, trained where it is used: a stand-in feature extractor, and the judge of generated classes.

Its features make stand-ins of FID and KID that compare with each other only, and only for one trained classifier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH = 256
"""Pictures that are classified at a time."""
COARSEST, WIDEST = 4, 128
"""The side in pixels at which the network ends, and the most channels."""

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""(pictures (B, C, S, S), random numbers) -> pictures of the same shape."""


@dataclass(frozen=True)
class ClassifierConfig:
    """How a classifier is built and trained.

    Attributes:
        side: the pictures are resized to side x side pixels by their area.
        width: channels of the first convolution; they double with each.
        epochs: times that it sees each picture. At least `fewest_steps` steps are trained.
        fewest_steps: see `epochs`.
        batch_size: pictures of a step.
        learning_rate: the highest of AdamW's one-cycle schedule.
        seed: of the first weights, the order and the augmentation.
    """

    side: int = 28
    width: int = 16
    epochs: int = 6
    fewest_steps: int = 300
    batch_size: int = 64
    learning_rate: float = 4e-3
    seed: int = 0


class Classifier(nn.Module):
    """3 x 3 convolutions of stride two with batch normalisation, down to COARSEST pixels; the mean of the last one is the feature vector.

    The first convolution has 5 x 5 pixels, and stride one for pictures of at most 32 pixels.

    Attributes:
        channels: of the pictures, 1 or 3.
        classes: the names of the classes, in the order of the logits.
        side: of the pictures, in pixels.
    """

    def __init__(self, config: ClassifierConfig, channels: int, classes: Sequence[str]) -> None:
        super().__init__()
        self.channels, self.classes, self.side = channels, tuple(classes), config.side
        stride = 1 if config.side <= 32 else 2
        layers, width, side = _block(channels, config.width, 5, stride), config.width, config.side // stride
        while side > COARSEST:
            wider = min(2 * width, WIDEST)
            layers += _block(width, wider, 3, 2)
            width, side = wider, -(-side // 2)
        self.stages = nn.Sequential(*layers)
        self.head = nn.Linear(width, len(classes))

    def features(self, pictures: Tensor) -> Tensor:
        """(B, C, S, S) in [0, 1] -> (B, D)."""
        hidden: Tensor = self.stages(pictures * 2 - 1)
        return hidden.mean((2, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, C, S, S) in [0, 1] -> logits (B, classes)."""
        logits: Tensor = self.head(self.features(pictures))
        return logits

    @torch.inference_mode()
    def of_pictures(self, pictures: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pictures (H, W, C) of any size in nominal [0, 1] -> their features (D,) and logits (classes,), float64, in batches."""
        self.eval()
        iterator = iter(pictures)
        while batch := list(islice(iterator, BATCH)):
            features = self.features(resized(batch, self.side, self.channels))
            yield from zip(features.double().numpy(), self.head(features).double().numpy(), strict=True)


def _block(inputs: int, outputs: int, side: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def resized(pictures: Sequence[np.ndarray], side: int, channels: int) -> Tensor:
    """Pictures (H, W, C) of any size in nominal [0, 1] -> (B, channels, side, side) float32, clipped; colours are averaged for gray."""
    return torch.stack([_resized(picture, side, channels) for picture in pictures])


def _resized(picture: np.ndarray, side: int, channels: int) -> Tensor:
    values = np.asarray(picture, np.float32)
    if values.shape[2] != channels:
        values = values.mean(2, keepdims=True) if channels == 1 else np.repeat(values, channels, 2)
    larger = max(values.shape[:2]) < side
    small = cv2.resize(values, (side, side), interpolation=cv2.INTER_CUBIC if larger else cv2.INTER_AREA)
    return torch.from_numpy(np.clip(small.reshape(side, side, channels).transpose(2, 0, 1), 0, 1).copy())


def shifted(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Move each picture by up to a fourteenth of its side; the edge is repeated."""
    reach = max(1, pictures.shape[-1] // 14)
    padded = F.pad(pictures, (reach,) * 4, mode="replicate")
    offsets = torch.randint(0, 2 * reach + 1, (len(pictures), 2), generator=random).tolist()
    side = pictures.shape[-1]
    return torch.stack([one[:, top : top + side, left : left + side] for one, (top, left) in zip(padded, offsets, strict=True)])


def train(
    pictures: Tensor, labels: Tensor, classes: Sequence[str], config: ClassifierConfig, *, augment: Augment = shifted,
    initial: Classifier | None = None,
) -> Classifier:  # fmt: skip
    """Train a classifier by cross-entropy; the same arguments give the same weights on one machine.

    Args:
        pictures: (N, C, S, S) float32 in [0, 1].
        labels: (N,) int64, indices of `classes`.
        classes: their names, at least two.
        config: network and schedule.
        augment: changes the pictures of each step.
        initial: a classifier whose weights are the first ones; it is not changed.

    Raises:
        ValueError: fewer than two classes, or a class without pictures.
    """
    check_classes(labels, classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = Classifier(config, pictures.shape[1], classes)
    if initial is not None:
        network.load_state_dict(initial.state_dict())
    random = torch.Generator().manual_seed(config.seed)
    size = min(config.batch_size, len(pictures))
    steps = max(config.fewest_steps, config.epochs * (len(pictures) // size))
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, steps + 1)
    order = _order(len(pictures), size, random)
    network.train()
    for _, drawn in zip(range(steps), order, strict=False):
        loss = F.cross_entropy(network(augment(pictures[drawn], random)), labels[drawn])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    _measure_statistics(network, pictures, size)
    return network.eval()


@torch.no_grad()
def _measure_statistics(network: Classifier, pictures: Tensor, size: int) -> None:
    """Set the statistics of batch normalisation to those of the final weights: their running averages lag behind in short trainings."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    for start in range(0, len(pictures) - size + 1, size):
        network.features(pictures[start : start + size])


def check_classes(labels: Tensor, classes: Sequence[str]) -> None:
    """Refuse labels that no classifier can learn.

    Raises:
        ValueError: fewer than two classes, or a class without pictures.
    """
    if len(classes) < 2:
        raise ValueError("a classifier needs pictures in at least two class folders, such as normal/ and pneumonia/")
    if missing := set(range(len(classes))) - set(labels.tolist()):
        raise ValueError(f"no picture of the class {classes[min(missing)]} can be read")


def _order(count: int, size: int, random: torch.Generator) -> Iterator[Tensor]:
    """Indices of batches, without end: all pictures in a new order, those that fill no batch left out."""
    while True:
        shuffled = torch.randperm(count, generator=random)
        yield from (shuffled[start : start + size] for start in range(0, count - size + 1, size))
